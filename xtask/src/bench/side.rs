//! Those who deploy, and what their runs have cost.

use std::fmt;

use super::{
    figure::{Cost, Figure},
    gauge::{Ended, Gauge},
    place::Place,
    work::FIRST,
};
use crate::{console::TaskError, interrupt::Interrupt};

/// Somebody who deploys.
pub(super) trait Side: fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// The directory on a host in which it keeps everything.
    fn root(&self) -> &'static str;
    /// The path of the live release on a host.
    fn live(&self) -> &'static str;
    /// Puts the first version onto all hosts, on their own disks, as a real deployment does.
    /// Hosts that have it already are left as they are.
    fn seed(&self, interrupt: &Interrupt) -> Result<Ended, TaskError>;
    /// Deploys `version`, which no host has: this is measured.
    fn deploy(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError>;
    /// Goes back to the first version.
    fn back(&self, interrupt: &Interrupt) -> Result<Ended, TaskError>;
    /// Whether that is its own doing, and so worth a figure.
    fn goes_back_by_itself(&self) -> bool;
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// The first version came onto fresh hosts.
    First,
    /// A version with some changes came onto all hosts.
    Deploy,
    /// All hosts went back to the first version.
    Back,
    /// A plan was shown, and nothing changed.
    Plan,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first deploy",
            Self::Deploy => "deploy",
            Self::Back => "rollback",
            Self::Plan => "plan",
        })
    }
}

/// What one side's runs of one kind have cost.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) side: &'static str,
    pub(super) deed: Deed,
    pub(super) runs: Vec<Cost>,
}

impl Series {
    pub(super) fn new(side: &'static str, deed: Deed) -> Self {
        Self { side, deed, runs: Vec::new() }
    }

    pub(super) fn median(&self) -> Cost {
        Cost::median_of(&self.runs)
    }
}

/// How often a side deploys before it counts: until each host has had as many releases as it keeps,
/// as all hosts have that are in use.
pub(super) const SETTLING: usize = 2;

/// Lets `side` deploy, and go back, until its hosts are as they are in use.
pub(super) fn settle(
    place: &Place<'_>,
    side: &dyn Side,
    interrupt: &Interrupt,
) -> Result<(), TaskError> {
    for _ in 0..SETTLING {
        let version = place.work.publish_next()?;
        place.must_succeed("settle", &side.deploy(&version, interrupt)?)?;
        place.must_succeed("settle", &side.back(interrupt)?)?;
        place.work.withdraw(&version)?;
    }
    Ok(())
}

/// Lets the sides deploy, and go back, `runs` times in turn.
///
/// Each has versions of its own, which the origin has only while it is their turn: so nobody finds
/// what another has fetched, and nobody fetches more than one version.
pub(super) fn alternate(
    place: &Place<'_>,
    sides: &[&dyn Side],
    runs: usize,
    gauge: &Gauge<'_>,
    interrupt: &Interrupt,
) -> Result<Vec<Series>, TaskError> {
    let both = |side: &&dyn Side| {
        [Series::new(side.name(), Deed::Deploy), Series::new(side.name(), Deed::Back)]
    };
    let mut all: Vec<_> = sides.iter().map(both).collect();
    for _ in 0..runs {
        for (side, [deploys, backs]) in sides.iter().zip(&mut all) {
            let version = place.work.publish_next()?;
            let (cost, ended) = gauge.measure(|| side.deploy(&version, interrupt))?;
            deploys.runs.push(judge(place, *side, cost, &ended, &version)?);
            let (cost, ended) = gauge.measure(|| side.back(interrupt))?;
            backs.runs.push(judge(place, *side, cost, &ended, FIRST)?);
            place.work.withdraw(&version)?;
            println!("{:10} {version}: {}", side.name(), tell(deploys, backs));
        }
    }
    for (side, [_, backs]) in sides.iter().zip(&mut all) {
        if !side.goes_back_by_itself() {
            backs.runs.clear();
        }
    }
    Ok(all.into_iter().flatten().filter(|series| !series.runs.is_empty()).collect())
}

/// Adds to the cost how many hosts do not serve `version`.
fn judge(
    place: &Place<'_>,
    side: &dyn Side,
    mut cost: Cost,
    ended: &Ended,
    version: &str,
) -> Result<Cost, TaskError> {
    let failed = place.strays(side.live(), version)?.max(ended.failed);
    if failed > 0 {
        println!("{failed} failed; the last words:\n{}", place.said());
    }
    cost.set(Figure::Failed, failed as f64);
    Ok(cost)
}

fn tell(deploys: &Series, backs: &Series) -> String {
    let show = |series: &Series, figure: Figure| {
        let value = series.runs.last().and_then(|cost| cost.get(figure));
        value.map_or_else(|| "–".to_owned(), |value| figure.show(value))
    };
    format!(
        "{}; CPU {}, of the hosts {}; back in {}",
        show(deploys, Figure::Wall),
        show(deploys, Figure::DeployerCpu),
        show(deploys, Figure::HostsCpu),
        show(backs, Figure::Wall)
    )
}
