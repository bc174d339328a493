//! The reference of the command line is what the program says.

#[test]
fn the_reference_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let now = deploy_cli::reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == now, "docs/cli.md is old: UPDATE_DOCS=1 cargo test -p deploy-cli");
}

#[test]
fn the_definitions_hold_together() {
    use clap::CommandFactory;
    deploy_cli::args::Cli::command().debug_assert();
}
