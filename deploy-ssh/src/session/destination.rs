//! A host as one would name it for `ssh`.

use super::error::ConnectError;

/// `[user@]host[:port]`, with brackets around an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

impl Destination {
    /// Reads a target's name, or one part of a `ProxyJump`.
    ///
    /// # Errors
    /// When a part is empty, could be read as an option, or holds what no host name holds.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectError> {
        let refuse = || ConnectError::Config(format!("{text:?} is not a host as ssh names it"));
        let text = text.strip_prefix("ssh://").unwrap_or(text);
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or_else(refuse)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(refuse()),
            }
        } else {
            match rest.split_once(':') {
                // More than one colon without brackets: an IPv6 address.
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|&p: &u16| p > 0).ok_or_else(refuse)?),
            None => None,
        };
        let inert = |part: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "._-:%+@".contains(c);
            !part.is_empty() && !part.starts_with('-') && part.chars().all(fine)
        };
        if !inert(host) || !user.as_deref().is_none_or(inert) {
            return Err(refuse());
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_ssh_reads_them() {
        let read = |text: &str| {
            let d = Destination::parse(text).unwrap();
            (d.user, d.host, d.port)
        };
        assert_eq!(read("h1"), (None, "h1".into(), None));
        assert_eq!(read("ann@h1:2222"), (Some("ann".into()), "h1".into(), Some(2222)));
        assert_eq!(read("[::1]:22"), (None, "::1".into(), Some(22)));
        assert_eq!(read("fe80::1%eth0"), (None, "fe80::1%eth0".into(), None));
        assert_eq!(read("ssh://h2:1"), (None, "h2".into(), Some(1)));
    }

    #[test]
    fn what_could_be_an_option_or_a_command_is_refused() {
        for bad in ["", "-oProxyCommand=x", "a b", "@h", "h:", "h:0", "h:x", "$(x)", "[::1", "a/b"]
        {
            assert!(Destination::parse(bad).is_err(), "{bad:?}");
        }
    }
}
