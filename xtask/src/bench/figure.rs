//! What is measured of a run, and the median of several.

use std::collections::BTreeMap;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Figure {
    /// From the start of the first process to the end of the last, in seconds.
    Wall,
    /// CPU of the deployer's processes, in seconds.
    DeployerCpu,
    /// CPU of all hosts together, in seconds.
    HostsCpu,
    /// CPU of the origin's `git daemon`, in seconds.
    OriginCpu,
    /// The most memory that the deployer's main process held, in bytes.
    Memory,
    /// What all hosts together received, in bytes with all headers.
    Sent,
    /// TCP connections from the deployer to hosts.
    Connections,
    /// How often somebody read the origin.
    OriginReads,
    /// Hosts that do not serve the version afterwards.
    Failed,
}

impl Figure {
    /// All, as the table shows them.
    pub(super) const ALL: [Self; 9] = [
        Self::Wall,
        Self::DeployerCpu,
        Self::HostsCpu,
        Self::OriginCpu,
        Self::Memory,
        Self::Sent,
        Self::Connections,
        Self::OriginReads,
        Self::Failed,
    ];

    /// Its name in JSON; the unit is part of it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Wall => "wall_seconds",
            Self::DeployerCpu => "deployer_cpu_seconds",
            Self::HostsCpu => "hosts_cpu_seconds",
            Self::OriginCpu => "origin_cpu_seconds",
            Self::Memory => "deployer_memory_bytes",
            Self::Sent => "received_by_hosts_bytes",
            Self::Connections => "connections",
            Self::OriginReads => "origin_reads",
            Self::Failed => "failed_hosts",
        }
    }

    /// Its name in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::DeployerCpu => "deployer's CPU",
            Self::HostsCpu => "hosts' CPU",
            Self::OriginCpu => "origin's CPU",
            Self::Memory => "memory",
            Self::Sent => "sent",
            Self::Connections => "connections",
            Self::OriginReads => "origin reads",
            Self::Failed => "failed",
        }
    }

    /// The value for people, with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Wall | Self::DeployerCpu | Self::HostsCpu | Self::OriginCpu => seconds(value),
            Self::Memory | Self::Sent if value < 1e6 => format!("{:.0} kB", value / 1e3),
            Self::Memory | Self::Sent => format!("{:.1} MB", value / 1e6),
            Self::Connections | Self::OriginReads | Self::Failed => format!("{value:.0}"),
        }
    }
}

/// Seconds for people: three digits that mean something.
pub(super) fn seconds(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{:.0} ms", value * 1000.0),
        value if value < 10.0 => format!("{value:.2} s"),
        value => format!("{value:.1} s"),
    }
}

/// What one run has cost. What could not be measured is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cost(BTreeMap<Figure, f64>);

impl Cost {
    pub(super) fn set(&mut self, figure: Figure, value: f64) {
        self.0.insert(figure, value);
    }

    pub(super) fn get(&self, figure: Figure) -> Option<f64> {
        self.0.get(&figure).copied()
    }

    /// The median of each figure by itself, over those runs that have it.
    pub(super) fn median_of(runs: &[Self]) -> Self {
        let of = |figure| {
            let values = runs.iter().filter_map(|run| run.get(figure)).collect();
            median(values).map(|value| (figure, value))
        };
        Self(Figure::ALL.into_iter().filter_map(of).collect())
    }

    /// The most of a figure over all runs.
    pub(super) fn most_of(runs: &[Self], figure: Figure) -> Option<f64> {
        runs.iter().filter_map(|run| run.get(figure)).reduce(f64::max)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn each_figure_has_its_own_median_and_may_be_missing() {
        let run = |wall, cpu: Option<f64>| {
            let mut cost = Cost::default();
            cost.set(Figure::Wall, wall);
            cpu.into_iter().for_each(|cpu| cost.set(Figure::HostsCpu, cpu));
            cost
        };
        let runs = [run(1.0, Some(9.0)), run(3.0, None), run(2.0, Some(5.0))];
        let median = Cost::median_of(&runs);
        assert_eq!(median.get(Figure::Wall), Some(2.0));
        assert_eq!(median.get(Figure::HostsCpu), Some(7.0));
        assert_eq!(median.get(Figure::Sent), None);
        assert_eq!(Cost::most_of(&runs, Figure::Wall), Some(3.0));
    }

    #[test]
    fn values_are_shown_with_their_units() {
        assert_eq!(Figure::Wall.show(0.0514), "51 ms");
        assert_eq!(Figure::HostsCpu.show(6.512), "6.51 s");
        assert_eq!(Figure::Wall.show(14.94), "14.9 s");
        assert_eq!(Figure::Memory.show(37_400_000.0), "37.4 MB");
        assert_eq!(Figure::Sent.show(15_490.0), "15 kB");
        assert_eq!(Figure::Connections.show(100.0), "100");
    }
}
