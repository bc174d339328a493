//! Plain tables: columns as wide as their widest cell.

use unicode_width::UnicodeWidthStr;

use crate::display;

/// A table of foreign or own strings; each cell is escaped by [`display::line()`].
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        let mut table = Self::default();
        table.row(heading.map(str::to_owned));
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| display::line(&cell).into_owned()).collect());
    }

    /// Whether it has no row beside the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Cuts cells of `column` until no line is wider than `width`, but leaves each `least` columns.
    pub fn shrink(&mut self, column: usize, least: usize, width: usize) {
        let widest = self.lines().iter().map(|line| line.width()).max().unwrap_or(0);
        let cells = || self.rows.iter().filter_map(|row| row.get(column));
        let now = cells().map(|cell| cell.width()).max().unwrap_or(0);
        let room = now.saturating_sub(widest.saturating_sub(width)).max(least);
        for cell in self.rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            if cell.width() > room {
                while cell.width() >= room && cell.pop().is_some() {}
                cell.push('…');
            }
        }
    }

    /// The lines, heading first. The last column is not padded.
    pub fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows
            .iter()
            .map(|row| {
                let mut line = String::new();
                for (cell, width) in row.iter().zip(&widths) {
                    line.push_str(cell);
                    line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
                }
                line.trim_end().to_owned()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_cells_are_inert() {
        let mut table = Table::new(["HOST", "LIVE"]);
        table.row(["漢字".to_owned(), "v1".to_owned()]);
        table.row(["h1\u{1b}c".to_owned(), "v2".to_owned()]);
        assert_eq!(table.lines(), ["HOST     LIVE", "漢字     v1", "h1\\x1bc  v2"]);
        table.shrink(0, 3, 10);
        assert_eq!(table.lines(), ["HOST  LIVE", "漢字  v1", "h1\\…  v2"]);
        table.shrink(0, 3, 1);
        assert_eq!(table.lines(), ["HO…  LIVE", "漢…  v1", "h1…  v2"]);
    }
}
