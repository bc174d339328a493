//! Whether a host's key is the one we know.
//!
//! libssh2's own reading of these files overlooks `@revoked` and wildcards, calls another type of
//! key "changed", and gives up a whole file for one bad line; so they are read here.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use ssh_key::{
    HashAlg, PublicKey,
    known_hosts::{Entry, HostPatterns, Marker},
};

use super::{distrust::Distrust, host_cert::HostCertificate};

/// Which host is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The name under which its key is known: with the port, where that is not 22.
    pub known_as: String,
    /// The name that a certificate must have.
    pub name: String,
    /// How an authority may have signed; none is any.
    pub authority_algorithms: Vec<String>,
}

/// One line of a file.
#[derive(Debug)]
struct Line {
    entry: Entry,
    file: PathBuf,
    number: usize,
}

impl Line {
    fn is(&self, marker: &Marker) -> bool {
        self.entry.marker() == Some(marker)
    }

    fn has(&self, key: &PublicKey) -> bool {
        self.entry.public_key().key_data() == key.key_data()
    }
}

/// What the known_hosts files say, and which keys are revoked for all hosts.
#[derive(Debug, Default)]
pub(crate) struct KnownHosts {
    lines: Vec<Line>,
    /// The lines that name hosts plainly, by name.
    plain: HashMap<String, Vec<usize>>,
    /// The others: patterns, and names that are hashed.
    others: Vec<usize>,
    revoked: Vec<PublicKey>,
    /// Where a new key would be written.
    first: PathBuf,
}

/// What is known of one host.
#[derive(Debug)]
pub(crate) struct KnownHost<'a> {
    known: &'a KnownHosts,
    lines: Vec<&'a Line>,
}

impl KnownHosts {
    /// Reads the files. A file that is not there says nothing, nor does a line that is not
    /// understood.
    ///
    /// # Errors
    /// When the list of revoked keys cannot be read: then no key can be trusted.
    pub(crate) fn read(files: &[PathBuf], revoked: Option<&Path>) -> Result<Self, Distrust> {
        let mut known =
            Self { first: files.first().cloned().unwrap_or_default(), ..Self::default() };
        for file in files {
            // By bytes: a comment may be in any encoding.
            let Ok(bytes) = fs::read(file) else { continue };
            known.add(file, &String::from_utf8_lossy(&bytes));
        }
        if let Some(file) = revoked {
            let fail = |reason: String| Distrust::NoRevocations { file: file.to_owned(), reason };
            let text = fs::read_to_string(file).map_err(|e: io::Error| fail(e.to_string()))?;
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
            {
                let key = PublicKey::from_openssh(line).map_err(|e| fail(e.to_string()))?;
                known.revoked.push(key);
            }
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with('#') {
                continue;
            }
            // One blank between the fields, and no comment, which may hold anything.
            let mut words = line.split_ascii_whitespace();
            let marked = line.trim_start().starts_with('@');
            let fields: Vec<&str> = words.by_ref().take(if marked { 4 } else { 3 }).collect();
            if let Ok(entry) = fields.join(" ").parse::<Entry>() {
                self.list(self.lines.len(), entry.host_patterns());
                self.lines.push(Line { entry, file: file.to_owned(), number: index + 1 });
            }
        }
    }

    /// Makes a line easy to find.
    fn list(&mut self, index: usize, patterns: &HostPatterns) {
        match patterns {
            HostPatterns::Patterns(names) if !names.iter().any(|n| n.contains(['*', '?', '!'])) => {
                for name in names {
                    self.plain.entry(name.to_lowercase()).or_default().push(index);
                }
            }
            _ => self.others.push(index),
        }
    }

    /// What the lines say that are about a host, known as `host`: all else is asked of that.
    pub(crate) fn about(&self, host: &str) -> KnownHost<'_> {
        let names = names(host);
        let plain = names.iter().filter_map(|name| self.plain.get(name)).flatten();
        let patterns = |index: usize| self.lines[index].entry.host_patterns();
        let matches = |index: &&usize| names.iter().any(|n| matches_host(patterns(**index), n));
        let found: BTreeSet<usize> =
            plain.chain(self.others.iter().filter(matches)).copied().collect();
        let lines = found.into_iter().map(|index| &self.lines[index]).collect();
        KnownHost { known: self, lines }
    }
}

impl KnownHost<'_> {
    /// The types of key that are known for it, as `ssh-ed25519`.
    pub(crate) fn types(&self) -> BTreeSet<String> {
        self.lines
            .iter()
            .filter(|line| line.entry.marker().is_none())
            .map(|line| line.entry.public_key().algorithm().to_string())
            .collect()
    }

    /// Whether an authority is known that may vouch for it.
    pub(crate) fn has_authority(&self) -> bool {
        self.lines.iter().any(|line| line.is(&Marker::CertAuthority))
    }

    /// Whether `blob`, the key or certificate that the host showed, is its own.
    ///
    /// # Errors
    /// Every answer but yes.
    pub(crate) fn verify(&self, host: &Identity, blob: &[u8]) -> Result<(), Distrust> {
        if HostCertificate::is_one(blob) {
            return self.verify_certificate(host, blob);
        }
        let host = &host.known_as;
        let key =
            PublicKey::from_bytes(blob).map_err(|_| Distrust::Unreadable { host: host.clone() })?;
        self.refuse_revoked(host, &key, &key)?;
        self.verify_key(host, &key)
    }

    /// As ssh does, a certificate that proves nothing counts as the plain key in it.
    fn verify_certificate(&self, host: &Identity, blob: &[u8]) -> Result<(), Distrust> {
        let known_as = &host.known_as;
        let shown = HostCertificate::read(blob).map_err(|flaw| Distrust::Certificate {
            host: known_as.clone(),
            shown: "no certificate that makes sense".to_owned(),
            flaw,
        })?;
        self.refuse_revoked(known_as, &shown.key, &shown.key)?;
        self.refuse_revoked(known_as, &shown.authority, &shown.key)?;
        let authorities: Vec<&PublicKey> = self
            .lines
            .iter()
            .filter(|line| line.is(&Marker::CertAuthority))
            .map(|line| line.entry.public_key())
            .collect();
        let algorithms = &host.authority_algorithms;
        let judged = shown.judge(&host.name, &authorities, algorithms, Timestamp::now());
        let Err(flaw) = judged else { return Ok(()) };
        self.verify_key(known_as, &shown.key).map_err(|_| Distrust::Certificate {
            host: known_as.clone(),
            shown: format!("{}, signed by {}", describe(&shown.key), describe(&shown.authority)),
            flaw,
        })
    }

    /// Refuses when `key` is revoked: the one that was `shown`, or that of who signed it.
    fn refuse_revoked(
        &self,
        host: &str,
        key: &PublicKey,
        shown: &PublicKey,
    ) -> Result<(), Distrust> {
        let revoked = |place: String| Distrust::Revoked {
            host: host.to_owned(),
            offered: match key == shown {
                true => describe(shown),
                false => format!("{}, signed by {}", describe(shown), describe(key)),
            },
            place,
        };
        if self.known.revoked.iter().any(|other| other.key_data() == key.key_data()) {
            return Err(revoked("RevokedHostKeys".to_owned()));
        }
        let mut lines = self.lines.iter().filter(|line| line.is(&Marker::Revoked));
        lines.find(|line| line.has(key)).map_or(Ok(()), |line| Err(revoked(place(line))))
    }

    /// Whether `key` stands in a line about the host.
    fn verify_key(&self, host: &str, key: &PublicKey) -> Result<(), Distrust> {
        let (owned, offered) = (host.to_owned(), describe(key));
        let mut lines = self.lines.clone();
        lines.retain(|line| line.entry.marker().is_none());
        if lines.iter().any(|line| line.has(key)) {
            return Ok(());
        }
        match lines.first() {
            None => {
                let (authority, file) = (self.has_authority(), self.known.first.clone());
                Err(Distrust::Unknown { host: owned, offered, authority, file })
            }
            Some(first) => {
                let of_type = |l: &&&Line| l.entry.public_key().algorithm() == key.algorithm();
                let line = lines.iter().find(of_type).unwrap_or(first);
                Err(Distrust::Changed {
                    host: owned,
                    offered,
                    known: describe(line.entry.public_key()),
                    place: place(line),
                    file: line.file.clone(),
                })
            }
        }
    }
}

fn place(line: &Line) -> String {
    format!("{}:{}", line.file.display(), line.number)
}

fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// The names that a line may have for a host: as `ssh` does, a key without a port counts for every
/// port.
fn names(host: &str) -> Vec<String> {
    let mut names = vec![host.to_owned()];
    if let Some((name, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        names.push(name.to_owned());
    }
    names
}

fn matches_host(patterns: &HostPatterns, host: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => {
            let mut matched = false;
            for pattern in patterns {
                let pattern = pattern.to_lowercase();
                match pattern.strip_prefix('!') {
                    Some(not) if matches_pattern(not.as_bytes(), host.as_bytes()) => return false,
                    Some(_) => {}
                    None => matched |= matches_pattern(pattern.as_bytes(), host.as_bytes()),
                }
            }
            matched
        }
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|mac| mac.chain_update(host).verify_slice(hash).is_ok()),
    }
}

/// Matches `*` and `?`, in time proportional to the product of the lengths.
pub(crate) fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqt";

    fn host(known_as: &str) -> Identity {
        Identity { known_as: known_as.to_owned(), ..Identity::default() }
    }

    fn blob(key: &str) -> Vec<u8> {
        PublicKey::from_openssh(key).unwrap().to_bytes().unwrap()
    }

    impl KnownHosts {
        fn verify(&self, host: &Identity, blob: &[u8]) -> Result<(), Distrust> {
            self.about(&host.known_as).verify(host, blob)
        }

        fn types(&self, host: &str) -> BTreeSet<String> {
            self.about(host).types()
        }
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts { first: "/kh".into(), ..KnownHosts::default() };
        known.add(Path::new("/kh"), text);
        known
    }

    #[test]
    fn a_known_key_is_trusted_and_another_is_changed() {
        let known = known(&format!("a,h1 {ONE} comment # not a comment\n"));
        assert_eq!(known.verify(&host("h1"), &blob(ONE)), Ok(()));
        let changed = known.verify(&host("h1"), &blob(TWO)).unwrap_err();
        assert!(matches!(changed, Distrust::Changed { .. }));
        assert!(changed.detail().is_some_and(|detail| detail.matches("SHA256:").count() == 2));
        assert!(changed.hint().contains("ssh-keygen -R h1 -f /kh"), "{}", changed.hint());
        assert!(matches!(known.verify(&host("h2"), &blob(ONE)), Err(Distrust::Unknown { .. })));
    }

    #[test]
    fn a_bad_line_spoils_only_itself() {
        let text = format!("h1 ssh-new AAAA\n|1|x|y {ONE}\n\u{fffd}\nh1\t {ONE}\n@odd h1 {ONE}\n");
        assert_eq!(known(&text).verify(&host("h1"), &blob(ONE)), Ok(()));
    }

    #[test]
    fn a_revoked_key_is_never_trusted() {
        let text = format!("h1 {ONE}\n@revoked * {ONE}\n");
        assert!(matches!(
            known(&text).verify(&host("h1"), &blob(ONE)),
            Err(Distrust::Revoked { .. })
        ));
        let other = format!("h1 {ONE}\n@revoked * {TWO}\n");
        assert_eq!(known(&other).verify(&host("h1"), &blob(ONE)), Ok(()));
    }

    #[test]
    fn an_authority_without_a_certificate_is_not_enough_and_said() {
        let unknown = known(&format!("@cert-authority * {ONE}\n"))
            .verify(&host("h1"), &blob(ONE))
            .unwrap_err();
        assert!(unknown.hint().contains("@cert-authority"));
        assert!(known(&format!("@cert-authority * {ONE}\n")).types("h1").is_empty());
    }

    #[test]
    fn wildcards_and_negations_match_as_in_ssh() {
        let known = known(&format!("*.example.org,!bad.example.org,web-? {ONE}\n"));
        for good in ["a.example.org", "web-1"] {
            assert_eq!(known.verify(&host(good), &blob(ONE)), Ok(()), "{good}");
        }
        for unknown in ["bad.example.org", "web-11", "example.org"] {
            assert!(known.verify(&host(unknown), &blob(ONE)).is_err(), "{unknown}");
        }
    }

    #[test]
    fn hashed_names_match_with_their_port() {
        // Made by: ssh-keygen -H, of `[127.0.0.1]:2222`.
        let mac = Hmac::<Sha1>::new_from_slice(b"01234567890123456789").unwrap();
        let hash: [u8; 20] = mac.chain_update("[h1]:2222").finalize().into_bytes().into();
        let patterns =
            HostPatterns::HashedName { salt: b"01234567890123456789".to_vec(), hash }.to_string();
        let known = known(&format!("{patterns} {ONE}\n"));
        assert_eq!(known.verify(&host("[h1]:2222"), &blob(ONE)), Ok(()));
        assert!(known.verify(&host("h1"), &blob(ONE)).is_err());
        assert_eq!(known.types("[h1]:2222").into_iter().collect::<Vec<_>>(), ["ssh-ed25519"]);
    }

    #[test]
    fn another_port_is_asked_for_by_its_port_and_without() {
        let with = known(&format!("[h1]:2222 {ONE}\n"));
        assert_eq!(with.verify(&host("[h1]:2222"), &blob(ONE)), Ok(()));
        assert!(with.verify(&host("h1"), &blob(ONE)).is_err());
        assert_eq!(known(&format!("h1 {ONE}\n")).verify(&host("[h1]:2222"), &blob(ONE)), Ok(()));
        let hint = with.verify(&host("[h1]:2222"), &blob(TWO)).unwrap_err().hint();
        assert!(hint.contains("ssh-keygen -R '[h1]:2222'"), "{hint}");
        assert!(hint.contains("ssh-keyscan -H -p 2222 h1 >> /kh"), "{hint}");
    }
}
