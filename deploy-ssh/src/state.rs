//! What a target remembers: its good versions, who promoted what it serves, and the marks of releases.

use deploy_core::{
    backend::Serving,
    model::{Release, Version},
    record::RunId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    archive::hex,
    git::oid::Oid,
    layout::{is_release_id, part_problem},
};

/// How many digits tell one state from another.
const STAMP: usize = 16;
/// The most that is read of a state file.
pub(crate) const LARGEST: usize = 64 * 1024;
/// How many good versions are remembered, with or without their files.
const REMEMBERED: usize = 32;
const FORMAT: u32 = 1;
/// The longest name of a version, in bytes.
pub(crate) const LONGEST_NAME: usize = 1024;

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct State {
    format: u32,
    /// Newest first.
    #[serde(default)]
    pub good: Vec<GoodRecord>,
}

/// A version that once finished on a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GoodRecord {
    pub release: Release,
    pub run: RunId,
    pub by: String,
    pub at: Timestamp,
}

/// Why what a target remembers is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Disbelief(String);

impl Default for State {
    fn default() -> Self {
        Self { format: FORMAT, good: Vec::new() }
    }
}

impl State {
    /// Reads what a target says, and believes it only when every id is what it claims to be.
    pub(crate) fn parse(line: &str) -> Result<Self, Disbelief> {
        let disbelieve = |why: String| Err(Disbelief(why));
        if line.len() > LARGEST {
            return disbelieve(format!("is larger than {} kB", LARGEST / 1024));
        }
        let state: Self = match serde_json::from_str(line) {
            Ok(state) => state,
            Err(error) => return disbelieve(format!("cannot be read: {error}")),
        };
        if state.format != FORMAT {
            return disbelieve(format!("has the unknown format {}", state.format));
        }
        for GoodRecord { release, .. } in &state.good {
            if !is_consistent(release) {
                return disbelieve(format!("lists {:?}, which cannot be", release.id.as_str()));
            }
        }
        Ok(state)
    }

    /// Two lines of JSON, which read back: what is oldest is forgotten where it would be too long. The
    /// first line holds a digest of the other: shells read byte by byte, and one line tells another
    /// state.
    pub(crate) fn text(&self) -> String {
        let mut kept = self.clone();
        loop {
            let good = serde_json::json!(kept.good).to_string();
            let digest = hex(&Sha256::digest(&good));
            let (format, stamp) = (self.format, &digest[..STAMP]);
            let text = format!("{{\"format\":{format},\"stamp\":\"{stamp}\",\n\"good\":{good}}}");
            if text.len() <= LARGEST || kept.good.pop().is_none() {
                return text;
            }
        }
    }

    /// Remembers `good` as the newest good version. Forgets the oldest when there are too many.
    pub(crate) fn remember(&mut self, good: GoodRecord) {
        self.good.retain(|known| known.release != good.release);
        self.good.insert(0, good);
        self.good.truncate(REMEMBERED);
    }
}

/// The content of `serving.json`: who promoted what is live. Of use only while the live link agrees.
pub(crate) fn serving_line(serving: &Serving) -> String {
    serde_json::json!(serving).to_string()
}

/// Reads what a target says of that; nothing where it cannot be.
pub(crate) fn parse_serving(line: &str) -> Option<Serving> {
    let serving: Serving = serde_json::from_str(line).ok()?;
    is_consistent(&serving.release).then_some(serving)
}

/// What a release was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    /// A tree of git, submodules included.
    Tree(String),
    /// An archive, by the digest of its manifest.
    Manifest(String),
    /// What was there before the target was ours, kept as it was found, by a digest of what it was.
    /// The name comes after `id`, which has to be the first of a mark.
    #[serde(rename = "kept")]
    Adopted(String),
}

impl Content {
    fn is_consistent(&self) -> bool {
        match self {
            Self::Tree(tree) => Oid::parse(tree).is_some(),
            Self::Manifest(digest) | Self::Adopted(digest) => {
                digest.len() == 64 && Oid::parse(digest).is_some()
            }
        }
    }
}

/// The mark of a complete release, in one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub id: String,
    pub version: Version,
    /// What was planned.
    #[serde(flatten)]
    pub content: Content,
    /// The directories that are links to shared ones.
    #[serde(default)]
    pub shared: Vec<String>,
    /// Whether files were rendered into it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rendered: bool,
    /// The tree of the same files after the build steps, which may have changed some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<String>,
}

impl Mark {
    /// Reads the mark that a target shows for the directory `id`.
    pub(crate) fn parse(id: &str, line: &str) -> Option<Self> {
        let mark: Self = serde_json::from_str(line).ok()?;
        let shared = mark.shared.iter().all(|path| part_problem(path).is_none());
        let release = mark.release()?;
        let trees = mark.content.is_consistent()
            && mark.built.as_deref().is_none_or(|built| Oid::parse(built).is_some());
        (mark.id == id && is_consistent(&release) && shared && trees).then_some(mark)
    }

    /// Whether it marks what was there before the target was ours. Nobody else has its files, and
    /// what writes into it may go on to do so.
    pub(crate) fn is_adopted(&self) -> bool {
        matches!(self.content, Content::Adopted(_))
    }

    /// The release it marks.
    pub(crate) fn release(&self) -> Option<Release> {
        Some(Release { id: self.id.parse().ok()?, version: self.version.clone() })
    }

    /// The whole mark, for a release that nothing is built in.
    pub(crate) fn line(&self) -> String {
        format!("{}}}", self.open_line())
    }

    /// The mark up to where the target adds what it built.
    pub(crate) fn open_line(&self) -> String {
        let whole = Self { built: None, ..self.clone() };
        let mut line = serde_json::json!(whole).to_string();
        line.pop();
        line
    }
}

/// Whether a release's id and version belong together.
fn is_consistent(release: &Release) -> bool {
    let id = release.id.as_str();
    is_release_id(id)
        && Oid::of(&release.version.id).is_some_and(|commit| id.starts_with(commit.short()))
        && release.version.name.as_ref().is_none_or(|name| name.len() <= LONGEST_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn good(id: &str, commit: &str) -> String {
        format!(
            r#"{{"release":{{"id":"{id}","version":{{"id":"{commit}","name":"v1"}}}},
               "run":"r1","by":"ann","at":"2015-06-10T14:15:03Z"}}"#
        )
    }

    fn state(good: &str) -> String {
        format!(r#"{{"format":1,"good":[{good}]}}"#)
    }

    #[test]
    fn a_state_reads_back() {
        let state = State::parse(&state(&good("0123456789ab-0123456789ab", COMMIT))).unwrap();
        assert_eq!(State::parse(&state.text()), Ok(state));
    }

    #[test]
    fn the_first_line_tells_one_state_from_another() {
        let [one, other] = ["0123456789ab-0123456789ab", "0123456789ab-000000000000"]
            .map(|id| State::parse(&state(&good(id, COMMIT))).unwrap().text());
        let head = |text: &str| text.split_once('\n').unwrap().0.to_owned();
        assert_ne!(head(&one), head(&other));
        assert_eq!(one.lines().count(), 2);
        assert!(head(&one).len() < 64, "{one}");
    }

    #[test]
    fn who_promoted_reads_back_unless_it_lies() {
        let of = |id: &str| {
            let version = format!(r#"{{"id":"{COMMIT}"}}"#);
            format!(r#"{{"release":{{"id":"{id}","version":{version}}},"by":"ann"}}"#)
        };
        let serving = parse_serving(&of("0123456789ab-0123456789ab")).unwrap();
        assert_eq!(parse_serving(&serving_line(&serving)), Some(serving));
        assert_eq!(parse_serving(&of("../../etc")), None);
        assert_eq!(parse_serving(""), None);
    }

    #[test]
    fn a_lying_state_is_not_believed() {
        let lies = [
            good("../../../etc", COMMIT),
            good("0123456789ab-0123456789aX", COMMIT),
            good("fffffffffff0-0123456789ab", COMMIT),
            good("0123456789ab-0123456789ab", "--upload-pack=x"),
            good("0123456789ab-0123456789ab", "0123456789ab"),
            good("-rf", COMMIT),
        ];
        for lie in lies {
            assert!(State::parse(&state(&lie)).is_err(), "{lie}");
        }
        for nonsense in ["", "{", "[]", r#"{"format":2,"good":[]}"#, &" ".repeat(LARGEST + 1)] {
            assert!(State::parse(nonsense).is_err());
        }
    }

    #[test]
    fn the_newest_good_version_comes_first_and_once() {
        let parse = |id: &str| -> GoodRecord { serde_json::from_str(&good(id, COMMIT)).unwrap() };
        let mut state = State::default();
        for n in 0..40 {
            state.remember(parse(&format!("0123456789ab-{n:012}")));
        }
        state.remember(parse("0123456789ab-000000000020"));
        assert_eq!(state.good.len(), REMEMBERED);
        assert_eq!(state.good[0].release.id.as_str(), "0123456789ab-000000000020");
        let again = state.good.iter().filter(|g| g.release == state.good[0].release);
        assert_eq!(again.count(), 1);
        assert!(state.text().len() < LARGEST);
    }

    #[test]
    fn a_mark_counts_only_for_its_own_directory() {
        let id = "0123456789ab-0123456789ab";
        let mark = Mark {
            id: id.into(),
            version: serde_json::from_str(&format!(r#"{{"id":"{COMMIT}"}}"#)).unwrap(),
            content: Content::Tree(COMMIT.into()),
            shared: vec!["log".into()],
            rendered: true,
            built: None,
        };
        let line = format!("{},\"built\":\"{COMMIT}\"}}", mark.open_line());
        assert_eq!(Mark::parse(id, &line).unwrap().built.as_deref(), Some(COMMIT));
        assert!(line.starts_with(&format!("{{\"id\":\"{id}\",")), "{line}");
        assert!(line.contains(",\"rendered\":true,"), "{line}");
        assert!(Mark::parse("0123456789ab-ffffffffffff", &line).is_none());
        assert!(Mark::parse(id, &line.replace("log", "../log")).is_none());
        assert!(Mark::parse(id, &mark.open_line()).is_none());
        let digest = "0".repeat(64);
        let manifest =
            line.replace(&format!("\"tree\":\"{COMMIT}\""), &format!("\"manifest\":\"{digest}\""));
        assert_eq!(Mark::parse(id, &manifest).unwrap().content, Content::Manifest(digest));
        assert!(Mark::parse(id, &line.replace("\"tree\"", "\"manifest\"")).is_none());
        assert!(Mark::parse(id, &line.replace("\"tree\"", "\"neither\"")).is_none());
        let adopted = Mark { content: Content::Adopted("0".repeat(64)), built: None, ..mark };
        assert!(adopted.is_adopted());
        assert!(adopted.line().starts_with(&format!("{{\"id\":\"{id}\",")));
        assert_eq!(Mark::parse(id, &adopted.line()), Some(adopted));
    }
}
