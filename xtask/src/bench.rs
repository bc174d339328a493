//! `cargo xtask bench`: what a deployment costs, side by side with the least that it can cost.
//!
//! `docs/performance.md` tells what is measured, and why so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

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
mod origin;
mod ours;
mod row;
mod table;
mod work;

use bar::Measured;
use floor::Floor;
use gauge::Gauge;
use origin::Origin;
use ours::{Ours, Unchanged};
use row::{Place, Side};
use work::Work;

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure with these numbers of hosts only
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1000))]
    hosts: Vec<u16>,
    /// The kind of these hosts
    #[arg(long, value_enum, default_value_t = HostKind::Light, requires = "hosts")]
    kind: HostKind,
    /// How often each side deploys; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    runs: u8,
    /// How unchanged files come into a new release
    #[arg(long, value_enum, default_value_t)]
    unchanged: Unchanged,
    /// Measure this deploy-cli instead of building one
    #[arg(long, value_name = "PROGRAM")]
    with: Option<PathBuf>,
    /// Write all figures here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The kinds of host, in the order in which they are measured.
const KINDS: [HostKind; 2] = [HostKind::Systemd, HostKind::Light];

/// The rows of the table, each kind in growing order.
const ROWS: [(HostKind, u16); 5] = [
    (HostKind::Systemd, 10),
    (HostKind::Light, 20),
    (HostKind::Light, 50),
    (HostKind::Light, 100),
    (HostKind::Light, 300),
];

impl Options {
    /// The numbers of hosts of `kind`, in growing order.
    fn sizes(&self, kind: HostKind) -> Vec<u16> {
        if self.hosts.is_empty() {
            return ROWS.iter().filter(|row| row.0 == kind).map(|row| row.1).collect();
        }
        let mut sizes = self.hosts.clone();
        sizes.sort_unstable();
        if kind == self.kind { sizes } else { Vec::new() }
    }
}

/// Measures; succeeds when all bars are met that were measured.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
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
    console::headline("making the repository");
    let directory = tempfile::tempdir().map_err(TaskError::io("create a directory"))?;
    let rows = KINDS.iter().map(|kind| options.sizes(*kind).len()).max().unwrap_or_default();
    let work = Work::create(directory.path(), usize::from(options.runs) * rows)?;
    let bench = Bench { options, work, program, interrupt };
    let mut measured = Vec::new();
    for kind in KINDS {
        measured.extend(bench.rows_of(kind)?);
    }
    bench.conclude(&measured)
}

/// All that is the same for every row.
#[derive(Debug)]
struct Bench<'a> {
    options: &'a Options,
    work: Work,
    program: PathBuf,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    /// Measures all rows of `kind`, on one fleet that grows.
    fn rows_of(&self, kind: HostKind) -> Result<Vec<Measured>, TaskError> {
        let mut fleet: Option<Fleet> = None;
        let mut rows = Vec::new();
        for (number, size) in self.options.sizes(kind).into_iter().enumerate() {
            console::headline(&format!("{size} {kind} hosts"));
            let fleet = match &mut fleet {
                Some(fleet) => {
                    fleet.grow(size, kind)?;
                    &*fleet
                }
                none => {
                    none.insert(Fleet::up(&format!("bench-{}", std::process::id()), size, kind)?)
                }
            };
            if self.interrupt.is_asked() {
                return Err(TaskError::Interrupted);
            }
            rows.push(in_network_of(fleet, || self.row(fleet, kind, number))?);
        }
        if let Some(fleet) = fleet {
            fleet.down()?;
        }
        Ok(rows)
    }

    /// Measures the row `number` of its fleet; runs in the fleet's network.
    fn row(&self, fleet: &Fleet, kind: HostKind, number: usize) -> Result<Measured, TaskError> {
        let origin = Origin::serve(&self.work)?;
        let place = Place::new(fleet, &self.work, kind);
        place.write_ssh_config()?;
        let floor = Floor::new(&place);
        let ours = Ours::new(&place, &self.program, self.options.unchanged);
        let sides: [&dyn Side; 2] = [&floor, &ours];
        println!("seeding version {}", work::FIRST);
        sides.iter().try_for_each(|side| side.seed(self.interrupt))?;
        let gauge = Gauge::new(fleet, &origin);
        let runs = usize::from(self.options.runs);
        // The hosts of the row before have had its versions.
        let versions = (1..=runs).map(|run| work::version(number * runs + run)).collect::<Vec<_>>();
        let series = place.alternate(&sides, &versions, &gauge, self.interrupt)?;
        Ok(Measured {
            kind,
            hosts: place.hosts.len(),
            unchanged: self.options.unchanged,
            pack: self.work.pack_size(&work::version(1), Some(work::FIRST))?,
            series,
        })
    }

    fn conclude(&self, rows: &[Measured]) -> Result<ExitCode, TaskError> {
        let bars = bar::bars(rows);
        console::headline("figures (medians)");
        print!("{}", table::figures(rows));
        console::headline("bars");
        print!("{}", table::bars(&bars));
        if let Some(path) = &self.options.json {
            write_json(path, &table::json(rows, &bars))?;
        }
        let all_met = bars.iter().all(bar::Bar::is_met);
        Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), TaskError> {
    fs::write(path, format!("{value:#}\n"))
        .map_err(TaskError::io(format!("write {}", path.display())))
}

/// Does `what` on a thread of its own, in the network of `fleet`, as does all that it starts.
fn in_network_of<T: Send>(
    fleet: &Fleet,
    what: impl FnOnce() -> Result<T, TaskError> + Send,
) -> Result<T, TaskError> {
    let inside = || {
        fleet.enter_thread()?;
        what()
    };
    thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| {
        std::panic::resume_unwind(panic);
    })
}
