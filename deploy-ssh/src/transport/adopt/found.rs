//! What lies at the live path of a target. All of it is parsed as if somebody had made it up.

use std::fmt;

use deploy_core::model::Release;
use serde::{Deserialize, Serialize};

use super::{Record, Report};
use crate::{git::oid::Oid, layout::Layout, session::quote};

/// How many names of one kind a target may tell.
const NAMES: usize = 200;

/// What lies at a live path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A release of ours, or the link that leads to one.
    Ours,
    /// Nothing.
    Nothing,
    /// What an adoption that was broken off has left: it is served, and can be finished.
    Half,
    /// A plain directory.
    Directory,
    /// `current` of Capistrano.
    Capistrano,
    /// `current` of Deployer.
    Deployer,
    /// The live path of Scap.
    Scap,
    /// Something else, in words.
    #[serde(untagged)]
    Else(String),
}

impl What {
    fn parse(word: &str) -> Self {
        match word {
            "ours" => Self::Ours,
            "nothing" => Self::Nothing,
            "half" => Self::Half,
            "directory" => Self::Directory,
            "capistrano" => Self::Capistrano,
            "deployer" => Self::Deployer,
            "scap" => Self::Scap,
            other => Self::Else(other.strip_prefix("other ").unwrap_or(other).to_owned()),
        }
    }

    /// Whether it is of a kind that can be taken over.
    pub fn can_be_adopted(&self) -> bool {
        matches!(self, Self::Directory | Self::Capistrano | Self::Deployer | Self::Scap)
    }

    /// The word by which scripts know it.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Ours => "ours",
            Self::Nothing => "nothing",
            Self::Half => "half",
            Self::Directory => "directory",
            Self::Capistrano => "capistrano",
            Self::Deployer => "deployer",
            Self::Scap => "scap",
            Self::Else(_) => "other",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "ours already",
            Self::Nothing => "nothing",
            Self::Half => "an adoption that was broken off",
            Self::Directory => "a plain directory",
            Self::Capistrano => "a layout of Capistrano",
            Self::Deployer => "a layout of Deployer",
            Self::Scap => "a layout of Scap",
            Self::Else(words) => words,
        })
    }
}

/// What a target said of its live path. All strings are the target's own.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is.
    pub what: What,
    /// The directory that is served, where it is not ours.
    pub origin: String,
    /// Where the live path leads, where it is a link; else empty.
    pub link: String,
    /// The commit that was deployed there, as the layout tells it.
    pub revision: Option<String>,
    /// Directories that releases share, relative to a release, as the layout has them.
    pub shared: Vec<String>,
    /// Links to single shared files, and those that lead to the shared directory by another name.
    pub shared_otherwise: Vec<String>,
    /// Links that lead out of what is served by a relative path; they are made absolute.
    pub outside: Vec<String>,
    /// How many releases beside the live one the layout has, and where.
    pub older: Option<(usize, String)>,
    /// What else is worth telling.
    pub notes: Vec<String>,
    /// What was there before it was ours, where that is recorded.
    pub record: Option<Record>,
    /// What exchanges two names at once there.
    pub tool: Option<String>,
    /// The user that deploys there.
    pub user: String,
    pub(super) has_git: bool,
    unwritable: Vec<String>,
    devices: Vec<String>,
    /// Whether an adoption was begun and has not ended.
    pub(super) is_unfinished: bool,
    pub(super) report: Report,
}

impl Found {
    /// Reads an answer. Lines that are not understood are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut found = Self {
            what: What::Nothing,
            origin: String::new(),
            link: String::new(),
            revision: None,
            shared: Vec::new(),
            shared_otherwise: Vec::new(),
            outside: Vec::new(),
            older: None,
            notes: Vec::new(),
            record: None,
            tool: None,
            user: String::new(),
            has_git: false,
            unwritable: Vec::new(),
            devices: Vec::new(),
            is_unfinished: false,
            report: Report::parse(bytes),
        };
        for line in String::from_utf8_lossy(bytes).lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            if !value.is_empty() {
                found.take(key, value);
            }
        }
        found
    }

    fn take(&mut self, key: &str, value: &str) {
        let push = |names: &mut Vec<String>| {
            if names.len() < NAMES && !names.iter().any(|name| name == value) {
                names.push(value.to_owned());
            }
        };
        match key {
            "found" => self.what = What::parse(value),
            "origin" => value.clone_into(&mut self.origin),
            "link" => value.clone_into(&mut self.link),
            "revision" => self.revision = Oid::parse(value).map(|oid| oid.to_string()),
            "shared" => push(&mut self.shared),
            "shared-file" | "shared-else" => push(&mut self.shared_otherwise),
            "outside" => push(&mut self.outside),
            "older" => {
                if let Some((number, place)) = value.split_once(' ') {
                    self.older = number.parse().ok().map(|number| (number, place.to_owned()));
                }
            }
            "note" => push(&mut self.notes),
            "adopting" => {
                self.is_unfinished = true;
                self.record = Record::parse(value);
            }
            "adopted" if self.record.is_none() => self.record = Record::parse(value),
            "tool" if ["mv", "perl", "python3"].contains(&value) => {
                self.tool = Some(value.to_owned());
            }
            "user" => value.clone_into(&mut self.user),
            "git" => self.has_git = true,
            "unwritable" => push(&mut self.unwritable),
            "device" => push(&mut self.devices),
            _ => {}
        }
    }

    /// Whether there is nothing to adopt, or nothing left to do.
    pub fn is_settled(&self) -> bool {
        !self.is_unfinished && matches!(self.what, What::Ours | What::Nothing)
    }

    /// The release that is served, where it is ours.
    pub fn live(&self) -> Option<Release> {
        self.report.live_release()
    }

    /// Why what was there before cannot be brought back, each with a way out; nothing when it can.
    pub fn obstacles_back(&self, layout: &Layout, allow_gap: bool) -> Vec<String> {
        let path = layout.path();
        let mut obstacles = Vec::new();
        match (&self.record, &self.what) {
            (None, What::Ours | What::Half) => obstacles
                .push(format!("{path} was ours from its first deploy: no adoption is recorded")),
            (None, _) => return obstacles,
            (Some(record), What::Ours | What::Half) => {
                if !self.report.releases.contains_key(record.release.as_str()) {
                    let release = layout.release_path(&record.release);
                    obstacles.push(format!("{release}, which was adopted, is not there any more"));
                }
            }
            (Some(_), What::Directory | What::Capistrano | What::Deployer | What::Scap) => {}
            (Some(_), what) => obstacles.push(format!("{path} is {what} by now")),
        }
        obstacles.extend(self.lacking_rights());
        obstacles.extend(self.lacking_tool(allow_gap));
        obstacles
    }

    /// Why it cannot be adopted, each with a way out; nothing when it can. `allow_gap` does without
    /// an exchange at once.
    pub fn obstacles(&self, layout: &Layout, allow_gap: bool) -> Vec<String> {
        let path = layout.path();
        if self.is_settled() {
            return Vec::new();
        }
        let mut obstacles = Vec::new();
        match &self.what {
            What::Else(words) => {
                let link = if self.link.is_empty() || words.contains("/current") {
                    String::new()
                } else {
                    format!(" ({:?})", self.link)
                };
                obstacles.push(format!(
                    "{path} is {words}{link}: set `path` in [layout] to what the service knows, or \
                     move it away; it was left as it is"
                ));
                return obstacles;
            }
            What::Half | What::Ours if self.record.is_none() => {
                let cache = layout.cache();
                obstacles.push(format!(
                    "{path} leads to {:?}, which is ours, and no record says why: \
                     `ln -sfn {}-cache/live {path}` makes it the live path, if {cache}/live is right",
                    self.link,
                    path.rsplit('/').next().unwrap_or_default()
                ));
            }
            _ => {}
        }
        if self.what.can_be_adopted() && self.record.is_none() && !self.report.live.is_empty() {
            obstacles.push(format!(
                "{}/live is there already: move it away (`mv {0}/live {0}/live.before`)",
                layout.cache()
            ));
        }
        obstacles.extend(self.lacking_rights());
        obstacles.extend(self.devices.iter().map(|place| {
            format!("{place} is on another file system than {path}: it cannot be moved at once")
        }));
        obstacles.extend(self.lacking_tool(allow_gap));
        obstacles
    }

    fn lacking_tool(&self, allow_gap: bool) -> Option<String> {
        let lacks = self.tool.is_none() && self.unwritable.is_empty() && !allow_gap;
        lacks.then(|| {
            "nothing there exchanges two names at once: install perl, python3 or coreutils 9.5; \
             `--allow-gap` does it by two renames, between which the live path leads nowhere"
                .to_owned()
        })
    }

    /// The rights that are lacking, with the command by which an administrator gives them.
    fn lacking_rights(&self) -> Option<String> {
        if self.unwritable.is_empty() {
            return None;
        }
        let places: Vec<String> = self.unwritable.iter().map(|place| quote(place)).collect();
        let (user, places) = (quote(&self.user), places.join(" "));
        Some(format!(
            "{} may not write to {places}: an administrator runs `sudo chown {user} {places}`",
            self.user
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacles(text: &str) -> String {
        let found = Found::parse(text.as_bytes());
        found.obstacles(&Layout::new("/srv/app/live").unwrap(), false).join("\n")
    }

    #[test]
    fn what_stands_in_the_way_is_told_with_a_way_out() {
        let told =
            obstacles("found directory\norigin /srv/app/live\nuser deploy\ntool perl\ndone ");
        assert_eq!(told, "");
        let told = obstacles(
            "found directory\nuser deploy\nunwritable /srv/my app\nunwritable /srv/app/live\n",
        );
        assert!(
            told.contains("`sudo chown deploy '/srv/my app' /srv/app/live`"),
            "the exact command: {told}"
        );
        assert!(obstacles("found directory\nuser deploy\n").contains("--allow-gap"));
        let told = obstacles("found other a link that leads to no directory\nlink /gone\n");
        assert!(told.contains("\"/gone\"") && told.contains("left as it is"), "{told}");
        assert!(obstacles("found scap\ntool mv\ndevice /srv/x\n").contains("another file system"));
        assert!(obstacles("found scap\ntool mv\nlive x\n").contains("there already"));
        assert_eq!(obstacles("found ours\n"), "");
        assert!(obstacles("found half\ntool mv\n").contains("no record"));
    }

    #[test]
    fn only_whole_revisions_are_believed() {
        let revision = |text: &str| Found::parse(format!("revision {text}\n").as_bytes()).revision;
        assert_eq!(revision("--upload-pack=x"), None);
        assert_eq!(revision("0123456789"), None);
        assert!(revision("0123456789abcdef0123456789abcdef01234567").is_some());
    }
}
