//! What a target says of what was rendered into its releases, and of its secrets.

use std::{collections::BTreeMap, sync::Arc};

use super::Renders;
use crate::{
    layout::is_release_id,
    template::{FileGroup, Fingerprint, Rendering, Secrets, Shown},
};

/// How many releases a target may tell of.
const RELEASES: usize = 1000;

/// What a target said of rendered files.
#[derive(Debug, Clone, Default)]
pub(in crate::transport) struct Rendered {
    /// The releases that were made with secrets.
    pub made: Vec<Made>,
    /// What may be shown of the files, by release.
    pub shown: BTreeMap<String, Arc<Shown>>,
    /// The groups of the login user.
    groups: String,
    /// The group of the service's user; empty when there is no such user.
    service_group: Option<String>,
    /// A file of the live release that is not what was rendered.
    changed: Option<String>,
    /// Whether everybody may read the secrets.
    is_open: bool,
    /// Why the secrets could not be read.
    fault: Option<String>,
    /// The secrets as they came. Taken out before this is kept.
    secrets: Option<Unread>,
    /// What it lacks for what it is to get.
    pub lacks: Vec<String>,
}

/// A release that was made with secrets.
#[derive(Debug, Clone)]
pub(in crate::transport) struct Made {
    pub id: String,
    pub print: Fingerprint,
    /// Whether the secrets are still what they were, for what the target is to get.
    pub is_current: bool,
}

/// A file of secrets in hexadecimal, not to be shown.
#[derive(Clone)]
struct Unread(String);

impl std::fmt::Debug for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unread(…)")
    }
}

impl Rendered {
    /// Takes a line that a target said; what is not understood is passed over.
    pub(in crate::transport) fn take(&mut self, key: &str, value: &str) {
        match key {
            "made" if self.made.len() < RELEASES => {
                if let Some((id, words)) = value.split_once(' ')
                    && is_release_id(id)
                    && let Some(print) = Fingerprint::parse(words)
                {
                    self.made.push(Made { id: id.to_owned(), print, is_current: false });
                }
            }
            "shown" if self.shown.len() < RELEASES => {
                if let Some((id, shown)) = value.split_once(' ')
                    && is_release_id(id)
                    && let Ok(shown) = serde_json::from_str(shown)
                {
                    self.shown.insert(id.to_owned(), Arc::new(shown));
                }
            }
            "groups" => self.groups = value.to_owned(),
            "service-group" => self.service_group = Some(value.to_owned()),
            "changed" => self.changed = Some(value.to_owned()),
            "secrets" => self.secrets = Some(Unread(value.to_owned())),
            "secrets-open" => self.is_open = true,
            "secrets-fault" => self.fault = Some(value.to_owned()),
            _ => {}
        }
    }

    /// Compares the secrets with what the target is to get, and with what its releases were made of;
    /// and forgets them. What it returns is not to be shown: each text with what stands in its place.
    pub(in crate::transport) fn judge(
        &mut self,
        renders: &Renders,
        wanted: Option<&Rendering>,
        is_root: bool,
    ) -> Vec<(String, String)> {
        let secrets = self.secrets.take();
        let Some(wanted) = wanted else { return Vec::new() };
        self.lacks.extend(self.group_lacks(wanted, is_root));
        let (Some(path), false) = (renders.templates().secrets_path(), wanted.secrets.is_empty())
        else {
            return Vec::new();
        };
        let read = match (self.fault.take(), secrets) {
            (Some(fault), _) => Err(fault),
            (None, Some(Unread(hex))) => decoded(&hex, path),
            (None, None) => Err(format!("{path} could not be read")),
        };
        match read {
            Ok(secrets) => {
                self.lacks.extend(renders.lacks(&secrets, wanted));
                for made in &mut self.made {
                    made.is_current = made.print.is_of(&secrets, &wanted.secrets);
                }
                secrets.hidden()
            }
            Err(why) => {
                self.lacks.push(format!("its secrets: {why}"));
                Vec::new()
            }
        }
    }

    /// The groups that files would have to be given to, and cannot.
    fn group_lacks(&self, wanted: &Rendering, is_root: bool) -> Vec<String> {
        let mut lacks = Vec::new();
        for file in &wanted.files {
            let group = match &file.group {
                FileGroup::Own => continue,
                FileGroup::Named(group) => group.clone(),
                FileGroup::OfUser(user) => match self.service_group.as_deref() {
                    Some("") | None => {
                        lacks.push(format!(
                            "the user {user}, whose group is to read {}: make it there",
                            file.destination
                        ));
                        continue;
                    }
                    Some(group) => group.to_owned(),
                },
            };
            if !is_root && !self.groups.split(' ').any(|own| own == group) {
                lacks.push(format!(
                    "the login user is not in the group {group}, which is to read {}: `usermod \
                     --append --groups {group} USER` there",
                    file.destination
                ));
            }
        }
        lacks.dedup();
        lacks
    }

    /// What is worth telling a person.
    pub(in crate::transport) fn notes(&self, path: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(file) = &self.changed {
            notes.push(format!("{file} in the live release is not what was rendered"));
        }
        if self.is_open
            && let Some(path) = path
        {
            notes.push(format!("everybody there can read the secrets in {path}"));
        }
        notes
    }
}

/// Reads the answer to the question for secrets.
pub(super) fn read_secrets(answer: &[u8], path: &str) -> Result<Secrets, String> {
    let text = String::from_utf8_lossy(answer);
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("secrets", hex)) => return decoded(hex, path),
            Some(("secrets-fault", why)) => return Err(why.to_owned()),
            _ => {}
        }
    }
    Err(format!("{path} could not be read"))
}

fn decoded(hex: &str, path: &str) -> Result<Secrets, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.trim().as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    let bytes = bytes.ok_or_else(|| format!("{path} did not arrive whole"))?;
    Secrets::parse(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789ab-0123456789ab";

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn secrets_arrive_whole_or_not_at_all() {
        let read = |answer: &str| read_secrets(answer.as_bytes(), "/etc/s.toml");
        assert!(read(&format!("noise\nsecrets {}\n", hex("token = \"x\"\n"))).is_ok());
        assert!(read("secrets \n").is_ok(), "an empty file");
        for (answer, why) in [
            ("", "/etc/s.toml could not be read"),
            ("secrets 7", "/etc/s.toml did not arrive whole"),
            ("secrets zz", "/etc/s.toml did not arrive whole"),
            ("secrets-fault /etc/s.toml is not there", "/etc/s.toml is not there"),
        ] {
            assert_eq!(read(answer).unwrap_err(), why);
        }
    }

    #[test]
    fn what_a_target_makes_up_is_passed_over_and_no_secret_is_shown() {
        let mut rendered = Rendered::default();
        let (salt, mac) = ("a".repeat(32), "b".repeat(64));
        rendered.take("made", &format!("{ID} 2 {salt} {mac}"));
        rendered.take("made", &format!("../../etc 2 {salt} {mac}"));
        rendered.take("made", &format!("{ID} two {salt} {mac}"));
        rendered.take("shown", &format!("{ID} {{\"a\":{{\"mode\":\"0444\",\"text\":\"x\"}}}}"));
        rendered.take("shown", &format!("{ID} nonsense"));
        rendered.take("shown", "../x {}");
        rendered.take("secrets", &hex("hunter2"));
        assert_eq!((rendered.made.len(), rendered.shown.len()), (1, 1));
        assert_eq!(rendered.shown[ID]["a"].text.as_deref(), Some("x"));
        assert!(!format!("{rendered:?}").contains(&hex("hunter2")));
    }
}
