//! How the figures are shown.

use serde_json::{Value, json};

use super::{
    bar::Bar,
    figure::{Cost, Figure},
    measured::Measured,
};

/// Columns as wide as they must be, as Markdown.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        format!("|{}\n", padded.collect::<String>())
    };
    let head: Vec<_> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule: String = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{rule}\n{body}", line(&head))
}

/// The figures of all rows and sides.
pub(super) fn figures(rows: &[Measured]) -> String {
    let titles = ["hosts", "side", "what"].into_iter().chain(Figure::ALL.map(Figure::title));
    let lines = rows.iter().flat_map(|row| {
        row.series.iter().map(|series| {
            let median = series.median();
            let cell = |figure: Figure| {
                median.get(figure).map_or_else(|| "–".to_owned(), |value| figure.show(value))
            };
            [format!("{} {}", row.hosts, row.kind), series.side.to_owned(), series.deed.to_string()]
                .into_iter()
                .chain(Figure::ALL.map(cell))
                .collect()
        })
    });
    table(&titles.collect::<Vec<_>>(), &lines.collect::<Vec<_>>())
}

/// The bars, met or not.
pub(super) fn bars(bars: &[Bar]) -> String {
    let line = |bar: &Bar| {
        let verdict = if bar.is_met() { "met" } else { "NOT met" };
        vec![bar.what.clone(), bar.show(bar.measured), bar.show(bar.limit), verdict.to_owned()]
    };
    table(&["bar", "measured", "at most", ""], &bars.iter().map(line).collect::<Vec<_>>())
}

/// All of it for programs.
pub(super) fn json(rows: &[Measured], bars: &[Bar]) -> Value {
    let row = |row: &Measured| {
        let series = row.series.iter().map(|series| {
            json!({
                "side": series.side,
                "what": series.deed.to_string(),
                "median": cost(&series.median()),
                "runs": series.runs.iter().map(cost).collect::<Vec<_>>(),
            })
        });
        json!({
            "hosts": row.hosts,
            "kind": row.kind.to_string(),
            "pack_bytes": row.packs.change,
            "first_pack_bytes": row.packs.first,
            "series": series.collect::<Vec<_>>(),
        })
    };
    json!({
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "bars": bars_json(bars),
    })
}

/// What was measured of a run, for programs.
pub(super) fn cost(cost: &Cost) -> Value {
    let figures = Figure::ALL.into_iter();
    let pairs = figures.filter_map(|figure| Some((figure.key().into(), cost.get(figure)?.into())));
    Value::Object(pairs.collect())
}

/// The bars for programs.
pub(super) fn bars_json(bars: &[Bar]) -> Value {
    let bar = |bar: &Bar| {
        json!({
            "bar": bar.what,
            "measured": bar.measured,
            "at_most": bar.limit,
            "met": bar.is_met(),
        })
    };
    bars.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [vec!["50 light".to_owned(), "6.5 s".to_owned()]];
        let expected = "\
| hosts    | wall  |
|----------|-------|
| 50 light | 6.5 s |
";
        assert_eq!(table(&["hosts", "wall"], &rows), expected);
    }
}
