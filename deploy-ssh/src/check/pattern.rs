//! A pattern for lines: the part of extended regular expressions that means the same everywhere.

use std::{fmt, str::FromStr};

use deploy_core::backend::Situation;
use regex::bytes::{Regex, RegexBuilder};

/// A POSIX extended regular expression, as `grep -E` takes it, without what only some greps know.
///
/// A line matches when the pattern occurs in it. Letters are bytes: a `.` is one byte, and a name
/// such as `[[:alpha:]]` means ASCII. `{version}` and `{commit}` stand for what is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern:?} {problem}")]
pub struct PatternError {
    pattern: String,
    problem: String,
}

/// What stands for the version that is deployed, by its name.
pub(super) const VERSION: &str = "{version}";
/// What stands for its commit.
pub(super) const COMMIT: &str = "{commit}";

impl Pattern {
    /// Checks and wraps a pattern.
    ///
    /// # Errors
    /// When it is empty, is no expression, or holds what does not mean the same everywhere.
    pub fn new(pattern: impl Into<String>) -> Result<Self, PatternError> {
        let pattern = pattern.into();
        // Any version will do to see whether the rest makes sense.
        let sample = fill(&pattern, |_| escape("v.1"));
        let problem = match Portable::new(&sample).check() {
            Ok(()) => compile(&sample).err(),
            Err(problem) => Some(problem),
        };
        match problem {
            Some(problem) => Err(PatternError { pattern, problem }),
            None => Ok(Self(pattern)),
        }
    }

    /// The expression, with what is deployed put in.
    pub(super) fn of(&self, situation: &Situation) -> String {
        fill(&self.0, |what| escape(&named(what, situation)))
    }

    /// Whether it matches a line of `text`, when this is deployed.
    pub(super) fn matches(&self, text: &[u8], situation: &Situation) -> Result<bool, String> {
        let regex = compile(&self.of(situation))?;
        Ok(text.split(|byte| *byte == b'\n').any(|line| regex.is_match(line)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;
    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Self::new(pattern)
    }
}

/// What [`VERSION`] or [`COMMIT`] stands for.
pub(super) fn named(what: &str, situation: &Situation) -> String {
    let Some(release) = &situation.release else { return String::new() };
    match &release.version.name {
        Some(name) if what == VERSION => name.clone(),
        _ => release.version.id.to_string(),
    }
}

/// Puts something in for [`VERSION`] and [`COMMIT`].
pub(super) fn fill(text: &str, by: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        match [VERSION, COMMIT].into_iter().find(|what| from.starts_with(what)) {
            Some(what) => {
                filled.push_str(&by(what));
                rest = &from[what.len()..];
            }
            None => {
                filled.push('{');
                rest = &from[1..];
            }
        }
    }
    filled + rest
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).unicode(false).build().map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        format!("cannot be used: {}", last.strip_prefix("error: ").unwrap_or(last))
    })
}

/// What a backslash may stand before.
const SPECIAL: &str = r".[{()*+?^$|\";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if SPECIAL.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Walks through a pattern, and refuses what greps disagree about.
struct Portable<'a> {
    pattern: &'a str,
    rest: std::str::Chars<'a>,
    /// Whether something stands before that can be repeated.
    repeatable: bool,
}

impl<'a> Portable<'a> {
    fn new(pattern: &'a str) -> Self {
        Self { pattern, rest: pattern.chars(), repeatable: false }
    }

    fn check(mut self) -> Result<(), String> {
        if self.pattern.is_empty() {
            return Err("is empty: it matches every line".to_owned());
        }
        if self.pattern.contains(['\n', '\0']) {
            return Err("holds more than one line".to_owned());
        }
        let mut empty = true;
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escaped()?,
                '[' => self.bracket()?,
                '*' | '+' | '?' => self.repetition(c)?,
                '{' => {
                    self.bounds()?;
                    self.repetition(c)?;
                }
                '|' | ')' if empty => {
                    return Err("has an empty part, which not every grep takes".to_owned());
                }
                _ => self.repeatable = !"(|^$".contains(c),
            }
            empty = c == '(' || c == '|';
        }
        if empty { Err("ends with an empty part".to_owned()) } else { Ok(()) }
    }

    fn escaped(&mut self) -> Result<(), String> {
        self.repeatable = true;
        let instead = match self.rest.next() {
            Some(c) if SPECIAL.contains(c) => return Ok(()),
            Some('d') => ": write [0-9]",
            Some('s') => ": write [[:space:]]",
            Some('w') => ": write [[:alnum:]_]",
            Some('t') => ": write [[:blank:]]",
            Some(']') => ": write ] alone",
            Some('}') => ": write } alone",
            Some('b' | '<' | '>') => ": write (^|[^[:alnum:]_])",
            Some(_) => "",
            None => return Err("ends with a backslash".to_owned()),
        };
        Err(format!("has a backslash that not every grep reads the same{instead}"))
    }

    fn repetition(&mut self, c: char) -> Result<(), String> {
        if !self.repeatable {
            return Err(format!("has a {c} with nothing before it that could be repeated"));
        }
        self.repeatable = false;
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}`, after the brace.
    fn bounds(&mut self) -> Result<(), String> {
        let wrong = || r"has a { that begins no number of times: write \{".to_owned();
        let (inner, after) = self.rest.as_str().split_once('}').ok_or_else(wrong)?;
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        let times = |text: &str| text.parse::<u8>().ok().filter(|_| !text.starts_with('+'));
        let least = times(least).ok_or_else(wrong)?;
        if !most.is_empty() && times(most).ok_or_else(wrong)? < least {
            return Err(wrong());
        }
        self.rest = after.chars();
        Ok(())
    }

    /// What stands between `[` and `]`, after the first.
    fn bracket(&mut self) -> Result<(), String> {
        self.repeatable = true;
        let inner = self.rest.as_str();
        let start = inner.strip_prefix('^').unwrap_or(inner);
        let mut rest = start;
        loop {
            let mut chars = rest.chars();
            let c = chars.next().ok_or("has a [ without its ]")?;
            if c == ']' && rest.len() < start.len() {
                self.rest = chars;
                return Ok(());
            }
            if let Some(named) = rest.strip_prefix("[:") {
                const NAMES: [&str; 12] = [
                    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print",
                    "punct", "space", "upper", "xdigit",
                ];
                let (name, after) = named.split_once(":]").unwrap_or_default();
                if !NAMES.contains(&name) {
                    return Err("has a [: without a name such as [:digit:]".to_owned());
                }
                rest = after;
                continue;
            }
            let twice = |c: &char| "&-~".contains(*c) && chars.as_str().starts_with(*c);
            if c == '[' || c == '\\' || !c.is_ascii() || twice(&c) {
                return Err(format!("has {c:?} within [ ], where not all read it the same"));
            }
            rest = chars.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use deploy_core::model::{GroupName, Release, ReleaseId, Version, VersionId};
    use proptest::prelude::*;

    use super::*;

    fn situation() -> Situation {
        let id = VersionId::new("0123456789abcdef").unwrap();
        let version = Version { id, name: Some("release/1.0+x".to_owned()) };
        Situation {
            group: GroupName::new("all").unwrap(),
            release: Some(Release { id: ReleaseId::new("0123-4567").unwrap(), version }),
            previous: None,
            rolling_back: false,
            noted: None,
        }
    }

    #[test]
    fn what_greps_disagree_about_is_refused() {
        for bad in [
            "",
            "a\nb",
            r"\d+",
            r"\s",
            r"\w",
            r"\bx",
            r"\<x",
            r"\]",
            "\\",
            "(?i)a",
            "(?:a)",
            "a*?",
            "a**",
            "a+*",
            "*a",
            "(*a)",
            "^*",
            "a|",
            "|a",
            "(|a)",
            "()",
            "a||b",
            "{",
            "a{",
            "a{x}",
            "a{,3}",
            "a{3,2}",
            "a{256}",
            "a{2}{3}",
            "[a",
            "[]",
            r"[\d]",
            "[[a]]",
            "[a&&b]",
            "[é]",
            "[[:word:]]",
            "[[:alpha:]",
            "[[.a.]]",
            "(a",
            "a)",
            "[z-a]",
        ] {
            assert!(Pattern::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_refused_is_told_with_what_to_write_instead() {
        let error = Pattern::new(r"ERROR \d+").unwrap_err().to_string();
        assert!(error.ends_with("write [0-9]"), "{error}");
        let error = Pattern::new("(a").unwrap_err().to_string();
        assert_eq!(error, "pattern \"(a\" cannot be used: unclosed group");
    }

    /// Patterns, lines that match, and lines that do not.
    const MEANINGS: &[(&str, &[&str], &[&str])] = &[
        ("ERROR|FATAL", &["an ERROR", "FATAL"], &["error", ""]),
        ("^ready$", &["ready"], &["ready ", "already"]),
        (r"took [0-9]+\.[0-9]{2,3} ms", &["took 12.345 ms"], &["took 12.3 ms", "took 12x345 ms"]),
        ("[]a-c^]x", &["]x", "bx", "^x"], &["dx"]),
        ("[^]a]x", &["bx"], &["]x", "ax"]),
        ("[[:space:][:digit:]_-]x", &["\tx", "5x", "-x"], &["ax"]),
        (r"\{a\|b}\$]", &["{a|b}$]"], &["ab"]),
        ("(ab?){2}c", &["aabc", "ababc"], &["abc"]),
        ("a.{1,2}c", &["abbc", "aéc"], &["ac", "aééc"]),
        ("v={version} {commit}!", &["v=release/1.0+x 0123456789abcdef!"], &["v=release/1x0+x 0!"]),
        ("x é", &["x é"], &["x e"]),
    ];

    fn grep(pattern: &str, line: &[u8]) -> bool {
        let mut grep = Command::new("grep")
            .args(["-a", "-E", "-q", "-e", pattern])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        grep.stdin.take().unwrap().write_all(&[line, b"\n"].concat()).unwrap();
        let output = grep.wait_with_output().unwrap();
        assert!(output.stderr.is_empty(), "{pattern:?}: {output:?}");
        output.status.success()
    }

    #[test]
    fn a_pattern_means_the_same_here_and_on_a_host() {
        let situation = situation();
        for (pattern, matching, others) in MEANINGS {
            let pattern = Pattern::new(*pattern).unwrap();
            for line in matching.iter().chain(*others) {
                let expected = matching.contains(line);
                let found = pattern.matches(line.as_bytes(), &situation).unwrap();
                assert_eq!(found, expected, "{pattern} in {line:?}");
                let found = grep(&pattern.of(&situation), line.as_bytes());
                assert_eq!(found, expected, "{pattern} in {line:?}, by grep");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn whatever_is_accepted_means_the_same_to_grep(
            pattern in r"[ab.()|*+?^${},12\[\]:\\-]{1,8}",
            line in "[ab.{}12]{0,8}",
        ) {
            if let Ok(pattern) = Pattern::new(pattern) {
                let found = pattern.matches(line.as_bytes(), &situation()).unwrap();
                prop_assert_eq!(found, grep(&pattern.of(&situation()), line.as_bytes()), "{}", pattern);
            }
        }
    }
}
