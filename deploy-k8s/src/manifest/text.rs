//! Objects and their differences as text.

use serde_json::Value;
use similar::TextDiff;

/// How many lines of one diff are kept.
const LINES: usize = 120;
/// How much of one line is kept, in characters.
const WIDTH: usize = 300;

/// `value` as YAML; a text of several lines is several lines.
pub(super) fn yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 100_000 };
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value:#}"))
}

/// What changes from `old` to `new`, with a little around it. Empty where nothing does.
pub(super) fn unified(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let text = |value: Option<&Value>| value.map(yaml).unwrap_or_default();
    let (old, new) = (text(old), text(new));
    let diff = TextDiff::from_lines(&old, &new);
    let unified = diff.unified_diff().context_radius(3).missing_newline_hint(false).to_string();
    bounded(unified.lines())
}

/// As many of `lines`, and as much of each, as is kept; what is cut is said.
pub(super) fn bounded<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(|line| shortened(line, WIDTH)).collect();
    let more = lines.len().saturating_sub(LINES);
    if more > 0 {
        lines.truncate(LINES);
        lines.push(format!("… and {more} more lines"));
    }
    lines
}

/// `value` on one line.
pub(super) fn inline(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) => shortened(&value.to_string(), 80),
    }
}

pub(super) fn shortened(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_several_lines_change_line_by_line() {
        let of = |line: &str| json!({ "data": { "a.conf": format!("one\n{line}\nthree\n") } });
        let lines = unified(Some(&of("two")), Some(&of("2"))).join("\n");
        assert!(
            lines.contains("\n-    two\n+    \"2\"\n") || lines.contains("\n-    two\n+    2\n"),
            "{lines}"
        );
        assert!(unified(Some(&of("x")), Some(&of("x"))).is_empty());
    }

    #[test]
    fn long_lines_stay_one_line_and_what_is_cut_is_said() {
        let word = "word ".repeat(50);
        let lines = unified(Some(&json!({ "a": word })), Some(&json!({ "a": format!("{word}!") })));
        assert_eq!(lines.len(), 3, "{lines:?}");
        let many: Vec<u32> = (0..1000).collect();
        let lines = unified(None, Some(&json!(many)));
        assert_eq!(lines.len(), LINES + 1);
        assert_eq!(lines[LINES], format!("… and {} more lines", 1001 - LINES));
        let wide = unified(None, Some(&json!({ "a": "é".repeat(5000) })));
        assert!(wide.iter().all(|line| line.chars().count() <= WIDTH + 1));
    }
}
