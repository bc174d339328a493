//! Prose for a terminal: wrapped between words, with its indent, and never within a command.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, core::Word};
use unicode_width::UnicodeWidthStr;

/// Where a command begins, when it begins a text or stands behind a colon or a gap.
const PROGRAMS: [&str; 14] = [
    "chmod",
    "chown",
    "deploy-cli",
    "eval",
    "git",
    "ls",
    "mkdir",
    "mv",
    "setfacl",
    "ssh",
    "ssh-add",
    "ssh-keyscan",
    "sudo",
    "systemctl",
];

/// `text` in lines of at most `width` columns. What stands in backticks, and a command up to the
/// end of its line, stay whole however long they are: whoever copies them must not mend them.
/// Quoted output (`| …`) is left as it is.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, width)).collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let body = line.trim_start_matches(' ');
    let quotes = body.starts_with("| ") || body.starts_with("! ");
    if quotes || textwrap::core::display_width(line) <= width {
        return vec![line.to_owned()];
    }
    let indent = line.len() - body.len();
    let (first, below) = (" ".repeat(indent), " ".repeat(hang(body, indent, width)));
    let options = Options::new(width)
        .initial_indent(&first)
        .subsequent_indent(&below)
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(body, options).into_iter().map(|line| line.into_owned()).collect()
}

/// The column under which a line goes on: that of its last column, or behind the number of an item.
fn hang(body: &str, indent: usize, width: usize) -> usize {
    let column = |text: &str| indent + textwrap::core::display_width(text);
    let gap = body.rfind("  ").map(|at| column(&body[..at + 2]));
    let item = body.split_once(". ").map(|(number, _)| number);
    match (gap, item) {
        (Some(gap), _) if gap <= width / 2 => gap,
        (_, Some(number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            indent + number.width() + 2
        }
        _ => indent + 2,
    }
}

/// Words and commands, each with the space behind it.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let mut words = Vec::new();
    let (mut rest, mut may_begin) = (line, true);
    while !rest.is_empty() {
        let end = match () {
            () if may_begin && begins_command(rest) => {
                rest.find("  ").map_or(rest.len(), |at| with_space(rest, at))
            }
            () => word_end(rest),
        };
        let (word, after) = rest.split_at(end);
        may_begin = word.ends_with("  ") || plain(word).trim_end().ends_with([':', '.']);
        words.push(Word::from(word));
        rest = after;
    }
    Box::new(words.into_iter())
}

/// Whether `rest` begins with a command, or with a line of sudoers.
fn begins_command(rest: &str) -> bool {
    let mut words = plain(rest).split(' ');
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    PROGRAMS.contains(&first) || second.starts_with("ALL=")
}

/// The end of the first word, which what stands in backticks belongs to.
fn word_end(rest: &str) -> usize {
    let mut quoted = false;
    for (at, c) in rest.char_indices() {
        match c {
            '`' => quoted = !quoted && rest[at + 1..].contains('`'),
            ' ' if !quoted => return with_space(rest, at),
            _ => {}
        }
    }
    rest.len()
}

/// The end of the space that begins at `at`.
fn with_space(rest: &str, at: usize) -> usize {
    rest[at..].find(|c| c != ' ').map_or(rest.len(), |more| at + more)
}

/// `text` without a colour before it and one behind it.
fn plain(text: &str) -> &str {
    let text = match text.strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m')) {
        Some((_, rest)) => rest,
        None => text,
    };
    text.trim_end().strip_suffix("\u{1b}[0m").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_with_its_indent_and_commands_stay_whole() {
        let text = "\
hint: what is deployed must be on the branch, or change the key `branch` of the table
  2. prepare each host once: a user to log in as
  4. deploy-cli tag    makes the first version tag
  problem    h1: the key is not known to this machine
             cure: ssh-keyscan -H -p 2222 h1.example.org >> known_hosts
finish the rest:     \u{1b}[1mdeploy-cli deploy release/2026-01-01/1 --hosts web1,web2\u{1b}[0m
see that `ssh -F conf -o BatchMode=yes h1 true` works
with visudo: deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart app.service
    | quoted output of a host, which is shown as it was written
short";
        insta::assert_snapshot!(wrap(text, 40).join("\n").replace('\u{1b}', "^"), @r"
        hint: what is deployed must be on the
          branch, or change the key `branch` of
          the table
          2. prepare each host once: a user to
             log in as
          4. deploy-cli tag    makes the first
             version tag
          problem    h1: the key is not known to
                     this machine
                     cure:
                       ssh-keyscan -H -p 2222 h1.example.org >> known_hosts
        finish the rest:
          ^[1mdeploy-cli deploy release/2026-01-01/1 --hosts web1,web2^[0m
        see that
          `ssh -F conf -o BatchMode=yes h1 true`
          works
        with visudo:
          deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart app.service
            | quoted output of a host, which is shown as it was written
        short
        ");
    }

    #[test]
    fn nothing_is_lost_at_any_width() {
        let text = "  a 漢字 `one two` word: git push --tags  and more   of it";
        for width in 1..60 {
            let wrapped = wrap(text, width).join(" ");
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wrapped), words(text), "{width}");
        }
    }
}
