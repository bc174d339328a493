//! The ready binary. A site builds its own in the same way: see [`deploy_cli::DeployCli`].

fn main() -> std::process::ExitCode {
    deploy_cli::DeployCli::new().main()
}
