//! The version tags of a repository, newest first.

use std::cmp::Ordering;

use deploy_core::{
    backend::{BackendError, Listed},
    model::Scheme,
};
use jiff::Timestamp;

use super::{Git, Oid, version};

/// Where the tool's own success tags live: they mark versions, and are none.
const OWN: &str = "refs/tags/deploy/";

/// One record a tag; fields end with NUL, since subjects and names may hold anything else but a
/// line feed.
const FORMAT: &str = "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00\
    %(*objectname)%00%(creatordate:unix)%00%(taggername)%00%(authorname)%00%(*authorname)%00\
    %(contents:subject)%00";
const FIELDS: usize = 10;

/// The tags of `scheme`, newest first. Tags whose name is not UTF-8 are no versions: nobody could
/// type them.
pub(super) async fn list(
    git: &Git,
    scheme: &Scheme,
    limit: usize,
) -> Result<Vec<Listed>, BackendError> {
    let args = ["for-each-ref", "--sort=-creatordate", FORMAT, "refs/tags"];
    let output = git.output("list the tags", &args).await?;
    let mut tags: Vec<Tag<'_>> = records(&output).filter(|tag| scheme.matches(tag.name)).collect();
    tags.sort_by(|a, b| newest_first(scheme, a, b));
    tags.into_iter().take(limit).map(Tag::listed).collect()
}

/// The names of all tags of `scheme`.
pub(super) async fn names(git: &Git, scheme: &Scheme) -> Result<Vec<String>, BackendError> {
    let args = ["for-each-ref", "--format=%(refname)", "refs/tags"];
    let output = git.output("list the tags", &args).await?;
    Ok(output
        .split(|b| *b == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.strip_prefix("refs/tags/"))
        .filter(|name| scheme.matches(name))
        .map(str::to_owned)
        .collect())
}

fn newest_first(scheme: &Scheme, a: &Tag<'_>, b: &Tag<'_>) -> Ordering {
    scheme.compare(b.name, a.name).then_with(|| b.date.cmp(&a.date))
}

struct Tag<'a> {
    name: &'a str,
    commit: Oid,
    date: i64,
    author: &'a [u8],
    subject: &'a [u8],
}

impl Tag<'_> {
    fn listed(self) -> Result<Listed, BackendError> {
        Ok(Listed {
            version: version(&self.commit, Some(self.name.to_owned()))?,
            author: String::from_utf8_lossy(self.author).into_owned(),
            date: Timestamp::from_second(self.date).unwrap_or_default(),
            subject: String::from_utf8_lossy(self.subject).into_owned(),
        })
    }
}

fn records(output: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    let fields: Vec<&[u8]> = output.split(|b| *b == 0).collect();
    let records = fields.len() / FIELDS;
    (0..records).filter_map(move |i| record(&fields[i * FIELDS..(i + 1) * FIELDS]))
}

/// Reads one record; a tag of anything but a commit is no version.
fn record<'a>(fields: &[&'a [u8]]) -> Option<Tag<'a>> {
    let text = |i: usize| std::str::from_utf8(fields[i]).ok();
    // The line feed that ends a record stands before the next one's first field.
    let refname = text(0)?.trim_start_matches('\n');
    if refname.starts_with(OWN) {
        return None;
    }
    let annotated = fields[1] == b"tag";
    let (kind, commit) = if annotated { (3, 4) } else { (1, 2) };
    if fields[kind] != b"commit" {
        return None;
    }
    let author = [6, 7, 8].into_iter().map(|i| fields[i]).find(|name| !name.is_empty());
    Some(Tag {
        name: refname.strip_prefix("refs/tags/")?,
        commit: Oid::parse(text(commit)?)?,
        date: text(5)?.parse().ok()?,
        author: author.unwrap_or_default(),
        subject: fields[9],
    })
}
