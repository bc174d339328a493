//! `cargo xtask package`: the Debian package, made by cargo-deb.
//!
//! What is in it stands in `deploy-cli/Cargo.toml`. The program itself writes its manual pages and
//! completions, into `target/package`, from where cargo-deb takes them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    console::{self, TaskError, expect},
    install,
    interrupt::Interrupt,
    workspace::{self, cargo, root},
};

/// The release of cargo-deb that is installed where there is none.
const CARGO_DEB: &str = "3.8.0";

/// The shells, and the files that their completions are taken from.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "deploy-cli.bash"), ("zsh", "_deploy-cli"), ("fish", "deploy-cli.fish")];

/// Builds the program and makes the package; installs what that needs where it is missing.
pub(crate) fn run(interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
    install::ensure(&[install::BUILD, install::PACKAGE], interrupt)?;
    ensure_cargo_deb(interrupt)?;
    console::headline("building deploy-cli");
    let program = workspace::build_deploy_cli(&["--release", "--locked"], interrupt)?;
    console::headline("making the package");
    generate(&program).map_err(TaskError::io("write manual pages and completions"))?;
    let directory = root().join("target/debian");
    let mut command = cargo_deb(&["--profile", "release"], &directory);
    let status = console::run(&mut command, interrupt)?;
    expect(&command, status.code(), 0)?;
    println!("the package is in {}", directory.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes a package of a debug build, `program`, in `directory`: for tests, which look into it.
///
/// # Errors
/// Where cargo-deb is not there, or fails; with its own words.
pub fn of_debug_build(program: &Path, directory: &Path) -> io::Result<PathBuf> {
    generate(program)?;
    let mut command = cargo_deb(&["--profile", "dev", "--fast", "--strip"], directory);
    let output = command.output().map_err(|error| {
        io::Error::new(error.kind(), format!("cargo-deb: {error}; {} installs it", install_line()))
    })?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let is_package = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "deb");
    let mut made = fs::read_dir(directory)?.flatten().map(|entry| entry.path());
    made.find(is_package).ok_or_else(|| io::Error::other("cargo-deb made no package"))
}

/// Installs cargo-deb below `target`, unless it is there or installed for all projects.
pub(crate) fn ensure_cargo_deb(interrupt: &Interrupt) -> Result<(), TaskError> {
    let version = Command::new(program()).arg("--version").output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    console::headline("installing cargo-deb");
    let mut command = cargo("install");
    command.args(["cargo-deb", "--version", CARGO_DEB, "--locked", "--root"]).arg(tools());
    let status = console::run(&mut command, interrupt)?;
    expect(&command, status.code(), 0)
}

fn install_line() -> String {
    format!("`cargo install cargo-deb --version {CARGO_DEB} --locked --root target/tools`")
}

fn tools() -> PathBuf {
    root().join("target/tools")
}

fn program() -> PathBuf {
    let ours = tools().join("bin/cargo-deb");
    if ours.exists() { ours } else { PathBuf::from("cargo-deb") }
}

fn cargo_deb(options: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["--package", "deploy-cli", "--no-build", "--locked"]).args(options);
    command.arg("--output").arg(directory.join("")).current_dir(root());
    command
}

/// Lets `deploy_cli` write its manual pages and completions to where cargo-deb looks for them.
fn generate(deploy_cli: &Path) -> io::Result<()> {
    let directory = root().join("target/package");
    // Pages of commands that are no more must not get into the package.
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(&directory)?,
    }
    said(Command::new(deploy_cli).arg("man").arg(directory.join("man")))?;
    for (shell, file) in COMPLETIONS {
        let script = said(Command::new(deploy_cli).args(["completions", shell]))?;
        fs::write(directory.join(file), script)?;
    }
    Ok(())
}

fn said(command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
