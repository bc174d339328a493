//! What a plan says of all objects of a target.

use std::collections::BTreeMap;

use deploy_core::backend::FileDiff;

use super::{Difference, Seen, mask, object::Key};

/// How much is told of one target, in bytes.
const LARGEST: usize = 64 * 1024;
/// How many objects are named at once.
const NAMED: usize = 5;

/// What changes on a target, object by object.
#[derive(Debug, Default)]
pub(crate) struct Report {
    diffs: Vec<FileDiff>,
    size: usize,
    cut: Vec<String>,
    /// The objects that do not change and were not compared, by why.
    not_compared: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// What changes in the objects of `seen`, told to people who are at home in the namespace `home`.
    pub(crate) fn of(seen: &[Seen], home: &str) -> Self {
        let mut report = Self::default();
        for object in seen {
            report.add(&object.key, Difference::of(object), home);
        }
        report
    }

    /// Adds what changes in one object.
    pub(crate) fn add(&mut self, key: &Key, difference: Difference, home: &str) {
        let Difference { mut will_change, changed_outside, not_compared } = difference;
        let name = key.told(home);
        if let Some(why) = not_compared {
            if will_change.is_empty() {
                self.not_compared.entry(why).or_default().push(name.clone());
            } else {
                will_change.insert(0, format!("not compared with what lives there: {why}"));
            }
        }
        self.put(format!("{name}, will change"), &will_change);
        self.put(format!("{name}, changed outside deploys"), &changed_outside);
    }

    /// Adds lines about one thing; none are nothing.
    pub(crate) fn put(&mut self, file: String, lines: &[String]) {
        let diff = lines.join("\n");
        if diff.is_empty() {
            return;
        }
        if self.size + diff.len() > LARGEST {
            self.cut.push(file);
            return;
        }
        self.size += diff.len();
        self.diffs.push(FileDiff { file, diff });
    }

    /// All of it; what was too much is named.
    pub(crate) fn finish(mut self) -> Vec<FileDiff> {
        let mut lines = Vec::new();
        for (why, names) in &self.not_compared {
            lines.push(format!("{} not compared: {why}", named(names)));
        }
        if !lines.is_empty() {
            let file = "what lives in the cluster".to_owned();
            self.diffs.push(FileDiff { file, diff: lines.join("\n") });
        }
        if !self.cut.is_empty() {
            let diff = format!("too much to be shown: {}", named(&self.cut));
            self.diffs.push(FileDiff { file: "other objects".to_owned(), diff });
        }
        self.diffs
    }

    /// `text` if nothing of what the Secrets among `objects` hold is in it; else words that say so.
    pub(crate) fn may_tell<'o>(
        text: String,
        objects: impl IntoIterator<Item = &'o super::Object>,
    ) -> String {
        let held = mask::held(objects.into_iter().map(|object| (&object.key, &object.value)));
        match held.iter().any(|secret| text.contains(secret)) {
            true => "in words that are not shown, since they may tell what a Secret holds".into(),
            false => text,
        }
    }
}

fn named(names: &[String]) -> String {
    let told = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
