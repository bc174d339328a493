//! The command line.

use std::{
    error::Error, ffi::OsString, os::unix::process::CommandExt, process::Command, process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    Fleet, FleetError, HostKind, Kube, PodLook, bench, check,
    console::TaskError,
    demo,
    interrupt::Interrupt,
    kube, package,
    suite::{self, Part},
};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Boot four hosts and deploy to them: v1, v2 with canary, and a broken v3 that is rolled back
    Demo {
        /// The same onto three Kubernetes clusters
        #[arg(long)]
        k8s: bool,
    },
    /// Run every check and every test
    Test {
        /// Leave this part out
        #[arg(long, value_enum)]
        without: Vec<Part>,
    },
    /// Measure deployments side by side with the least that they can cost (needs root)
    Bench(bench::Options),
    /// Check formatting, lints and documentation
    Check,
    /// Build the Debian package, in target/debian
    Package,
    /// Boot and use real test hosts in a network of their own (needs root)
    Fleet {
        /// The fleet's name; fleets of different names can exist at once
        #[arg(long, default_value = "fleet")]
        name: String,
        #[command(subcommand)]
        action: FleetAction,
    },
    /// Start and use real Kubernetes clusters without nodes, on loopback
    Kube {
        /// The cluster's name; clusters of different names can be up at once
        #[arg(long, default_value = "kube")]
        name: String,
        #[command(subcommand)]
        action: KubeAction,
    },
}

#[derive(Debug, Subcommand)]
enum KubeAction {
    /// Install and build what clusters are made of, once (needs root)
    Build,
    /// Start the cluster, and print where its kubeconfig is
    Up,
    /// Make all pods look ready whose image contains IMAGE; there is no kubelet that would
    Ready {
        #[arg(default_value = "")]
        image: String,
    },
    /// Make all pods look as if their image could not be pulled
    Broken { image: String },
    /// Stop the cluster and remove everything
    Down,
}

#[derive(Debug, Subcommand)]
enum FleetAction {
    /// Boot hosts h1, h2, … until there are COUNT
    Up {
        #[arg(value_parser = clap::value_parser!(u16).range(1..=5000))]
        count: u16,
        #[arg(value_enum, default_value_t)]
        kind: HostKind,
    },
    /// Stop all hosts and remove everything
    Down,
    /// Run a command as the deployer, in the fleet's network; `ssh h1` works there
    In {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command inside a host, as root and not over SSH
    On {
        host: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Pull a host's network cable
    Cut { host: String },
    /// Plug a host's network cable in again
    Join { host: String },
    /// Power a host off at once
    Kill { host: String },
    /// Power a host on again
    Boot { host: String },
}

/// Runs the task that the command line names; errors are printed.
///
/// The exit code is 0 on success, 1 on failure, 2 for a wrong command line, 3 when this machine
/// lacks what the task needs, and 130 after Ctrl-C; `fleet in` and `fleet on` become the command.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// As [`main`], for `words`; the first stands for the program.
#[must_use]
pub fn run(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let done = match Cli::parse_from(words).task {
        Task::Demo { k8s: false } => interruptible(demo::run),
        Task::Demo { k8s: true } => interruptible(demo::run_on_clusters),
        Task::Test { without } => interruptible(|interrupt| suite::run(&without, interrupt)),
        Task::Bench(options) => interruptible(|interrupt| bench::run(&options, interrupt)),
        Task::Check => interruptible(|interrupt| {
            let failed = check::run(interrupt)?;
            failed.iter().for_each(|name| println!("failed: {name}"));
            Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }),
        Task::Package => interruptible(package::run),
        Task::Kube { name, action } => {
            interruptible(|interrupt| kube(&name, action, interrupt).map(|()| ExitCode::SUCCESS))
        }
        Task::Fleet { name, action } => {
            fleet(&name, action).map(|()| ExitCode::SUCCESS).map_err(TaskError::from)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        let mut cause = error.source();
        while let Some(source) = cause {
            eprintln!("  because: {source}");
            cause = source.source();
        }
        ExitCode::from(error.exit_code())
    })
}

fn interruptible(
    task: impl FnOnce(&Interrupt) -> Result<ExitCode, TaskError>,
) -> Result<ExitCode, TaskError> {
    task(&Interrupt::install().map_err(TaskError::io("listen for signals"))?)
}

fn kube(name: &str, action: KubeAction, interrupt: &Interrupt) -> Result<(), TaskError> {
    match action {
        KubeAction::Build => kube::build(interrupt)?,
        KubeAction::Up => {
            kube::build(interrupt)?;
            let kube = Kube::up(name)?;
            println!("cluster {name} is up: {}", kube.kubeconfig().display());
            kube.keep();
        }
        KubeAction::Ready { image } => {
            println!("{} pods", Kube::open(name)?.show_pods(&image, PodLook::Ready)?);
        }
        KubeAction::Broken { image } => {
            println!("{} pods", Kube::open(name)?.show_pods(&image, PodLook::NoImage)?);
        }
        KubeAction::Down => Kube::remove(name)?,
    }
    Ok(())
}

fn fleet(name: &str, action: FleetAction) -> Result<(), FleetError> {
    match action {
        FleetAction::Up { count, kind } => up(name, count, kind),
        FleetAction::Down => Fleet::remove(name),
        FleetAction::In { command } => {
            let mut words = command.iter();
            let mut program = Command::new(words.next().map_or("", String::as_str));
            become_command(Fleet::open(name)?.enter(program.args(words)))
        }
        FleetAction::On { host, command } => become_command(Fleet::open(name)?.on(&host, command)?),
        FleetAction::Cut { host } => Fleet::open(name)?.cut(&host),
        FleetAction::Join { host } => Fleet::open(name)?.join(&host),
        FleetAction::Kill { host } => Fleet::open(name)?.kill(&host),
        FleetAction::Boot { host } => Fleet::open(name)?.boot(&host),
    }
}

fn up(name: &str, count: u16, kind: HostKind) -> Result<(), FleetError> {
    let dir = match Fleet::open(name) {
        Ok(mut fleet) => {
            fleet.grow(count, kind)?;
            fleet.dir().to_owned()
        }
        Err(FleetError::NoFleet { .. }) => {
            let fleet = Fleet::up(name, count, kind)?;
            let dir = fleet.dir().to_owned();
            fleet.keep()?;
            dir
        }
        Err(error) => return Err(error),
    };
    println!(
        "{} hosts; their addresses, keys and ssh_config are in {}",
        Fleet::open(name)?.hosts().len(),
        dir.display()
    );
    Ok(())
}

/// Becomes `command`; comes back only if that fails.
fn become_command(mut command: Command) -> Result<(), FleetError> {
    let source = command.exec();
    Err(FleetError::Io { attempted: "run the command".to_owned(), source })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_with_options_needs_no_separator() {
        let line = ["xtask", "fleet", "on", "h1", "systemctl", "--no-pager", "status"];
        let Task::Fleet { action: FleetAction::On { host, command }, .. } =
            Cli::parse_from(line).task
        else {
            panic!("another task")
        };
        assert_eq!((host.as_str(), command.len()), ("h1", 3));
    }
}
