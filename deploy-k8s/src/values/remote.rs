//! The repository's address, whose secrets are never shown.

use std::fmt;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Where a repository is, and what gives access to it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Remote {
    url: String,
    secret: Option<Secret>,
}

/// What a URL says before its `@`.
#[derive(Clone, PartialEq, Eq)]
struct Secret {
    /// The URL with it, as git's credential store has it.
    stored: String,
    /// The password, or the token that stands for a name.
    word: String,
    userinfo: String,
}

impl Remote {
    /// Reads what `git fetch` takes.
    pub(super) fn of(text: &str) -> Self {
        let plain = || Self { url: text.to_owned(), secret: None };
        let Some((scheme, rest)) = text.split_once("://") else { return plain() };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let Some((userinfo, host)) = authority.rsplit_once('@') else { return plain() };
        let is_http = scheme.starts_with("http");
        let (name, word) = match userinfo.split_once(':') {
            Some((name, word)) => (name, word),
            // Some services take a token for the name; ssh has only names.
            None if is_http => ("", userinfo),
            None => return plain(),
        };
        let user = if is_http || name.is_empty() { String::new() } else { format!("{name}@") };
        let secret = Secret {
            stored: format!("{scheme}://{authority}"),
            word: word.to_owned(),
            userinfo: userinfo.to_owned(),
        };
        Self { url: format!("{scheme}://{user}{host}{path}"), secret: Some(secret) }
    }

    /// The address without what gives access.
    pub(super) fn shown(&self) -> &str {
        &self.url
    }

    /// A line for git's credential store; `None` where git finds by itself what it needs.
    pub(super) fn stored(&self) -> Option<&str> {
        let is_http = self.url.starts_with("http");
        self.secret.as_ref().filter(|_| is_http).map(|secret| secret.stored.as_str())
    }

    /// `text` without what gives access.
    pub(super) fn clean(&self, text: &str) -> String {
        let Some(secret) = &self.secret else { return text.to_owned() };
        let text = text.replace(&format!("{}@", secret.userinfo), "");
        if secret.word.is_empty() { text } else { text.replace(&secret.word, HIDDEN) }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_access_is_not_shown() {
        for (text, shown, stored) in [
            ("/srv/values.git", "/srv/values.git", None),
            ("git@host.example:values.git", "git@host.example:values.git", None),
            ("ssh://git@host.example/values", "ssh://git@host.example/values", None),
            ("ssh://git:pa55@host.example/values", "ssh://git@host.example/values", None),
            ("https://host.example/values", "https://host.example/values", None),
            (
                "https://ann:t0k3n@host.example/values",
                "https://host.example/values",
                Some("https://ann:t0k3n@host.example"),
            ),
            (
                "https://t0k3n@host.example:8443/values",
                "https://host.example:8443/values",
                Some("https://t0k3n@host.example:8443"),
            ),
        ] {
            let remote = Remote::of(text);
            assert_eq!((remote.shown(), remote.stored()), (shown, stored), "{text}");
            assert_eq!(format!("{remote:?}"), shown);
            let told = remote.clean(&format!("fatal: {text}: t0k3n pa55 is wrong"));
            for word in ["t0k3n", "pa55"].iter().filter(|word| text.contains(**word)) {
                assert!(!told.contains(word) && told.contains("*** "), "{told}");
            }
        }
    }
}
