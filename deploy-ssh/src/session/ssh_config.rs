//! What ssh's own configuration says of a host, asked of `ssh -G`.
//!
//! `ssh -G` evaluates `Host`, `Match`, `Include` and defaults exactly as a login with `ssh` would.
//! What it prints still holds `~` and some tokens, which are expanded here. Its answers are kept
//! from run to run where that is safe.

mod ask;
mod ground;
mod line;
mod memory;

use std::{collections::HashMap, path::PathBuf, time::Duration};

pub(crate) use ask::Asker;

use super::{error::ConnectError, known_hosts::Identity};

/// What is known of a host before it is connected to.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostConfig {
    /// The host as it was named.
    pub alias: String,
    /// The command by which a person tries the same login: `ssh -o BatchMode=yes h1 true`.
    pub by_hand: String,
    pub hostname: String,
    pub port: u16,
    pub user: String,
    pub address_family: AddressFamily,
    pub connect_timeout: Option<Duration>,
    pub alive_interval: Option<Duration>,
    pub proxy_jump: Option<String>,
    pub proxy_command: Option<String>,
    pub identity_files: Vec<PathBuf>,
    pub certificate_files: Vec<PathBuf>,
    pub identities_only: bool,
    pub agent: Agent,
    pub known_hosts: Vec<PathBuf>,
    pub revoked_keys: Option<PathBuf>,
    pub host_key_alias: Option<String>,
    pub host_key_algorithms: Vec<String>,
    pub authority_algorithms: Vec<String>,
    pub kex_algorithms: Vec<String>,
    pub ciphers: Vec<String>,
    pub macs: Vec<String>,
}

/// Which addresses of a host are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AddressFamily {
    #[default]
    Any,
    V4,
    V6,
}

/// Which agent is asked for keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Agent {
    /// That of `SSH_AUTH_SOCK`, if any.
    #[default]
    Default,
    None,
    Socket(PathBuf),
}

impl HostConfig {
    /// Reads what `ssh -G` said of `alias`.
    fn parse(alias: &str, text: &str, home: &Home) -> Result<Self, ConnectError> {
        let mut options = Options::parse(text);
        let mut config = Self {
            alias: alias.to_owned(),
            by_hand: String::new(),
            hostname: options.one("hostname").unwrap_or_else(|| alias.to_owned()),
            port: options.one("port").and_then(|port| port.parse().ok()).unwrap_or(22),
            user: options.one("user").unwrap_or_default(),
            address_family: match options.one("addressfamily").as_deref() {
                Some("inet") => AddressFamily::V4,
                Some("inet6") => AddressFamily::V6,
                _ => AddressFamily::Any,
            },
            connect_timeout: options.seconds("connecttimeout"),
            alive_interval: options.seconds("serveraliveinterval"),
            proxy_jump: options.one("proxyjump"),
            proxy_command: options.one("proxycommand"),
            identities_only: options.one("identitiesonly").as_deref() == Some("yes"),
            host_key_alias: options.one("hostkeyalias"),
            host_key_algorithms: options.list("hostkeyalgorithms"),
            authority_algorithms: options.list("casignaturealgorithms"),
            kex_algorithms: options.list("kexalgorithms"),
            ciphers: options.list("ciphers"),
            macs: options.list("macs"),
            ..Self::default()
        };
        let tokens = Tokens { config: &config, home };
        let agent = match options.raw("identityagent").as_deref() {
            None | Some("SSH_AUTH_SOCK") => Agent::Default,
            Some("none") => Agent::None,
            Some(socket) => match socket.strip_prefix('$') {
                Some(variable) => std::env::var_os(variable)
                    .map_or(Agent::None, |socket| Agent::Socket(socket.into())),
                None => Agent::Socket(tokens.path(socket)?),
            },
        };
        let paths = |values: Vec<String>| -> Result<Vec<PathBuf>, ConnectError> {
            values.iter().filter(|v| *v != "none").map(|v| tokens.path(v)).collect()
        };
        let identity_files = paths(options.all("identityfile"))?;
        let certificate_files = paths(options.all("certificatefile"))?;
        let mut files = options.words("userknownhostsfile");
        files.extend(options.words("globalknownhostsfile"));
        let known_hosts = paths(files)?;
        let revoked_keys = options.one("revokedhostkeys").map(|f| tokens.path(&f)).transpose()?;
        config.agent = agent;
        config.identity_files = identity_files;
        config.certificate_files = certificate_files;
        config.known_hosts = known_hosts;
        config.revoked_keys = revoked_keys;
        Ok(config)
    }

    /// The name under which the host's key is known.
    pub(crate) fn known_as(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.to_lowercase(),
            None if self.port == 22 => self.hostname.to_lowercase(),
            None => format!("[{}]:{}", self.hostname.to_lowercase(), self.port),
        }
    }

    /// Which host is wanted: what its key or its certificate must say.
    pub(crate) fn identity(&self) -> Identity {
        let name = self.host_key_alias.as_ref().unwrap_or(&self.hostname).to_lowercase();
        let authority_algorithms = self.authority_algorithms.clone();
        Identity { known_as: self.known_as(), name, authority_algorithms }
    }

    /// Where it is, for a person.
    pub(crate) fn address(&self) -> String {
        if self.hostname.contains(':') {
            format!("[{}]:{}", self.hostname, self.port)
        } else {
            format!("{}:{}", self.hostname, self.port)
        }
    }

    /// The ProxyCommand with its tokens expanded, for `sh -c`.
    ///
    /// # Errors
    /// When a token is not known, or when a name would mean something to a shell.
    pub(crate) fn proxy_command_line(&self) -> Result<Option<String>, ConnectError> {
        let Some(command) = &self.proxy_command else { return Ok(None) };
        let inert = |text: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "._-:@%+".contains(c);
            !text.starts_with('-') && text.chars().all(fine)
        };
        for name in [&self.hostname, &self.alias, &self.user] {
            if !inert(name) {
                return Err(ConnectError::Config(format!(
                    "{name:?} cannot stand in a ProxyCommand: a shell would read it"
                )));
            }
        }
        let home = Home::find();
        let tokens = Tokens { config: self, home: &home };
        tokens.expand(command).map(Some)
    }
}

/// The lines of `ssh -G`.
struct Options(HashMap<String, Vec<String>>);

impl Options {
    fn parse(text: &str) -> Self {
        let mut options: HashMap<String, Vec<String>> = HashMap::new();
        for line in text.lines() {
            if let Some((key, value)) = line.split_once(' ') {
                let values = options.entry(key.to_ascii_lowercase()).or_default();
                values.push(value.trim().to_owned());
            }
        }
        Self(options)
    }

    fn raw(&mut self, key: &str) -> Option<String> {
        self.0.get(key).and_then(|values| values.first().cloned())
    }

    fn one(&mut self, key: &str) -> Option<String> {
        self.raw(key).filter(|value| value != "none" && !value.is_empty())
    }

    fn all(&mut self, key: &str) -> Vec<String> {
        self.0.remove(key).unwrap_or_default()
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        self.one(key).map(|v| v.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Words that may be quoted because they hold blanks.
    fn words(&mut self, key: &str) -> Vec<String> {
        let value = self.one(key).unwrap_or_default();
        shlex::split(&value).unwrap_or_else(|| vec![value])
    }

    fn seconds(&mut self, key: &str) -> Option<Duration> {
        let seconds = self.one(key)?.parse().ok().filter(|&seconds| seconds > 0)?;
        Some(Duration::from_secs(seconds))
    }
}

/// Whose configuration it is.
#[derive(Debug)]
struct Home {
    /// What `~` means.
    dir: Option<PathBuf>,
    /// The home of the account, whatever `HOME` says: ssh looks there for its configuration.
    account: Option<PathBuf>,
    user: String,
}

impl Home {
    fn find() -> Self {
        let uid = nix::unistd::Uid::current();
        let user = nix::unistd::User::from_uid(uid).ok().flatten();
        let name = user.as_ref().map(|user| user.name.clone()).unwrap_or_default();
        let account = user.map(|user| user.dir);
        let dir = std::env::home_dir().or_else(|| account.clone());
        Self { dir, account, user: name }
    }
}

struct Tokens<'a> {
    config: &'a HostConfig,
    home: &'a Home,
}

impl Tokens<'_> {
    fn path(&self, value: &str) -> Result<PathBuf, ConnectError> {
        let value = value.trim_matches('"');
        let expanded = self.expand(value)?;
        match (expanded.strip_prefix("~/"), &self.home.dir) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            _ => Ok(expanded.into()),
        }
    }

    fn expand(&self, value: &str) -> Result<String, ConnectError> {
        let mut expanded = String::with_capacity(value.len());
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let config = self.config;
            match chars.next() {
                Some('%') => expanded.push('%'),
                Some('h') => expanded.push_str(&config.hostname),
                Some('n') => expanded.push_str(&config.alias),
                Some('p') => expanded.push_str(&config.port.to_string()),
                Some('r') => expanded.push_str(&config.user),
                Some('u') => expanded.push_str(&self.home.user),
                Some('k') => {
                    expanded.push_str(config.host_key_alias.as_ref().unwrap_or(&config.alias));
                }
                Some('d') => match self.home.dir.as_ref().and_then(|dir| dir.to_str()) {
                    Some(dir) => expanded.push_str(dir),
                    None => return Err(ConnectError::Config("%d: no home".to_owned())),
                },
                Some('i') => {
                    expanded.push_str(&nix::unistd::Uid::current().to_string());
                }
                token => {
                    let token = token.map(String::from).unwrap_or_default();
                    return Err(ConnectError::Config(format!(
                        "the token %{token} in {value:?} of the ssh configuration is not known"
                    )));
                }
            }
        }
        Ok(expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> HostConfig {
        let dir = Some(PathBuf::from("/home/ann"));
        let home = Home { account: dir.clone(), dir, user: "ann".to_owned() };
        HostConfig::parse("h1", text, &home).unwrap()
    }

    #[test]
    fn the_answer_of_ssh_is_read() {
        let config = parse(
            "host h1\nuser deploy\nhostname h1.example.org\nport 2222\naddressfamily inet\n\
             proxyjump none\nproxycommand nc %h %p\nidentityfile ~/.ssh/id_%r\n\
             identityfile /k\nidentitiesonly yes\nconnecttimeout none\nserveraliveinterval 7\n\
             userknownhostsfile /a/b \"/c d\"\nglobalknownhostsfile none\nidentityagent none\n\
             ciphers aes128-ctr,aes256-ctr\n",
        );
        assert_eq!(config.known_as(), "[h1.example.org]:2222");
        assert_eq!(config.address_family, AddressFamily::V4);
        assert_eq!((config.proxy_jump.as_ref(), config.connect_timeout), (None, None));
        assert_eq!(config.alive_interval, Some(Duration::from_secs(7)));
        let files: Vec<PathBuf> = vec!["/home/ann/.ssh/id_deploy".into(), "/k".into()];
        assert_eq!(config.identity_files, files);
        let known: Vec<PathBuf> = vec!["/a/b".into(), "/c d".into()];
        assert_eq!(config.known_hosts, known);
        assert!(config.identities_only);
        assert_eq!(config.agent, Agent::None);
        let line = config.proxy_command_line().unwrap();
        assert_eq!(line.as_deref(), Some("nc h1.example.org 2222"));
    }

    #[test]
    fn no_name_reaches_a_shell_as_code() {
        let mut config = parse("hostname h1\nproxycommand nc %h %p\n");
        for name in ["$(id)", "a b", "a;b", "`x`", "-oProxyCommand=x", "a'b"] {
            config.hostname = name.to_owned();
            assert!(config.proxy_command_line().is_err(), "{name}");
        }
    }

    #[test]
    fn an_unknown_token_is_refused() {
        let config = parse("hostname h1\nproxycommand nc %Q\n");
        assert!(config.proxy_command_line().is_err());
    }

    #[test]
    fn an_alias_of_the_key_stands_for_host_and_port() {
        assert_eq!(parse("hostname h\nport 2\nhostkeyalias Farm\n").known_as(), "farm");
    }
}
