//! `cargo xtask test`: every check and every test.

use std::{
    process::{Command, ExitCode},
    sync::Mutex,
};

use crate::{
    Fleet, Kube, check,
    console::{self, TaskError},
    install,
    interrupt::Interrupt,
    kube, package,
    workspace::cargo,
};

mod tally;

use tally::Tally;

/// A part of the suite that one may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The tests on real hosts; they need root and systemd-nspawn.
    Fleet,
    /// The tests on real clusters; they need a control plane, which is built once.
    Kube,
}

impl Part {
    /// How it is called, and what it needs.
    fn title(self) -> &'static str {
        match self {
            Self::Fleet => "fleet suite (systemd-nspawn as root)",
            Self::Kube => "kube suite (a Kubernetes control plane)",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Kube => "kube",
        }
    }
}

/// Runs everything but `without` and prints the sums last.
pub(crate) fn run(without: &[Part], interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
    install::ensure(&[install::BUILD, install::SHELLS], interrupt)?;
    let mut unavailable = Vec::new();
    let mut is_ready = |part: Part| -> Result<bool, TaskError> {
        if without.contains(&part) {
            return Ok(false);
        }
        let Err(reason) = prepare(part, interrupt)? else { return Ok(true) };
        console::headline(&format!("the {} suite cannot run here; all else will", part.word()));
        println!("{reason}");
        unavailable.push((part, reason));
        Ok(false)
    };
    let (has_fleet, has_kube) = (is_ready(Part::Fleet)?, is_ready(Part::Kube)?);

    let mut broken = check::run(interrupt)?;
    let runner = Runner::find();
    console::headline("examples");
    if !console::run(&mut examples(), interrupt)?.success() {
        broken.push("examples");
    }
    let mut tally = Tally::default();
    for (name, mut command) in [
        ("tests", runner.tests()),
        ("documentation tests", documentation_tests()),
        ("a crate outside of the workspace", outside()),
    ] {
        console::headline(name);
        broken.extend(watch(name, &mut command, &mut tally, interrupt)?);
    }
    if has_kube {
        console::headline("kube suite");
        let mut on_clusters = Tally::default();
        let run = watch("kube suite", &mut runner.kube_tests(), &mut on_clusters, interrupt);
        Kube::sweep()?;
        broken.extend(run?);
        tally.add_skipped_before(on_clusters);
    }
    if has_fleet {
        if let Err(error) = package::ensure_cargo_deb(interrupt) {
            println!("{error}");
            broken.push("cargo-deb");
        }
        console::headline("fleet suite");
        let mut on_hosts = Tally::default();
        let run = watch("fleet suite", &mut runner.fleet_tests(), &mut on_hosts, interrupt);
        // A test that was killed had no time to take its hosts down.
        Fleet::sweep()?;
        broken.extend(run?);
        tally.add_skipped_before(on_hosts);
    }
    Ok(conclude(tally, &broken, &unavailable))
}

/// Makes sure that this machine can run a part. The inner error says why it cannot.
fn prepare(part: Part, interrupt: &Interrupt) -> Result<Result<(), String>, TaskError> {
    let prepared = match part {
        Part::Fleet => {
            install::ensure(&[install::FLEET, install::DISKS, install::PACKAGE], interrupt)
                .and_then(|()| Ok(Fleet::check_machine()?))
        }
        Part::Kube => kube::build(interrupt),
    };
    match prepared {
        Err(TaskError::Interrupted) => Err(TaskError::Interrupted),
        prepared => Ok(prepared.map_err(|error| error.to_string())),
    }
}

fn conclude(tally: Tally, broken: &[&str], unavailable: &[(Part, String)]) -> ExitCode {
    println!();
    let mut tally = tally;
    for name in broken {
        println!("failed: {name}");
    }
    // A step that fails without a failed test, a lint for instance, is a failure too.
    tally.count_broken_steps(broken.len());
    for (part, reason) in unavailable {
        println!("not run: {}: {reason}", part.title());
        println!("to leave it out: cargo xtask test --without {}", part.word());
    }
    println!("{tally}");
    match (tally.is_good(), !unavailable.is_empty()) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(3),
        (true, false) => ExitCode::SUCCESS,
    }
}

/// Runs a command that runs tests; returns its name if it failed without a failed test.
fn watch(
    name: &'static str,
    command: &mut Command,
    tally: &mut Tally,
    interrupt: &Interrupt,
) -> Result<Option<&'static str>, TaskError> {
    let seen = Mutex::new(Tally::default());
    let status = console::run_watched(command, interrupt, |line| {
        if let Some(counts) = Tally::read(line)
            && let Ok(mut seen) = seen.lock()
        {
            *seen += counts;
        }
    })?;
    let seen = seen.into_inner().unwrap_or_default();
    *tally += seen;
    Ok(seen.hides_failure(status.success()).then_some(name))
}

/// The program that runs tests.
#[derive(Debug, Clone, Copy)]
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    /// cargo-nextest where it is installed.
    fn find() -> Self {
        let version = cargo("nextest").arg("--version").output();
        if version.is_ok_and(|output| output.status.success()) {
            Self::Nextest
        } else {
            Self::Cargo
        }
    }

    fn tests(self) -> Command {
        let mut command = match self {
            Self::Nextest => nextest(),
            Self::Cargo => cargo("test"),
        };
        command.args(["--workspace", "--all-features", "--no-fail-fast"]);
        command.args(["--lib", "--bins", "--tests"]);
        command
    }

    /// The tests in files named `kube`, each of which is ignored otherwise.
    fn kube_tests(self) -> Command {
        let (mut command, options): (_, &[_]) = match self {
            Self::Nextest => (nextest(), &["--run-ignored", "only", "--test-threads", "2"]),
            Self::Cargo => (cargo("test"), &["--", "--ignored", "--test-threads", "2"]),
        };
        command.args(["--workspace", "--all-features", "--no-fail-fast", "--test", "kube"]);
        command.args(options);
        command
    }

    /// The tests in files named `fleet*`, each of which is ignored otherwise.
    fn fleet_tests(self) -> Command {
        // Hosts are many processes: more than two fleets at once make each other slow.
        let (mut command, options): (_, &[_]) = match self {
            Self::Nextest => (nextest(), &["--run-ignored", "only", "--test-threads", "2"]),
            Self::Cargo => (cargo("test"), &["--", "--ignored", "--test-threads", "2"]),
        };
        command.args(["--workspace", "--all-features", "--no-fail-fast", "--test", "fleet*"]);
        command.args(options);
        command
    }
}

fn nextest() -> Command {
    let mut command = cargo("nextest");
    command.arg("run");
    command
}

/// Examples as programs: tests run them, and cargo builds them so only where no kind of target is
/// chosen.
fn examples() -> Command {
    let mut command = cargo("build");
    command.args(["--workspace", "--all-features", "--examples"]);
    command
}

fn documentation_tests() -> Command {
    let mut command = cargo("test");
    command.args(["--workspace", "--all-features", "--no-fail-fast", "--doc"]);
    command
}

/// A crate that uses the libraries as anybody would. It shares what is built already.
fn outside() -> Command {
    let mut command = cargo("test");
    command.args(["--manifest-path", "examples/outside/Cargo.toml", "--target-dir", "target"]);
    command
}
