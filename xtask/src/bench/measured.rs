//! What a row has measured, and the bars that can be judged by it.

use super::{
    bar::{Bar, Unit},
    figure::{Cost, Figure},
    ours::{self, Unchanged},
    side::{Deed, Series},
};
use crate::{HostKind, bench::floor};

/// What a row has measured.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) kind: HostKind,
    pub(super) hosts: usize,
    pub(super) unchanged: Unchanged,
    pub(super) packs: Packs,
    pub(super) series: Vec<Series>,
}

/// The sizes in bytes of the least packs that hosts can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packs {
    /// With the first version, for a fresh host.
    pub(super) first: u64,
    /// With the change.
    pub(super) change: u64,
    /// How many fresh hosts got the first version in this row.
    pub(super) fresh: usize,
}

impl Measured {
    /// The name of the row.
    pub(super) fn title(&self) -> String {
        format!("{} {} hosts", self.hosts, self.kind)
    }

    pub(super) fn of(&self, side: &str, deed: Deed) -> Option<&Series> {
        self.series.iter().find(|series| series.side == side && series.deed == deed)
    }

    /// The median of a figure.
    pub(super) fn median(&self, side: &str, deed: Deed, figure: Figure) -> Option<f64> {
        self.of(side, deed)?.median().get(figure)
    }

    /// The most that any of our runs of this kind had.
    fn most(&self, deed: Deed, figure: Figure) -> Option<f64> {
        Cost::most_of(&self.of(ours::NAME, deed)?.runs, figure)
    }

    /// Our figure of a deployment as a multiple of the floor's.
    pub(super) fn of_floor(&self, figure: Figure) -> Option<f64> {
        let of = |side| self.median(side, Deed::Deploy, figure);
        Some(of(ours::NAME)? / of(floor::NAME)?)
    }

    /// How much of the floor's time may be taken; only some sizes have such a bar.
    fn wall_limit(&self) -> Option<f64> {
        match (self.kind, self.hosts) {
            (HostKind::Systemd, 10) => Some(1.0),
            (HostKind::Light, 50 | 100) => Some(match self.unchanged {
                Unchanged::Link => 0.4,
                Unchanged::Copy => 0.8,
            }),
            _ => None,
        }
    }

    fn memory_limit(&self) -> Option<f64> {
        match (self.kind, self.hosts) {
            (HostKind::Light, 100) => Some(40e6),
            (HostKind::Light, 300) => Some(100e6),
            _ => None,
        }
    }

    /// The bars of this row alone.
    fn bars(&self) -> Vec<Bar> {
        let bar = |what: &str, measured: Option<f64>, limit: Option<f64>, unit| {
            let what = format!("{}: {what}", self.title());
            Some(Bar { what, measured: measured?, limit: limit?, unit })
        };
        let wall = |deed| self.median(ours::NAME, deed, Figure::Wall);
        let back = wall(Deed::Back).zip(wall(Deed::Deploy)).map(|(back, out)| back / out);
        let a_host = |value: Option<f64>| value.map(|value| value / self.hosts as f64);
        let connections = |deed| a_host(self.most(deed, Figure::Connections));
        let lost =
            [Deed::First, Deed::Deploy, Deed::Back].map(|deed| self.most(deed, Figure::Failed));
        let lost = lost.into_iter().flatten().reduce(f64::max);
        let memory = self.most(Deed::Deploy, Figure::Memory);
        let reads = self.most(Deed::Deploy, Figure::OriginReads);
        let cpu_limit = (self.hosts >= 10).then_some(0.35);
        let back_limit = (self.hosts == 100).then_some(1.0 / 3.0);
        let once = Some(1.0);
        [
            bar(
                "time, of the floor's",
                self.of_floor(Figure::Wall),
                self.wall_limit(),
                Unit::Times,
            ),
            bar(
                "deployer's CPU, of the floor's",
                self.of_floor(Figure::DeployerCpu),
                cpu_limit,
                Unit::Times,
            ),
            bar("deployer's memory", memory, self.memory_limit(), Unit::Bytes),
            bar(
                "sent with a change, of its pack",
                self.sent(Deed::Deploy),
                Some(1.05),
                Unit::Times,
            ),
            bar(
                "sent with a first deploy, of its pack",
                self.sent(Deed::First),
                Some(1.05),
                Unit::Times,
            ),
            bar("connections per host", connections(Deed::Deploy), once, Unit::Count),
            bar("connections per host for a plan", connections(Deed::Plan), once, Unit::Count),
            bar("reads of the origin", reads, once, Unit::Count),
            bar("hosts lost", lost, Some(0.0), Unit::Count),
            bar("rollback, of the deploy's time", back, back_limit, Unit::Times),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What was sent, as a multiple of the packs that had to be.
    fn sent(&self, deed: Deed) -> Option<f64> {
        let (pack, hosts) = match deed {
            Deed::First => (self.packs.first, self.packs.fresh),
            _ => (self.packs.change, self.hosts),
        };
        let sent = self.median(ours::NAME, deed, Figure::Sent)?;
        (hosts > 0).then(|| sent / (pack as f64 * hosts as f64))
    }
}

/// All bars that the rows allow to judge.
pub(super) fn bars(rows: &[Measured]) -> Vec<Bar> {
    rows.iter().flat_map(Measured::bars).chain(growth(rows)).collect()
}

/// From 50 to 300 hosts the time grows no worse than their number.
fn growth(rows: &[Measured]) -> Option<Bar> {
    let wall = |hosts| {
        let row = rows.iter().find(|row| row.kind == HostKind::Light && row.hosts == hosts)?;
        row.median(ours::NAME, Deed::Deploy, Figure::Wall)
    };
    let measured = wall(300)? / wall(50)?;
    let what = "300 light hosts: time, of that with 50".to_owned();
    Some(Bar { what, measured, limit: 6.0, unit: Unit::Times })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(figures: &[(Figure, f64)]) -> Cost {
        let mut cost = Cost::default();
        figures.iter().for_each(|(figure, value)| cost.set(*figure, *value));
        cost
    }

    fn row(kind: HostKind, hosts: usize, floor: &[f64], ours: &[f64]) -> Measured {
        let series = |side, deed, walls: &[f64]| {
            let run = |wall: &f64| cost(&[(Figure::Wall, *wall), (Figure::Failed, 0.0)]);
            Series { side, deed, runs: walls.iter().map(run).collect() }
        };
        let series = vec![
            series(floor::NAME, Deed::Deploy, floor),
            series(ours::NAME, Deed::Deploy, ours),
            series(ours::NAME, Deed::Back, &[1.0]),
        ];
        let packs = Packs { first: 5_000_000, change: 10_000, fresh: 10 };
        Measured { kind, hosts, unchanged: Unchanged::Link, packs, series }
    }

    fn find<'a>(bars: &'a [Bar], what: &str) -> &'a Bar {
        bars.iter().find(|bar| bar.what.contains(what)).unwrap()
    }

    #[test]
    fn the_median_time_is_held_against_the_floors() {
        let rows = [row(HostKind::Light, 50, &[10.0, 6.0, 5.0], &[2.0, 3.0, 9.0])];
        let bars = bars(&rows);
        let time = find(&bars, "time, of the floor's");
        assert_eq!((time.measured, time.limit, time.is_met()), (0.5, 0.4, false));
        assert!(find(&bars, "hosts lost").is_met());
    }

    #[test]
    fn copies_and_services_have_other_limits() {
        let mut copies = row(HostKind::Light, 100, &[10.0], &[7.0]);
        copies.unchanged = Unchanged::Copy;
        let services = row(HostKind::Systemd, 10, &[2.0], &[1.9]);
        assert!(find(&bars(&[copies]), "of the floor's").is_met());
        assert!(find(&bars(&[services]), "of the floor's").is_met());
        let small = row(HostKind::Light, 2, &[1.0], &[1.9]);
        assert!(!bars(&[small]).iter().any(|bar| bar.what.contains("of the floor's")));
    }

    #[test]
    fn a_rollback_is_held_against_the_deploy() {
        let bar = |wall| {
            let bars = bars(&[row(HostKind::Light, 100, &[9.0], &[wall])]);
            find(&bars, "rollback").is_met()
        };
        assert!(bar(3.0));
        assert!(!bar(2.9));
    }

    #[test]
    fn one_lost_host_in_one_run_is_one_too_many() {
        let mut row = row(HostKind::Light, 20, &[1.0], &[1.0, 1.0, 1.0]);
        row.series[1].runs[1].set(Figure::Failed, 1.0);
        assert!(!find(&bars(&[row]), "hosts lost").is_met());
    }

    #[test]
    fn what_is_sent_is_held_against_the_packs() {
        let mut row = row(HostKind::Light, 20, &[1.0], &[1.0]);
        row.series[1].runs[0].set(Figure::Sent, 250_000.0);
        row.series.push(Series {
            side: ours::NAME,
            deed: Deed::First,
            runs: vec![cost(&[(Figure::Sent, 52_000_000.0)])],
        });
        let mut bars = bars(std::slice::from_ref(&row));
        assert_eq!(find(&bars, "with a change").measured, 1.25);
        assert_eq!(find(&bars, "first deploy").measured, 1.04);
        row.packs.fresh = 0;
        bars = super::bars(&[row]);
        assert!(!bars.iter().any(|bar| bar.what.contains("first deploy")));
    }

    #[test]
    fn growth_is_judged_when_both_ends_are_there() {
        let at = |hosts, wall| row(HostKind::Light, hosts, &[50.0], &[wall]);
        assert!(growth(&[at(50, 2.0)]).is_none());
        assert!(growth(&[at(50, 2.0), at(300, 12.0)]).unwrap().is_met());
        assert!(!growth(&[at(50, 2.0), at(300, 12.1)]).unwrap().is_met());
    }
}
