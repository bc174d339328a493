//! The rows of the table: fleets of several sizes, on each of which all sides deploy the same.

use std::{path::PathBuf, thread};

use super::{
    Options,
    figure::Figure,
    floor::{self, Floor},
    gauge::Gauge,
    measured::{Measured, Packs},
    origin::Origin,
    ours::{self, Ours},
    peers::{Peer, Tools},
    place::Place,
    room::Room,
    side::{self, Deed, Series, Side},
    work::{self, FIRST, Work},
};
use crate::{
    Fleet, HostKind,
    console::{self, TaskError},
    interrupt::Interrupt,
};

/// All that is the same for every row.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) options: &'a Options,
    pub(super) work: Work,
    pub(super) program: PathBuf,
    /// The other tools, where they are measured too.
    pub(super) peers: Option<Tools>,
    pub(super) interrupt: &'a Interrupt,
}

impl Rows<'_> {
    /// Measures all rows of `kind`, on one fleet that grows.
    pub(super) fn measure(&self, kind: HostKind) -> Result<Vec<Measured>, TaskError> {
        let mut fleet: Option<Fleet> = None;
        let mut rows = Vec::new();
        self.work.start_anew();
        for size in self.options.sizes(kind) {
            console::headline(&format!("{size} {kind} hosts"));
            let fleet = match &mut fleet {
                Some(fleet) => {
                    fleet.grow(size, kind)?;
                    &*fleet
                }
                none => {
                    let name = format!("bench-{}", std::process::id());
                    none.insert(Fleet::up(&name, size, kind)?)
                }
            };
            if self.interrupt.is_asked() {
                return Err(TaskError::Interrupted);
            }
            rows.push(in_network_of(fleet, || self.row(fleet, kind))?);
        }
        if let Some(fleet) = fleet {
            fleet.down()?;
        }
        Ok(rows)
    }

    /// Measures one row; runs in the fleet's network.
    fn row(&self, fleet: &Fleet, kind: HostKind) -> Result<Measured, TaskError> {
        let origin = Origin::serve(&self.work)?;
        let place = Place::prepare(fleet, &self.work, kind)?;
        let row = Row {
            gauge: Gauge::new(fleet, &origin),
            runs: usize::from(self.options.runs),
            interrupt: self.interrupt,
            place: &place,
        };
        let floor = Floor::new(&place);
        let ours = Ours::new(&place, &self.program, self.options.unchanged);
        let fresh = place.strays(ours.live(), FIRST)?;
        let room = Room::of(fleet, self.options.unchanged)?;
        let peers = match &self.peers {
            Some(tools) if self.options.has_peers(kind, place.hosts.len()) => {
                Peer::all(tools, &place, &floor)?
            }
            _ => Vec::new(),
        };
        let (series, fresh) = if room.has_both() {
            let mut sides: Vec<&dyn Side> = vec![&floor, &ours];
            sides.extend(peers.iter().map(|peer| peer as &dyn Side));
            (row.together(&sides, &ours)?, fresh)
        } else {
            (row.apart(&floor, room.has_floor(), &ours)?, place.hosts.len())
        };
        Ok(Measured {
            kind,
            hosts: place.hosts.len(),
            unchanged: self.options.unchanged,
            packs: Packs {
                first: self.work.pack_size(FIRST, None)?,
                change: self.work.pack_size(&work::version(1), Some(FIRST))?,
                fresh,
            },
            series,
        })
    }
}

/// One row while it is measured.
#[derive(Debug)]
struct Row<'a> {
    gauge: Gauge<'a>,
    runs: usize,
    interrupt: &'a Interrupt,
    place: &'a Place<'a>,
}

impl Row<'_> {
    /// All sides in turn, which is how figures can be compared best.
    fn together(&self, sides: &[&dyn Side], ours: &Ours<'_>) -> Result<Vec<Series>, TaskError> {
        let mut series = Vec::new();
        for side in sides {
            series.extend(self.seed(*side)?);
        }
        series.push(self.plan(ours)?);
        for side in sides.iter().filter(|side| [floor::NAME, ours::NAME].contains(&side.name())) {
            side::settle(self.place, *side, self.interrupt)?;
        }
        series.extend(self.alternate(sides)?);
        Ok(series)
    }

    /// One side after the other, where their releases do not fit into memory together.
    fn apart(
        &self,
        floor: &Floor<'_>,
        has_floor: bool,
        ours: &Ours<'_>,
    ) -> Result<Vec<Series>, TaskError> {
        println!("memory is too short for both sides at once: one after the other");
        let sides: [&dyn Side; 2] = [floor, ours];
        sides.iter().try_for_each(|side| self.place.wipe(side.root()))?;
        let mut series = Vec::new();
        if has_floor {
            self.seed(floor)?;
            side::settle(self.place, floor, self.interrupt)?;
            series.extend(self.alternate(&[floor])?);
            self.place.wipe(floor.root())?;
        } else {
            println!("the floor does not fit at all, and is left out");
        }
        series.extend(self.together(&[ours], ours)?);
        Ok(series)
    }

    /// Brings the first version out; what that cost is told of our side only, since the floor's
    /// hosts go one part after the other, lest the daemon is overrun.
    fn seed(&self, side: &dyn Side) -> Result<Option<Series>, TaskError> {
        println!("{:10} {FIRST}", side.name());
        let (mut cost, ended) = self.gauge.measure(|| side.seed(self.interrupt))?;
        cost.set(Figure::Failed, ended.failed as f64);
        let series = Series { side: side.name(), deed: Deed::First, runs: vec![cost] };
        Ok((side.name() == ours::NAME).then_some(series))
    }

    fn plan(&self, ours: &Ours<'_>) -> Result<Series, TaskError> {
        let mut series = Series::new(ours::NAME, Deed::Plan);
        let work = self.place.work;
        let version = work.publish_next()?;
        for _ in 0..self.runs {
            let (cost, _) = self.gauge.measure(|| ours.plan(&version, self.interrupt))?;
            series.runs.push(cost);
        }
        work.withdraw(&version)?;
        Ok(series)
    }

    fn alternate(&self, sides: &[&dyn Side]) -> Result<Vec<Series>, TaskError> {
        side::alternate(self.place, sides, self.runs, &self.gauge, self.interrupt)
    }
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
    thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
