//! What is published: a short table for who looks around, all figures for who wants to know.

use super::{
    bar::Bar,
    figure::{Figure, seconds},
    floor, machine,
    measured::Measured,
    ours,
    side::Deed,
    table::{self, table},
};

/// The table of the README: how long a deployment takes, by side.
pub(super) fn short(rows: &[Measured]) -> String {
    let mut sides: Vec<&'static str> = vec![floor::NAME, ours::NAME];
    for series in rows.iter().flat_map(|row| &row.series) {
        if !sides.contains(&series.side) {
            sides.push(series.side);
        }
    }
    let head: Vec<_> = ["hosts"].iter().chain(&sides).copied().chain(["of the floor"]).collect();
    let lines = rows.iter().map(|row| {
        let wall = |side: &&str| {
            let wall = row.median(side, Deed::Deploy, Figure::Wall);
            wall.map_or_else(|| "–".to_owned(), seconds)
        };
        let of_floor = row.of_floor(Figure::Wall);
        let of_floor = of_floor.map_or_else(|| "–".to_owned(), |part| format!("{part:.2} ×"));
        let name = format!("{} {}", row.hosts, row.kind);
        [name].into_iter().chain(sides.iter().map(wall)).chain([of_floor]).collect()
    });
    table(&head, &lines.collect::<Vec<_>>())
}

/// All figures and bars, and where they are from; `peers` are the versions of other tools.
pub(super) fn long(rows: &[Measured], bars: &[Bar], peers: Option<&str>) -> String {
    let peers = peers.map_or_else(String::new, |versions| format!("; {versions}"));
    format!(
        "Measured on {}{peers}.\n\n{}\n{}",
        machine::describe(),
        table::figures(rows),
        table::bars(bars)
    )
}
