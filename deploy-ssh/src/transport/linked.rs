//! The links by which an adopted release shares what its layout shared. Later releases have only
//! those that the configuration asks for.

use std::collections::BTreeSet;

use deploy_core::model::Target;

use super::{
    SshTransport,
    report::{Lack, Report},
};
use crate::layout::{Layout, part_problem};

/// How many links of a kind a target may tell.
const LINKS: usize = 100;
/// How many are named where no line has to have them all.
const NAMED: usize = 5;

/// The links of a release that lead into a directory `shared`, by their paths in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Linked {
    directories: BTreeSet<String>,
    /// Those that lead to files, or to nothing.
    others: BTreeSet<String>,
}

impl Linked {
    /// Adds a link to a directory, as far as it can be one.
    pub(super) fn add_directory(&mut self, path: &str) {
        add(&mut self.directories, path);
    }

    /// Adds a link to anything else.
    pub(super) fn add_other(&mut self, path: &str) {
        add(&mut self.others, path);
    }

    /// Those that a release laid out by `layout` does not have, with what can be done about it.
    /// `is_made` knows what comes into the release by other ways.
    fn lost(&self, layout: &Layout, is_made: impl Fn(&str) -> bool) -> Vec<Lack> {
        let is_lost = |path: &&String| !is_made(path) && !is_covered(path, layout.shared());
        let can_be_shared = |path: &&String| layout.clone().share([path.as_str()]).is_ok();
        let (directories, odd): (Vec<&String>, Vec<&String>) =
            self.directories.iter().filter(is_lost).partition(can_be_shared);
        let others: Vec<&String> =
            odd.into_iter().chain(self.others.iter().filter(is_lost)).collect();
        let mut lost = Vec::new();
        if !directories.is_empty() {
            let what = "shared directories that the next release will not have any more";
            let cure =
                format!("to keep them, write under [layout]: {}", line(layout, &directories));
            lost.push(Lack::new(format!("{what}: {}", some(&directories)), cure));
        }
        if !others.is_empty() {
            let what = "links to what is shared that the next release will not have any more";
            let cure = "`shared` is for directories: make them by a [[template]] or a [[step]]";
            lost.push(Lack::new(format!("{what}: {}", some(&others)), cure));
        }
        lost
    }
}

impl SshTransport {
    /// What the live release of `target` shares, and the next one would not: only where the live one
    /// was adopted, and the configuration does not know all that it shared.
    pub(super) fn lost_links(&self, target: &Target, report: &Report) -> Vec<Lack> {
        let Some(linked) = report.linked() else { return Vec::new() };
        let templates = self.renders.as_ref().map(|renders| renders.templates());
        linked.lost(&self.layout, |path| {
            templates.is_some_and(|templates| templates.make(target, path))
        })
    }
}

fn add(paths: &mut BTreeSet<String>, path: &str) {
    if paths.len() < LINKS && part_problem(path).is_none() {
        paths.insert(path.to_owned());
    }
}

/// Whether `path` is one of `shared`, or lies in one.
fn is_covered(path: &str, shared: &[String]) -> bool {
    shared.iter().any(|shared| {
        path.strip_prefix(shared.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The line of the configuration that keeps `lost` besides what it keeps already.
fn line(layout: &Layout, lost: &[&String]) -> String {
    let lost: Vec<String> = lost.iter().map(|path| (*path).clone()).collect();
    // What lies in another shared directory is shared with it.
    let kept = layout.shared().iter().filter(|shared| !is_covered(shared, &lost));
    let all: BTreeSet<&String> = kept.chain(&lost).collect();
    let all: Vec<String> =
        all.into_iter().map(|path| toml::Value::from(path.as_str()).to_string()).collect();
    format!("shared = [{}]", all.join(", "))
}

fn some(paths: &[&String]) -> String {
    let named: Vec<&str> = paths.iter().take(NAMED).map(|path| path.as_str()).collect();
    let more = paths.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789ab-0123456789ab";

    /// What is told of a target whose live release bears a mark of `content`, and that tells `links`.
    fn told(content: &str, links: &str, shared: &[&str]) -> Vec<String> {
        let (commit, digest) = ("0123456789abcdef0123456789abcdef01234567", "0".repeat(64));
        let mark =
            format!(r#"{{"id":"{ID}","version":{{"id":"{commit}"}},"{content}":"{digest}"}}"#);
        let report = format!("live {ID}\nrelease {ID} {mark}\n{links}\ndone \n");
        let layout = Layout::new("/srv/app").unwrap().share(shared.iter().copied()).unwrap();
        let report = Report::parse(report.as_bytes());
        let lost = report.linked().map(|linked| linked.lost(&layout, |path| path == "conf/made"));
        lost.unwrap_or_default().iter().map(Lack::in_a_line).collect()
    }

    #[test]
    fn what_the_next_release_lacks_is_told_with_the_line_that_keeps_it() {
        let links = "linked-directory log\nlinked-directory public/up loads\n\
            linked-else conf/db.yml\nlinked-else conf/made\nlinked-directory tmp/a";
        assert_eq!(
            told("kept", links, &["tmp", "public/up loads/a", "data"]),
            [
                "shared directories that the next release will not have any more: log, public/up \
                 loads; to keep them, write under [layout]: shared = [\"data\", \"log\", \
                 \"public/up loads\", \"tmp\"]",
                "links to what is shared that the next release will not have any more: conf/db.yml; \
                 `shared` is for directories: make them by a [[template]] or a [[step]]",
            ]
        );
        let all = &["log", "public", "tmp", "conf"];
        assert_eq!(told("kept", links, all), [""; 0]);
    }

    #[test]
    fn only_an_adopted_release_has_something_to_lose() {
        assert_eq!(told("manifest", "linked-directory log", &[]), [""; 0]);
        assert_eq!(told("kept", "", &[]), [""; 0]);
    }

    #[test]
    fn strange_links_are_passed_over_and_there_are_not_too_many() {
        let links = "linked-directory ../log\nlinked-directory /log\nlinked-directory \n\
            linked-else a\u{7}b\nlinked-directory";
        assert_eq!(told("kept", links, &[]), [""; 0]);
        let told_of = |path: &str| told("kept", &format!("linked-directory {path}"), &[]).concat();
        // No line of the configuration could have it.
        assert!(told_of("-log").contains("[[step]]"), "{}", told_of("-log"));
        assert!(told_of("a\"]").contains(r#"shared = ['a"]']"#), "{}", told_of("a\"]"));
        let many: String = (0..200).map(|n| format!("linked-else f{n:03}\n")).collect();
        assert!(told("kept", &many, &[])[0].contains("f004 and 95 more;"));
    }
}
