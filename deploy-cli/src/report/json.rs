//! Events as JSON, one a line: the same lines as in the journal.

use deploy_core::record::{Event, ObserveError, Observer};

use crate::ui::Ui;

/// Writes each event to standard output as a line of JSON.
#[derive(Debug)]
pub struct JsonReporter {
    ui: Ui,
}

impl JsonReporter {
    /// Writes to `ui`.
    pub fn new(ui: Ui) -> Self {
        Self { ui }
    }
}

impl Observer for JsonReporter {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        if let Ok(line) = serde_json::to_string(event) {
            // JSON leaves C1 and bidi characters as they are; escaped, they mean the same to a
            // reader of JSON and nothing to a terminal.
            self.ui.line(&escape_json(&line));
        }
        Ok(())
    }
}

/// Writes every character that could act on a terminal as `\uXXXX`, which JSON reads back.
pub fn escape_json(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if crate::display::line(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_json_and_does_nothing_to_a_terminal() {
        let line = serde_json::to_string("a\u{9b}\u{202e}\u{e0001}é").unwrap();
        let escaped = escape_json(&line);
        assert_eq!(escaped, "\"a\\u009b\\u202e\\udb40\\udc01é\"");
        let back: String = serde_json::from_str(&escaped).unwrap();
        assert_eq!(back, "a\u{9b}\u{202e}\u{e0001}é");
    }
}
