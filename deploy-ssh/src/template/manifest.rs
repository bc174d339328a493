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
pub(crate) struct Manifest {
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

impl Manifest {
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
    /// Reads what a manifest says after `secrets`.
    pub(crate) fn parse(words: &str) -> Option<Self> {
        let mut words = words.split(' ');
        let generation = words.next()?.parse().ok()?;
        let is_hex = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let salt = words.next().filter(is_hex).filter(|salt| salt.len() == 32)?;
        let mac = words.next().filter(is_hex).filter(|mac| mac.len() == 64)?;
        Some(Self { generation, salt: salt.to_owned(), mac: mac.to_owned() })
    }
}
