//! The rows of the table: what one way to do something has cost.

use serde_json::{Value, json};

use crate::bench::{
    figure::{Cost, Figure},
    table::{self, table},
};

/// What is told of each way.
const FIGURES: [Figure; 3] = [Figure::Wall, Figure::DeployerCpu, Figure::Memory];

/// One way, with its runs.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) way: &'static str,
    pub(super) runs: Vec<Cost>,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, way: &'static str) -> Self {
        Self { what: what.into(), way, runs: Vec::new() }
    }

    pub(super) fn median(&self) -> Cost {
        Cost::median_of(&self.runs)
    }

    /// All of it for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "how": self.way,
            "median": table::cost(&self.median()),
            "runs": self.runs.iter().map(table::cost).collect::<Vec<_>>(),
        })
    }
}

/// The medians, as Markdown.
pub(super) fn shown(rows: &[Row]) -> String {
    let titles: Vec<_> = ["what", "how"].into_iter().chain(FIGURES.map(Figure::title)).collect();
    let line = |row: &Row| {
        let median = row.median();
        let cell = |figure: Figure| {
            median.get(figure).map_or_else(|| "–".to_owned(), |value| figure.show(value))
        };
        [row.what.clone(), row.way.to_owned()].into_iter().chain(FIGURES.map(cell)).collect()
    };
    table(&titles, &rows.iter().map(line).collect::<Vec<_>>())
}
