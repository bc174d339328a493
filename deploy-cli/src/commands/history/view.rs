//! How runs are listed: whole, or as much of each as a terminal has room for on a line.

use jiff::{Timestamp, Zoned};
use unicode_width::UnicodeWidthStr;

use crate::{display, paragraph, table::Table, time};

/// The least that is left of what a run did.
const LEAST: usize = 12;

/// A run in the list.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) run: String,
    pub(super) started: Option<Timestamp>,
    pub(super) what: String,
    pub(super) outcome: String,
    pub(super) hosts: String,
    pub(super) took: String,
    pub(super) by: String,
    pub(super) why: String,
}

/// The list within `width` columns. What has no room beside the others stands below its run, and
/// only what a run did is ever cut; `show` has all. Without a width all is on one line.
pub(super) fn lines(rows: &[Row], width: Option<usize>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let whole = whole(rows).lines();
    let Some(width) = width.filter(|width| !fit(&whole, *width)) else { return whole };
    let now = Zoned::now();
    let with_who = narrow(rows, &now, true).lines();
    let below = |row: &Row| display::line(&row.why).into_owned();
    if fit(&with_who, width) {
        return interleave(with_who, rows, width, below);
    }
    let mut table = narrow(rows, &now, false);
    table.shrink(2, LEAST, width);
    interleave(table.lines(), rows, width, |row| {
        let why = if row.why.is_empty() { String::new() } else { format!(": {}", row.why) };
        display::line(&format!("by {} in {}{why}", row.by, row.took)).into_owned()
    })
}

fn fit(lines: &[String], width: usize) -> bool {
    lines.iter().all(|line| line.width() <= width)
}

fn whole(rows: &[Row]) -> Table {
    let mut table = Table::new(["RUN", "WHEN", "WHAT", "BY", "OUTCOME", "HOSTS", "TOOK", "WHY"]);
    for row in rows {
        let when = row.started.map_or(String::new(), time::moment);
        let Row { run, what, by, outcome, hosts, took, why, .. } = row;
        let cells = [run, &when, what, by, outcome, hosts, took, why];
        table.row(cells.into_iter().cloned());
    }
    table
}

fn narrow(rows: &[Row], now: &Zoned, with_who: bool) -> Table {
    let mut table = if with_who {
        Table::new(["RUN", "WHEN", "WHAT", "OUTCOME", "HOSTS", "TOOK", "BY"])
    } else {
        Table::new(["RUN", "WHEN", "WHAT", "OUTCOME", "HOSTS"])
    };
    for row in rows {
        let when = row.started.map_or(String::new(), |at| time::brief(at, now));
        let Row { run, what, outcome, hosts, took, by, .. } = row;
        let cells = [run, &when, what, outcome, hosts, took, by];
        table.row(cells.into_iter().take(if with_who { 7 } else { 5 }).cloned());
    }
    table
}

/// Each row with what stands below it.
fn interleave(
    table: Vec<String>,
    rows: &[Row],
    width: usize,
    below: impl Fn(&Row) -> String,
) -> Vec<String> {
    let mut table = table.into_iter();
    let mut lines: Vec<String> = table.next().into_iter().collect();
    for (line, row) in table.zip(rows) {
        lines.push(line);
        let below = below(row);
        if !below.is_empty() {
            lines.extend(paragraph::wrap(&format!("    {below}"), width));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Row; 2] {
        let row = |why: &str| Row {
            run: "20150610-141503-1a2b".to_owned(),
            started: Some("2015-06-10T14:15:03Z".parse().unwrap()),
            what: "deploy release/2015-06-10/1".to_owned(),
            outcome: "rolled back".to_owned(),
            hosts: "12/40".to_owned(),
            took: "1m30s".to_owned(),
            by: "ann@desk".to_owned(),
            why: why.to_owned(),
        };
        [row("the search answers slowly, and the new index is said to help with that"), row("")]
    }

    #[test]
    fn the_list_fits_a_terminal_and_is_whole_elsewhere() {
        for width in [72, 80, 100, 120] {
            let lines = lines(&rows(), Some(width));
            assert!(fit(&lines, width), "{width}: {lines:#?}");
            let all = lines.join("\n");
            assert!(all.contains("ann@desk") && all.contains("20150610-141503-1a2b"), "{all}");
            let words: Vec<&str> = all.split_whitespace().collect();
            assert!(words.join(" ").contains(&rows()[0].why), "{all}");
        }
        assert!(lines(&rows(), None)[1].ends_with(&rows()[0].why));
        assert_eq!(lines(&rows(), Some(400)), lines(&rows(), None));
        insta::assert_snapshot!(lines(&rows(), Some(80)).join("\n"), @r"
        RUN                   WHEN     WHAT                         OUTCOME      HOSTS
        20150610-141503-1a2b  2015-06  deploy release/2015-06-10/1  rolled back  12/40
            by ann@desk in 1m30s: the search answers slowly, and the new index is said
              to help with that
        20150610-141503-1a2b  2015-06  deploy release/2015-06-10/1  rolled back  12/40
            by ann@desk in 1m30s
        ");
    }
}
