//! `cargo xtask bench`: what a deployment costs, side by side with the least that it can cost.
//!
//! `docs/performance.md` tells what is measured, and why so.

use std::{fs, path::PathBuf, process::ExitCode};

use crate::{
    Fleet, HostKind,
    console::{self, TaskError},
    install,
    interrupt::Interrupt,
    workspace,
};

mod bar;
mod content;
mod figure;
mod floor;
mod gauge;
mod k8s;
mod listing;
mod machine;
mod measured;
mod origin;
mod ours;
mod peers;
mod place;
mod publish;
mod report;
mod room;
mod rows;
mod side;
mod simulated;
mod table;
mod work;

use bar::Bar;
use measured::Measured;
use ours::Unchanged;
use peers::Tools;
use rows::Rows;
use work::Work;

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure this only; more than one can be given
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Measure with these numbers of hosts, and on light ones if nothing else is said
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1000))]
    hosts: Vec<u16>,
    /// How often each side deploys; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    runs: u8,
    /// How unchanged files come into a new release
    #[arg(long, value_enum, default_value_t)]
    unchanged: Unchanged,
    /// Measure pyinfra, Fabric, Ansible and Capistrano too, with 50 and 100 light hosts if no other
    /// numbers are given; they are installed
    #[arg(long)]
    peers: bool,
    /// Measure plans and rollouts in a Kubernetes cluster, and nothing else; needs no root
    #[arg(long, conflicts_with_all = ["only", "hosts", "unchanged", "peers"])]
    k8s: bool,
    /// Measure this deploy-cli instead of building one
    #[arg(long, value_name = "PROGRAM")]
    with: Option<PathBuf>,
    /// Write all figures here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables into README.md and docs/performance.md
    #[arg(long)]
    write: bool,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Hosts with systemd, a service and an HTTP check
    Systemd,
    /// Many hosts with sshd alone
    Light,
    /// Listing the versions of a repository that has many
    Listing,
    /// The engine alone, with targets in memory
    Simulated,
}

/// The rows of the table, each kind in growing order.
const ROWS: [(HostKind, u16); 5] = [
    (HostKind::Systemd, 10),
    (HostKind::Light, 20),
    (HostKind::Light, 50),
    (HostKind::Light, 100),
    (HostKind::Light, 300),
];

/// The marker of its tables.
const MARK: &str = "bench";

/// The kinds of host, in the order in which they are measured.
const KINDS: [HostKind; 2] = [HostKind::Systemd, HostKind::Light];

impl Options {
    fn wants(&self, part: Part) -> bool {
        match (self.only.as_slice(), self.hosts.as_slice()) {
            ([], []) => true,
            ([], _) => part == Part::Light,
            (only, _) => only.contains(&part),
        }
    }

    /// Whether other tools are measured in a row.
    fn has_peers(&self, kind: HostKind, hosts: usize) -> bool {
        let asked = !self.hosts.is_empty() || [50, 100].contains(&hosts);
        self.peers && kind == HostKind::Light && asked
    }

    /// How many versions with changes are deployed at most.
    fn versions(&self) -> usize {
        let rows = KINDS.iter().map(|kind| self.sizes(*kind).len()).max().unwrap_or_default();
        let sides = if self.peers { 6 } else { 2 };
        // And one that is only planned.
        rows * (usize::from(self.runs) * sides + 1 + 2 * side::SETTLING)
    }

    /// The numbers of hosts of `kind`, in growing order.
    fn sizes(&self, kind: HostKind) -> Vec<u16> {
        let part = match kind {
            HostKind::Systemd => Part::Systemd,
            HostKind::Light => Part::Light,
        };
        if !self.wants(part) {
            return Vec::new();
        }
        if self.hosts.is_empty() {
            return ROWS.iter().filter(|row| row.0 == kind).map(|row| row.1).collect();
        }
        let mut sizes = self.hosts.clone();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

/// Measures; succeeds when all bars are met that were measured.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
    if options.k8s {
        return k8s::run(options, interrupt);
    }
    if options.write {
        pages().iter().try_for_each(|page| publish::check(page, MARK))?;
    }
    install::ensure(&[install::BUILD, install::FLEET], interrupt)?;
    Fleet::check_machine()?;
    let program = match &options.with {
        Some(program) => fs::canonicalize(program).map_err(TaskError::io("find the program"))?,
        None => {
            console::headline("building deploy-cli");
            workspace::build_deploy_cli(&["--release"], interrupt)?
        }
    };
    Fleet::sweep()?;
    let directory = tempfile::tempdir().map_err(TaskError::io("create a directory"))?;
    let mut bars = Vec::new();
    if options.wants(Part::Simulated) {
        console::headline("targets in memory");
        bars.extend(simulated::measure()?);
    }
    if options.wants(Part::Listing) {
        console::headline("listing versions");
        bars.push(listing::measure(&program, directory.path(), usize::from(options.runs))?);
    }
    let peers = if options.peers { Some(Tools::install(interrupt)?) } else { None };
    let versions = peers.as_ref().map(Tools::versions);
    let rows = if options.versions() == 0 {
        Vec::new()
    } else {
        console::headline("making the repository");
        let work = Work::create(directory.path(), options.versions())?;
        let rows = Rows { options, work, program, peers, interrupt };
        KINDS.iter().map(|kind| rows.measure(*kind)).collect::<Result<Vec<_>, _>>()?.concat()
    };
    bars.splice(0..0, measured::bars(&rows));
    conclude(options, &rows, &bars, versions.as_deref())
}

fn conclude(
    options: &Options,
    rows: &[Measured],
    bars: &[Bar],
    peers: Option<&str>,
) -> Result<ExitCode, TaskError> {
    console::headline("medians");
    println!("{}", report::long(rows, bars, peers).trim_end());
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", table::json(rows, bars));
        fs::write(path, text).map_err(TaskError::io(format!("write {}", path.display())))?;
    }
    if options.write {
        let [readme, page] = pages();
        publish::write(&readme, MARK, &report::short(rows))?;
        publish::write(&page, MARK, &report::long(rows, bars, peers))?;
    }
    let all_met = bars.iter().all(Bar::is_met);
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The pages with tables.
fn pages() -> [PathBuf; 2] {
    ["README.md", "docs/performance.md"].map(|page| workspace::root().join(page))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &[&str]) -> Options {
        Line::parse_from([&["bench"], words].concat()).options
    }

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        let all = options(&[]);
        assert_eq!(all.sizes(HostKind::Systemd), [10]);
        assert_eq!(all.sizes(HostKind::Light), [20, 50, 100, 300]);
        assert!(all.wants(Part::Listing) && all.wants(Part::Simulated));

        let some = options(&["--hosts", "50,2,50"]);
        assert_eq!(some.sizes(HostKind::Light), [2, 50]);
        assert!(some.sizes(HostKind::Systemd).is_empty() && !some.wants(Part::Listing));

        let services = options(&["--only", "systemd", "--hosts", "3"]);
        assert_eq!(services.sizes(HostKind::Systemd), [3]);
        assert!(services.sizes(HostKind::Light).is_empty());
    }
}
