//! What is written for a target, and what its commit says.

use deploy_core::{
    backend::Scope,
    model::{Release, Target},
};

use super::{
    ValueKey,
    message::{trailer_of, with_trailer},
};

/// The prefix of the id of a version that is known by its tag only.
const BY_TAG: &str = "tag:";
/// The trailers of our commits.
const RUN: &str = "Deploy-Run";
const TARGET: &str = "Deploy-Target";
const KEY: &str = "Deploy-Key";
const BEFORE: &str = "Deploy-Before";

/// Where the version of a target is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesPlace {
    /// The file, from the top of the repository.
    pub file: String,
    /// Where in it.
    pub key: ValueKey,
}

/// What is written for a target, and why.
pub(super) struct Entry<'a> {
    pub target: &'a Target,
    pub place: &'a ValuesPlace,
    pub value: String,
    /// What has to be there before.
    pub from: Option<String>,
    /// What the subject says between target and value.
    pub way: &'a str,
    /// What was there before the first deploy, to be remembered in the commit.
    pub origin: Option<&'a str>,
}

impl Entry<'_> {
    /// What its commit says.
    pub(super) fn message(
        &self,
        (app, reason): (Option<&str>, Option<&str>),
        scope: &Scope,
    ) -> String {
        let app = app.map(|app| format!("{app}: ")).unwrap_or_default();
        let Self { target, place, value, way, .. } = self;
        let mut text = line(&format!("{app}{target} {way} {value}"));
        text.push_str(&format!("\n\nRun {} by {}.", scope.run, line(&scope.who)));
        if let Some(reason) = reason {
            text.push_str(&format!("\n{}", line(reason)));
        }
        let mut text = with_trailer(&text, RUN, scope.run.as_str());
        text = with_trailer(&text, TARGET, target.as_str());
        text = with_trailer(&text, KEY, &place.key.to_string());
        match self.origin {
            Some(origin) => with_trailer(&text, BEFORE, &line(origin)),
            None => text,
        }
    }
}

/// The trailer line that all commits for `place` have.
pub(super) fn mark(place: &ValuesPlace) -> String {
    format!("{KEY}: {}", place.key)
}

/// What the message of a first deploy to `place` says that was there before it.
pub(super) fn origin_in(message: &str, place: &ValuesPlace) -> Option<String> {
    let is_ours = trailer_of(message, KEY) == Some(&place.key.to_string());
    trailer_of(message, BEFORE).filter(|_| is_ours).map(str::to_owned)
}

/// What git names a release: its tag.
pub(super) fn tag(release: &Release) -> Option<String> {
    let version = &release.version;
    let tag = version.name.as_deref().or_else(|| version.id.as_str().strip_prefix(BY_TAG));
    tag.filter(|tag| !tag.is_empty() && !tag.contains(char::is_control)).map(str::to_owned)
}

/// One line for a commit's message, whatever somebody wrote.
fn line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}
