//! What lies beside the rendered files of a release: what they are, and what may be shown of them.
//!
//! Lines of words, since a script on the target reads them. Only the login user may read the file:
//! what a digest says of a secret, it says with a salt, and to whoever could read the secret too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Fingerprint, Rendering, Secrets,
    secret::{self, hex},
};

/// How much of the files is kept to be shown.
const SHOWN: usize = 48 * 1024;

/// The rendered files of a release as they may be shown, by destination.
pub(crate) type Shown = BTreeMap<String, ShownFile>;

/// A rendered file as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownFile {
    /// Its mode, in octal digits.
    pub mode: String,
    /// Its text, with names in the places of secrets; `None` where it is too long to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether secrets are written to it.
    #[serde(default)]
    pub secret: bool,
}

/// The files of a release, ready to be sent.
pub(crate) struct Listing {
    lines: String,
    texts: Vec<String>,
}

impl Rendering {
    /// The files as they may be shown.
    pub(crate) fn shown(&self) -> Shown {
        let mut left = SHOWN;
        let mut shown = Shown::new();
        for file in &self.files {
            let text = (file.text.len() <= left).then(|| file.text.clone());
            left -= text.as_ref().map_or(0, String::len);
            let secret = !file.secrets.is_empty();
            let file_shown = ShownFile { mode: file.mode.to_string(), text, secret };
            shown.insert(file.destination.clone(), file_shown);
        }
        shown
    }
}

impl Listing {
    /// Puts the rendered `texts` of `rendering` together with what says later whether they are
    /// still the same. `secrets` are those that were written, with their generation.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(crate) fn new(
        rendering: &Rendering,
        texts: Vec<String>,
        secrets: Option<(&Secrets, u32)>,
    ) -> Result<Self, String> {
        let salt = secret::salt()?;
        let mut lines = format!("salt {salt}\n");
        if let Some((secrets, generation)) = secrets {
            let print = Fingerprint {
                generation,
                mac: secrets.fingerprint(&rendering.secrets, &salt),
                salt: salt.clone(),
            };
            lines.push_str(&format!("secrets {generation} {salt} {}\n", print.mac));
        }
        for (file, text) in rendering.files.iter().zip(&texts) {
            let digest = hex(&Sha256::digest(format!("{salt}{text}")));
            let (mode, group, size) = (file.mode, &file.group, text.len());
            lines.push_str(&format!("file {mode} {group} {size} {digest} {}\n", file.destination));
        }
        // The script stops reading here: what may be shown is for us.
        lines.push_str("end\n");
        lines.push_str(&format!("shown {}\n", serde_json::json!(rendering.shown())));
        Ok(Self { lines, texts })
    }

    /// As the script on a target reads it: the size of the lines, the lines, and the files.
    pub(crate) fn stream(&self) -> Vec<u8> {
        let mut stream = format!("{}\n{}", self.lines.len(), self.lines).into_bytes();
        self.texts.iter().for_each(|text| stream.extend_from_slice(text.as_bytes()));
        stream
    }
}

impl Fingerprint {
    /// Reads what a listing says after `secrets`.
    pub(crate) fn parse(words: &str) -> Option<Self> {
        let mut words = words.split(' ');
        let generation = words.next()?.parse().ok()?;
        let is_hex = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let salt = words.next().filter(is_hex).filter(|salt| salt.len() == 32)?;
        let mac = words.next().filter(is_hex).filter(|mac| mac.len() == 64)?;
        Some(Self { generation, salt: salt.to_owned(), mac: mac.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::template::{FileGroup, Mode, rendering::PlannedFile};

    fn rendering(texts: &[(&str, &str, bool)]) -> Rendering {
        let name = || BTreeSet::from([crate::template::Name::default()]);
        let file = |(destination, text, secret): &(&str, &str, bool)| PlannedFile {
            source: "a.j2".into(),
            destination: (*destination).into(),
            mode: if *secret { Mode::PRIVATE } else { Mode::PUBLIC },
            group: FileGroup::Own,
            text: (*text).into(),
            secrets: if *secret { name() } else { BTreeSet::new() },
        };
        let files: Vec<PlannedFile> = texts.iter().map(file).collect();
        let secrets = files.iter().flat_map(|file| file.secrets.clone()).collect();
        Rendering { files, secrets, digest: "d".into() }
    }

    #[test]
    fn a_listing_says_what_files_are_and_nothing_of_secrets() {
        let rendering = rendering(&[("a b", "x\n", false), ("c", "__secret__\n", true)]);
        let texts = vec!["x\n".to_owned(), "hunter2\n".to_owned()];
        let secrets = Secrets::parse("/s", b"token = \"hunter2\"").unwrap();
        let listing = Listing::new(&rendering, texts, Some((&secrets, 3))).unwrap();
        let stream = String::from_utf8(listing.stream()).unwrap();
        let (size, rest) = stream.split_once('\n').unwrap();
        let (lines, files) = rest.split_at(size.parse().unwrap());
        assert_eq!(files, "x\nhunter2\n");
        assert!(!lines.contains("hunter2"), "{lines}");
        let words: Vec<&str> = lines.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(words, ["salt", "secrets", "file", "file", "end", "shown"]);
        assert!(lines.contains("\nfile 0444 - 2 ") && lines.contains(" a b\nfile 0440 - 8 "));
        let print = lines.lines().nth(1).unwrap().strip_prefix("secrets ").unwrap();
        let print = Fingerprint::parse(print).unwrap();
        assert_eq!(print.generation, 3);
        assert!(print.is_of(&secrets, &rendering.secrets));
        let shown = lines.lines().last().unwrap().strip_prefix("shown ").unwrap();
        let shown: Shown = serde_json::from_str(shown).unwrap();
        assert_eq!(shown, rendering.shown());
        assert!(shown["c"].secret && !shown["a b"].secret);
    }

    #[test]
    fn what_is_too_long_to_be_shown_is_left_out() {
        let long = "x".repeat(SHOWN - 1);
        let shown =
            rendering(&[("a", &long, false), ("b", "xx", false), ("c", "x", false)]).shown();
        let kept = |name: &str| shown[name].text.is_some();
        assert_eq!((kept("a"), kept("b"), kept("c")), (true, false, true));
    }

    #[test]
    fn a_strange_fingerprint_is_none() {
        let (salt, mac) = ("a".repeat(32), "b".repeat(64));
        assert!(Fingerprint::parse(&format!("1 {salt} {mac}")).is_some());
        for bad in ["", "1", "x 00 00", &format!("-1 {salt} {mac}"), &format!("1 {mac} {salt}")] {
            assert!(Fingerprint::parse(bad).is_none(), "{bad}");
        }
    }
}
