//! The bars: what the measured figures must not exceed.

use super::{
    figure::{Cost, Figure},
    ours::Unchanged,
    row::Series,
};
use crate::HostKind;

/// What a row has measured.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) kind: HostKind,
    pub(super) hosts: usize,
    pub(super) unchanged: Unchanged,
    /// The size in bytes of the least pack with the change.
    pub(super) pack: u64,
    pub(super) series: Vec<Series>,
}

/// One thing that must not be more than a limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) limit: f64,
    pub(super) unit: Unit,
}

/// What a bar is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A part of something else.
    Ratio,
    Bytes,
    Count,
}

impl Bar {
    pub(super) fn is_met(&self) -> bool {
        self.measured <= self.limit
    }

    /// A value of the bar for people.
    pub(super) fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Ratio => format!("× {value:.2}"),
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

impl Measured {
    /// The name of the row.
    pub(super) fn title(&self) -> String {
        format!("{} {} hosts", self.hosts, self.kind)
    }

    pub(super) fn of(&self, side: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.side == side)
    }

    fn ours(&self) -> Option<&Series> {
        self.of("deploy-cli")
    }

    /// Our figure as a part of the floor's.
    pub(super) fn ratio(&self, figure: Figure) -> Option<f64> {
        let of = |series: &Series| Cost::median_of(&series.deploys).get(figure);
        Some(of(self.ours()?)? / of(self.of("floor")?)?)
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
        let Some(ours) = self.ours() else { return Vec::new() };
        let title = self.title();
        let bar = |what: &str, measured: Option<f64>, limit: Option<f64>, unit| {
            let (what, measured, limit) = (format!("{title}: {what}"), measured?, limit?);
            Some(Bar { what, measured, limit, unit })
        };
        let most = |figure| Cost::most_of(&ours.deploys, figure);
        let wall = |runs: &[Cost]| Cost::median_of(runs).get(Figure::Wall);
        let of_deploy = wall(&ours.backs).zip(wall(&ours.deploys)).map(|(back, out)| back / out);
        let a_host = |value: Option<f64>| value.map(|value| value / self.hosts as f64);
        let failed =
            Cost::most_of(&[ours.deploys.clone(), ours.backs.clone()].concat(), Figure::Failed);
        let cpu_limit = (self.hosts >= 10).then_some(0.35);
        let back_limit = (self.hosts == 100).then_some(1.0 / 3.0);
        [
            bar("time, of the floor's", self.ratio(Figure::Wall), self.wall_limit(), Unit::Ratio),
            bar(
                "deployer's CPU, of the floor's",
                self.ratio(Figure::DeployerCpu),
                cpu_limit,
                Unit::Ratio,
            ),
            bar("deployer's memory", most(Figure::Memory), self.memory_limit(), Unit::Bytes),
            bar("rollback, of the deploy's time", of_deploy, back_limit, Unit::Ratio),
            bar("connections per host", a_host(most(Figure::Connections)), Some(1.0), Unit::Count),
            bar("reads of the origin", most(Figure::OriginReads), Some(1.0), Unit::Count),
            bar("hosts lost", failed, Some(0.0), Unit::Count),
        ]
        .into_iter()
        .flatten()
        .collect()
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
        Cost::median_of(&row.ours()?.deploys).get(Figure::Wall)
    };
    let measured = wall(300)? / wall(50)?;
    let what = "from 50 to 300 light hosts: time".to_owned();
    Some(Bar { what, measured, limit: 6.0, unit: Unit::Ratio })
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
        let runs = |walls: &[f64]| {
            walls.iter().map(|wall| cost(&[(Figure::Wall, *wall), (Figure::Failed, 0.0)])).collect()
        };
        let series = |side, walls| Series { side, deploys: runs(walls), backs: runs(&[1.0]) };
        let series = vec![series("floor", floor), series("deploy-cli", ours)];
        Measured { kind, hosts, unchanged: Unchanged::Link, pack: 20_000, series }
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
    fn one_lost_host_in_one_run_is_one_too_many() {
        let mut row = row(HostKind::Light, 20, &[1.0], &[1.0, 1.0, 1.0]);
        row.series[1].deploys[1].set(Figure::Failed, 1.0);
        assert!(!find(&bars(&[row]), "hosts lost").is_met());
    }

    #[test]
    fn growth_is_judged_when_both_ends_are_there() {
        let at = |hosts, wall| row(HostKind::Light, hosts, &[50.0], &[wall]);
        assert!(growth(&[at(50, 2.0)]).is_none());
        assert!(growth(&[at(50, 2.0), at(300, 12.0)]).unwrap().is_met());
        assert!(!growth(&[at(50, 2.0), at(300, 12.1)]).unwrap().is_met());
    }
}
