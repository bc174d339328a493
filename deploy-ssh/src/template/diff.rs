//! What changes in rendered files, for a person to read.

use similar::TextDiff;

use super::{Shown, ShownFile};

/// How many lines of one diff are kept.
const LINES: usize = 120;
/// How much of one line is kept, in characters.
const WIDTH: usize = 400;

/// What changes from `from` to `to`: for each file that does, its name and a unified diff.
/// `rotated` says that the secrets have changed, of which nothing else is told.
pub(crate) fn differences(from: &Shown, to: &Shown, rotated: bool) -> Vec<(String, String)> {
    let mut names: Vec<&String> = from.keys().chain(to.keys()).collect();
    names.sort();
    names.dedup();
    let diff = |name: &String| {
        let diff = difference(from.get(name), to.get(name), rotated);
        (!diff.is_empty()).then(|| (name.clone(), diff))
    };
    names.into_iter().filter_map(diff).collect()
}

fn difference(from: Option<&ShownFile>, to: Option<&ShownFile>, rotated: bool) -> String {
    let mut lines = Vec::new();
    match (from, to) {
        (None, Some(new)) => lines.push(format!("new file, mode {}", new.mode)),
        (Some(_), None) => lines.push("it goes away".to_owned()),
        (Some(old), Some(new)) => {
            if old.mode != new.mode {
                lines.push(format!("mode {} becomes {}", old.mode, new.mode));
            }
            if rotated && new.secret {
                lines.push("its secrets have changed on the host".to_owned());
            }
        }
        (None, None) => {}
    }
    let empty = Some(String::new());
    let old = from.map_or(&empty, |file| &file.text);
    let new = to.map_or(&empty, |file| &file.text);
    match (old, new) {
        (Some(old), Some(new)) => lines.extend(unified(old, new)),
        _ if from == to => {}
        _ => lines.push("too long to be shown".to_owned()),
    }
    lines.join("\n")
}

fn unified(old: &str, new: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let unified = diff.unified_diff().context_radius(2).missing_newline_hint(false).to_string();
    let mut lines: Vec<String> = unified.lines().map(shorten).collect();
    // A text that only lost or gained its last line break has equal lines.
    if old != new && old.trim_end_matches('\n') == new.trim_end_matches('\n') {
        lines = vec!["only line breaks at its end change".to_owned()];
    }
    let more = lines.len().saturating_sub(LINES);
    if more > 0 {
        lines.truncate(LINES);
        lines.push(format!("… and {more} more lines"));
    }
    lines
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ShownFile {
        ShownFile { mode: "0444".into(), text: Some(text.into()), secret: false }
    }

    fn told(from: Option<ShownFile>, to: Option<ShownFile>, rotated: bool) -> String {
        let shown = |file: Option<ShownFile>| file.map(|file| ("a".to_owned(), file));
        let [from, to] = [from, to].map(|file| shown(file).into_iter().collect());
        let mut told = differences(&from, &to, rotated);
        told.pop().map(|(_, diff)| diff).unwrap_or_default()
    }

    #[test]
    fn what_changes_is_told_and_nothing_else() {
        let one = file("a\nb\nc\nd\ne\n");
        assert_eq!(told(Some(one.clone()), Some(one.clone()), true), "");
        let two = file("a\nb\nc\nD\ne\n");
        let diff = "@@ -2,4 +2,4 @@\n b\n c\n-d\n+D\n e";
        assert_eq!(told(Some(one.clone()), Some(two), false), diff);
        assert_eq!(told(None, Some(file("x\n")), false), "new file, mode 0444\n@@ -0,0 +1 @@\n+x");
        assert_eq!(told(Some(file("x\n")), None, false), "it goes away\n@@ -1 +0,0 @@\n-x");
        let private = ShownFile { mode: "0440".into(), secret: true, ..file("x\n") };
        let diff = "mode 0444 becomes 0440\nits secrets have changed on the host";
        assert_eq!(told(Some(file("x\n")), Some(private), true), diff);
        let diff = "only line breaks at its end change";
        assert_eq!(told(Some(file("x")), Some(file("x\n")), false), diff);
    }

    #[test]
    fn a_long_diff_is_cut_off() {
        let long: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let diff = told(None, Some(file(&long)), false);
        assert_eq!(diff.lines().count(), LINES + 2);
        assert!(diff.ends_with("more lines"));
        let wide = told(None, Some(file(&"é".repeat(5000))), false);
        assert!(wide.chars().count() < WIDTH + 60, "{}", wide.len());
        let untold = ShownFile { text: None, ..file("") };
        assert_eq!(told(Some(untold.clone()), Some(untold.clone()), false), "");
        assert_eq!(told(Some(untold), Some(file("x")), false), "too long to be shown");
    }
}
