//! Timestamped lines, for logs and for whoever is not at a terminal.

use deploy_core::record::{Event, ObserveError, Observer};

use super::teller::Teller;
use crate::{time, ui::Ui};

/// Writes what happens to standard output, a line each.
#[derive(Debug)]
pub struct PlainReporter {
    ui: Ui,
    teller: Teller,
}

impl PlainReporter {
    /// Writes to `ui`; each stage of each target where that is verbose.
    pub fn new(ui: Ui) -> Self {
        Self { teller: Teller::new(ui.clone()), ui }
    }
}

impl Observer for PlainReporter {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        let stamp = time::clock(event.at);
        for line in self.teller.tell(&event.kind) {
            self.ui.line(&format!("{} {line}", self.ui.paint(self.ui.dim(), &stamp)));
        }
        Ok(())
    }
}
