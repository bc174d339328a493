//! The one way by which a string that is not ours reaches a terminal.
//!
//! Hosts' output, tags, subjects, authors, lock reasons and others' journals may hold terminal
//! escapes, text that reverses direction, or characters that cannot be seen. All of these are shown
//! as escapes.

use std::borrow::Cow;

/// Shows `text` on one line: every character that could act on a terminal or hide is escaped, line
/// breaks and tabs included.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Shows `text` as it is laid out: line breaks and tabs are kept, all else is escaped as in
/// [`line()`].
pub fn block(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == '\n' || c == '\t')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let acts = |c: char| is_unsafe(c) && !keep(c);
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            match c {
                '\n' => shown.push_str("\\n"),
                '\r' => shown.push_str("\\r"),
                '\t' => shown.push_str("\\t"),
                c if u32::from(c) < 0x100 => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Whether `c` could act on a terminal, turn the direction of text, or hide: C0, DEL, C1, bidi
/// controls, zero-width characters, line and paragraph separators, tags.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_is_shown() {
        for (text, shown) in [
            ("\u{1b}[2Jgone", "\\x1b[2Jgone"),
            ("a\u{9b}31mb", "a\\x9b31mb"),
            ("a\u{7f}\u{8}b", "a\\x7f\\x08b"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("two\nlines\r", "two\\nlines\\r"),
            ("plain é 漢字 🚀", "plain é 漢字 🚀"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn a_block_keeps_its_lines_and_nothing_else() {
        assert_eq!(block("a\n\tb\r\u{1b}c"), "a\n\tb\\r\\x1bc");
    }
}
