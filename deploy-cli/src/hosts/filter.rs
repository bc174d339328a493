//! `--hosts`: which of the configured hosts a command is about.

use std::{collections::BTreeSet, path::Path};

use deploy_core::model::{Group, Target};
use globset::{GlobBuilder, GlobMatcher};

use super::{Ended, HostsFileError, PatternError, pattern::expand_text, read_file};
use crate::error::CommandError;

/// Why a filter was refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A part cannot be read.
    #[error("--hosts {0:?}")]
    Part(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file of a part cannot be read.
    #[error("--hosts @{0}")]
    File(String, #[source] HostsFileError),
    /// The hosts of a past run cannot be had.
    #[error("--hosts {0:?}")]
    Run(String, #[source] CommandError),
    /// A part is the name of a file and of a run.
    #[error("--hosts {0:?} is a file and a run")]
    Ambiguous(String),
    /// A part means a run, but not how its hosts ended.
    #[error("--hosts {0:?} does not say how the hosts of that run ended")]
    NoEnd(String),
    /// A part matches none of the hosts, which is a slip more often than a wish.
    #[error("--hosts {part:?} matches no host")]
    Unmatched {
        /// The part.
        part: String,
        /// The configured hosts that it might mean.
        near: Vec<String>,
    },
    /// It is empty: an unset variable, most likely, where all hosts are not what was meant.
    #[error("--hosts is empty")]
    Empty,
    /// All together match none.
    #[error("--hosts matches no host")]
    Nothing,
}

/// Where the lists are found that a filter names with an `@`.
pub struct Lists<'a> {
    /// Where relative files are meant from.
    pub directory: &'a Path,
    /// Who knows of past runs.
    pub ended: &'a EndedIn<'a>,
    /// The part of a command line that means the same project.
    pub options: &'a str,
}

/// The hosts that ended so in the run of that name; `None` where there is no such run.
pub type EndedIn<'a> = dyn Fn(&str, Ended) -> Result<Option<Vec<Target>>, CommandError> + 'a;

/// A filter: parts between commas, each a glob, a range, `@FILE`, `@RUN/failed`, or one of these
/// with a `!` that takes away. Only negative parts take away from all hosts.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    text: String,
    negative: bool,
    matchers: Vec<GlobMatcher>,
    names: BTreeSet<String>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`FilterError`] when a part cannot be read.
    pub fn parse(texts: &[String], lists: &Lists<'_>) -> Result<Self, FilterError> {
        let mut parts = Vec::new();
        for text in texts {
            let split = split(text);
            if split.is_empty() {
                return Err(FilterError::Empty);
            }
            for part in split {
                parts.push(Part::parse(&part, lists)?);
            }
        }
        Ok(Self { parts })
    }

    /// Keeps the targets that are meant; groups that are left empty go.
    ///
    /// # Errors
    /// [`FilterError`] when a part, or all together, match nothing.
    pub fn apply(&self, groups: Vec<Group>) -> Result<Vec<Group>, FilterError> {
        if self.parts.is_empty() {
            return Ok(groups);
        }
        for part in &self.parts {
            let mut targets = groups.iter().flat_map(|group| &group.targets);
            if !targets.any(|target| part.matches(target)) {
                return Err(FilterError::Unmatched {
                    part: part.text.clone(),
                    near: near(&part.text, &groups),
                });
            }
        }
        let positive = self.parts.iter().any(|part| !part.negative);
        let meant = |target: &Target| {
            let named =
                |negative| self.parts.iter().any(|p| p.negative == negative && p.matches(target));
            (!positive || named(false)) && !named(true)
        };
        let mut kept = groups;
        for group in &mut kept {
            group.targets.retain(meant);
        }
        kept.retain(|group| !group.targets.is_empty());
        if kept.is_empty() { Err(FilterError::Nothing) } else { Ok(kept) }
    }
}

impl Lists<'_> {
    /// The hosts of `list`: those of a past run, or of a file.
    fn read(&self, list: &str, part: &str) -> Result<Vec<Target>, FilterError> {
        let path = self.directory.join(list);
        let of_run = list
            .split_once('/')
            .filter(|(run, word)| !run.is_empty() && !run.starts_with('.') && !word.contains('/'));
        if let Some((run, word)) = of_run {
            let is_run = |ended| !matches!((self.ended)(run, ended), Ok(None));
            match (word.parse::<Ended>(), path.exists()) {
                (Ok(ended), false) => return self.of_run(run, ended, part),
                (Ok(ended), true) if is_run(ended) => {
                    return Err(FilterError::Ambiguous(part.to_owned()));
                }
                (Err(_), false) if is_run(Ended::Unfinished) => {
                    return Err(FilterError::NoEnd(part.to_owned()));
                }
                _ => {}
            }
        }
        read_file(&path).map_err(|error| FilterError::File(list.to_owned(), error))
    }

    fn of_run(&self, run: &str, ended: Ended, part: &str) -> Result<Vec<Target>, FilterError> {
        let found = (self.ended)(run, ended).and_then(|found| {
            let none = || format!("there is no run {run:?}, and no file {run}/{ended}");
            let hint = format!("`deploy-cli history{}` lists the runs", self.options);
            found.ok_or_else(|| CommandError::refused(none()).hint(hint))
        });
        found.map_err(|error| FilterError::Run(part.to_owned(), error))
    }
}

impl Part {
    fn parse(text: &str, lists: &Lists<'_>) -> Result<Self, FilterError> {
        let (negative, body) = match text.strip_prefix('!') {
            Some(body) => (true, body.trim()),
            None => (false, text),
        };
        let mut part =
            Self { text: text.to_owned(), negative, matchers: Vec::new(), names: BTreeSet::new() };
        if let Some(list) = body.strip_prefix('@') {
            part.names = lists.read(list, text)?.into_iter().map(String::from).collect();
            return Ok(part);
        }
        let wrong = |error| FilterError::Part(text.to_owned(), error);
        let names = expand_text(body).map_err(|error: PatternError| wrong(error.into()))?;
        for name in names {
            if name.contains(['*', '?']) {
                // Brackets are ranges here, never a glob's classes: those left are an address.
                let plain = name.replace('[', "\\[").replace(']', "\\]");
                let glob = GlobBuilder::new(&plain).backslash_escape(true).build();
                part.matchers.push(glob.map_err(|error| wrong(error.into()))?.compile_matcher());
            } else {
                part.names.insert(name);
            }
        }
        Ok(part)
    }

    fn matches(&self, target: &Target) -> bool {
        self.names.contains(target.as_str())
            || self.matchers.iter().any(|matcher| matcher.is_match(target.as_str()))
    }
}

/// Splits at commas that are not within brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn near(part: &str, groups: &[Group]) -> Vec<String> {
    let wanted = part.trim_start_matches(['!', '@']);
    let mut near: Vec<(f64, &Target)> = groups
        .iter()
        .flat_map(|group| &group.targets)
        .map(|target| (strsim::jaro_winkler(wanted, target.as_str()), target))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(3).map(|(_, target)| target.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use deploy_core::model::GroupName;

    use super::*;

    fn groups() -> Vec<Group> {
        let group = |name: &str, hosts: &[&str]| {
            let targets = hosts.iter().map(|host| Target::new(*host).unwrap()).collect();
            Group::new(GroupName::new(name).unwrap(), targets)
        };
        vec![group("canary", &["h01"]), group("default", &["h02", "h03", "db1", "web.x.org"])]
    }

    /// One past run, called `last`, in which h02 and db1 failed, and h09 that is gone since.
    fn lists(directory: &Path) -> Lists<'_> {
        let failed = || ["h02", "db1", "h09"].map(|name| Target::new(name).unwrap()).to_vec();
        let ended = move |run: &str, ended: Ended| match (run, ended) {
            ("last", Ended::Failed | Ended::Unfinished) => Ok(Some(failed())),
            ("last", _) => Err(CommandError::refused("nothing is left")),
            _ => Ok(None),
        };
        Lists { directory, ended: Box::leak(Box::new(ended)), options: " --env beta" }
    }

    fn kept(texts: &[&str]) -> Result<Vec<String>, FilterError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let groups = Filter::parse(&texts, &lists(Path::new(".")))?.apply(groups())?;
        Ok(groups.iter().flat_map(|g| &g.targets).map(|target| target.to_string()).collect())
    }

    #[test]
    fn globs_ranges_negations_and_lists() {
        assert_eq!(kept(&[]).unwrap().len(), 5);
        assert_eq!(kept(&["h*"]).unwrap(), ["h01", "h02", "h03"]);
        assert_eq!(kept(&["h[01-02],db1"]).unwrap(), ["h01", "h02", "db1"]);
        assert_eq!(kept(&["!h*"]).unwrap(), ["db1", "web.x.org"]);
        assert_eq!(kept(&["h*", "!h0[1,3]"]).unwrap(), ["h02"]);
        assert_eq!(kept(&["*.x.org"]).unwrap(), ["web.x.org"]);
    }

    #[test]
    fn files_of_hosts() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("some"), "# these\n\nh[01-02] # two\n").unwrap();
        let parse = |text: &str| Filter::parse(&[text.to_owned()], &lists(directory.path()));
        assert_eq!(parse("@some").unwrap().apply(groups()).unwrap().len(), 2);
        assert!(matches!(parse("@none"), Err(FilterError::File(..))));
    }

    #[test]
    fn hosts_of_a_past_run() {
        assert_eq!(kept(&["@last/failed"]).unwrap(), ["h02", "db1"]);
        assert_eq!(kept(&["!@last/failed,h*"]).unwrap(), ["h01", "h03"]);
        assert!(matches!(kept(&["@last/faild"]), Err(FilterError::NoEnd(_))));
        assert!(matches!(kept(&["@last/reverted"]), Err(FilterError::Run(..))), "none ended so");
        assert!(matches!(kept(&["@20150610/failed"]), Err(FilterError::Run(..))), "no such run");
        assert!(matches!(kept(&["@other/word"]), Err(FilterError::File(..))));
    }

    #[test]
    fn a_file_is_not_taken_for_a_run_nor_a_run_for_a_file() {
        let directory = tempfile::tempdir().unwrap();
        for run in ["last", "hosts"] {
            std::fs::create_dir(directory.path().join(run)).unwrap();
            std::fs::write(directory.path().join(run).join("failed"), "h03\n").unwrap();
        }
        let parse = |text: &str| Filter::parse(&[text.to_owned()], &lists(directory.path()));
        assert!(matches!(parse("@last/failed"), Err(FilterError::Ambiguous(_))));
        for file in ["@hosts/failed", "@./last/failed"] {
            let kept = parse(file).unwrap().apply(groups()).unwrap();
            assert_eq!(kept[0].targets[0].as_str(), "h03", "{file}");
        }
    }

    #[test]
    fn what_matches_nothing_is_said() {
        for empty in [&[""][..], &[" , "], &["h01", ""]] {
            assert!(matches!(kept(empty), Err(FilterError::Empty)), "{empty:?}");
        }
        assert!(matches!(kept(&["x*"]), Err(FilterError::Unmatched { .. })));
        assert!(matches!(kept(&["h01,!h*"]), Err(FilterError::Nothing)));
        let Err(FilterError::Unmatched { near, .. }) = kept(&["h04"]) else { panic!("accepted") };
        assert!(near.contains(&"h03".to_owned()), "{near:?}");
        assert!(kept(&["h[1-"]).is_err());
    }
}
