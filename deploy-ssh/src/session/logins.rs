//! What this machine has for logins: the ssh command, its configuration, agents and keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use deploy_core::{backend::Finding, model::Target};
use tokio::process::Command;

use super::{
    key_file::{KeyFile, Kind},
    quote,
    sessions::Sessions,
    ssh_config::{Agent, HostConfig},
};

/// How many hosts a finding names.
const NAMED: usize = 3;

/// What an agent answered.
enum Asked {
    /// There is none.
    None,
    /// It does not answer.
    Silent,
    /// The keys that it holds.
    Keys(Vec<Vec<u8>>),
}

/// What a key file is.
enum Seen {
    Unreadable,
    InAgent,
    Is(Kind),
}

/// What is known of keys so far.
#[derive(Default)]
struct Keys {
    files: BTreeMap<PathBuf, Seen>,
    agents: BTreeMap<String, Asked>,
    without: BTreeSet<String>,
}

impl Sessions {
    /// Examines what this machine needs for logins to `targets`: the ssh command, its
    /// configuration, agents and keys. Connects to no host, asks for no passphrase; cancel-safe.
    pub async fn examine_logins(&self, targets: &[Target]) -> Vec<Finding> {
        let remote: Vec<&Target> = targets.iter().filter(|target| !self.is_local(target)).collect();
        if remote.is_empty() {
            return Vec::new();
        }
        let mut findings = vec![client().await];
        let mut keys = Keys::default();
        let mut unread: BTreeMap<String, usize> = BTreeMap::new();
        for target in remote {
            match self.session(target).host().await {
                Ok(config) => keys.look(target, &config),
                Err(error) => *unread.entry(error.to_string()).or_default() += 1,
            }
        }
        for (why, hosts) in &unread {
            findings.push(
                Finding::problem("ssh config", why.clone())
                    .because(format!("{hosts} of the hosts cannot be connected to"))
                    .cured_by("see that `ssh -G HOST` works"),
            );
        }
        if unread.is_empty() {
            findings.push(Finding::ok("ssh config", "ssh's configuration can be read"));
        }
        findings.extend(keys.findings());
        findings
    }
}

/// Whether there is an ssh command.
async fn client() -> Finding {
    let output = Command::new("ssh").arg("-V").kill_on_drop(true).output().await;
    match output {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stderr);
            Finding::ok("ssh", format!("{} is here", version.trim()))
        }
        _ => Finding::problem("ssh", "there is no ssh command")
            .because("it is asked how each host is connected to")
            .cured_by("install an OpenSSH client"),
    }
}

impl Keys {
    /// Looks at the keys for one host.
    fn look(&mut self, target: &Target, config: &HostConfig) {
        let of_agent =
            self.agents.entry(agent_name(&config.agent)).or_insert_with(|| ask(&config.agent));
        let held: &[Vec<u8>] = if let Asked::Keys(held) = of_agent { held } else { &[] };
        let mut usable = !held.is_empty() && !config.identities_only;
        for file in &config.identity_files {
            let key = KeyFile::read(file, Vec::new());
            let seen = match key.kind {
                _ if is_held(&key, held) => Seen::InAgent,
                Kind::Missing if fs::symlink_metadata(file).is_ok() => Seen::Unreadable,
                // Most of the names that ssh tries by default are those of no file.
                Kind::Missing => continue,
                kind => Seen::Is(kind),
            };
            usable |= matches!(seen, Seen::InAgent | Seen::Is(Kind::Usable));
            self.files.entry(file.clone()).or_insert(seen);
        }
        if !usable {
            self.without.insert(target.to_string());
        }
    }

    fn findings(self) -> Vec<Finding> {
        let is_missed = !self.without.is_empty();
        let files = self.files.iter();
        let mut findings: Vec<Finding> =
            files.map(|(file, seen)| judge(file, seen, is_missed)).collect();
        for (name, asked) in &self.agents {
            findings.push(match asked {
                Asked::None => continue,
                Asked::Silent => {
                    Finding::warning("agent", format!("the agent at {name} does not answer"))
                        .because("keys that only an agent holds cannot be used")
                        .cured_by("eval \"$(ssh-agent)\", then ssh-add")
                }
                Asked::Keys(held) => {
                    Finding::ok("agent", format!("the agent at {name} holds {} keys", held.len()))
                }
            });
        }
        if !self.without.is_empty() {
            let named: Vec<&str> = self.without.iter().take(NAMED).map(String::as_str).collect();
            let more = self.without.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = format!("there is no key to offer to {}{more}", named.join(", "));
            findings.push(
                Finding::problem("keys", what)
                    .because("nothing asks for a password or a passphrase in a run")
                    .cured_by("ssh-add KEY, or name one with IdentityFile in ~/.ssh/config"),
            );
        }
        findings
    }
}

/// What a key file is worth. `is_missed`: whether some host has no other key.
fn judge(file: &Path, seen: &Seen, is_missed: bool) -> Finding {
    let shown = file.display();
    let quoted = quote(&shown.to_string());
    let open = fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    let add = |what: &str| {
        let what = format!("{shown} {what}, and not in the agent");
        match is_missed {
            true => Finding::warning("keys", what)
                .because("nothing asks for a passphrase in a run")
                .cured_by(format!("ssh-add {quoted}")),
            false => Finding::ok("keys", what),
        }
    };
    match seen {
        Seen::InAgent => Finding::ok("keys", format!("the agent has {shown}")),
        Seen::Unreadable | Seen::Is(Kind::Missing) => {
            Finding::warning("keys", format!("the key {shown} cannot be read"))
                .because("it is not offered to any host")
                .cured_by(format!("ls -lL {quoted}"))
        }
        Seen::Is(Kind::Encrypted) => add("is encrypted"),
        Seen::Is(Kind::Hardware) => add("needs its token"),
        Seen::Is(Kind::Public) => Finding::warning("keys", format!("{shown} is a public key"))
            .because("only a private key, or one in the agent, logs in")
            .cured_by("name the private key with IdentityFile"),
        Seen::Is(Kind::Usable) if open => {
            Finding::warning("keys", format!("{shown} may be read by others"))
                .because("whoever reads it can log in; ssh itself refuses such a key")
                .cured_by(format!("chmod 600 {quoted}"))
        }
        Seen::Is(Kind::Usable) => Finding::ok("keys", format!("{shown} can be used")),
    }
}

fn is_held(key: &KeyFile, held: &[Vec<u8>]) -> bool {
    let blob = key.public.as_ref().and_then(|key| key.to_bytes().ok());
    blob.is_some_and(|blob| held.contains(&blob))
}

fn agent_name(agent: &Agent) -> String {
    match agent {
        Agent::Default => std::env::var("SSH_AUTH_SOCK").unwrap_or_default(),
        Agent::None => String::new(),
        Agent::Socket(socket) => socket.display().to_string(),
    }
}

/// Asks an agent for its keys. It answers from memory, so this is short.
fn ask(agent: &Agent) -> Asked {
    if agent_name(agent).is_empty() {
        return Asked::None;
    }
    let keys = || -> Result<Vec<Vec<u8>>, ssh2::Error> {
        let session = ssh2::Session::new()?;
        let mut asked = session.agent()?;
        if let Agent::Socket(socket) = agent {
            asked.set_identity_path(socket)?;
        }
        asked.connect()?;
        asked.list_identities()?;
        Ok(asked.identities()?.iter().map(|identity| identity.blob().to_vec()).collect())
    };
    keys().map_or(Asked::Silent, Asked::Keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy_core::backend::Grade;

    fn config(file: &Path) -> HostConfig {
        HostConfig {
            agent: Agent::None,
            identity_files: vec![file.to_owned()],
            ..HostConfig::default()
        }
    }

    fn found(text: &str, mode: u32) -> Vec<(Grade, String)> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let mut keys = Keys::default();
        keys.look(&Target::new("h1").unwrap(), &config(&file));
        keys.findings().into_iter().map(|finding| (finding.grade, finding.what)).collect()
    }

    #[test]
    fn a_host_without_a_usable_key_is_a_problem() {
        let encrypted = found("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 0o600);
        assert_eq!(encrypted[0].0, Grade::Warning);
        assert!(encrypted[0].1.ends_with("is encrypted, and not in the agent"));
        assert_eq!(encrypted[1], (Grade::Problem, "there is no key to offer to h1".to_owned()));
        let plain = "-----BEGIN RSA PRIVATE KEY-----\nMII\n";
        assert_eq!(found(plain, 0o600).iter().map(|f| f.0).collect::<Vec<_>>(), [Grade::Ok]);
        assert_eq!(found(plain, 0o644).iter().map(|f| f.0).collect::<Vec<_>>(), [Grade::Warning]);
    }

    #[test]
    fn names_of_no_file_are_passed_over() {
        let mut keys = Keys::default();
        keys.look(&Target::new("h1").unwrap(), &config(Path::new("/nowhere/id_rsa")));
        let findings = keys.findings();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].grade, Grade::Problem);
    }
}
