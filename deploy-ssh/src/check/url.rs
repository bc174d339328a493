//! The URL of an HTTP check.

use std::{fmt, str::FromStr};

use deploy_core::model::Target;
use hyper::Uri;

/// Stands for the target's host name.
pub(super) const TARGET: &str = "{target}";

/// The URL of an HTTP check: `http` or `https`, absolute, without a login. `{target}` in it stands
/// for the target's host name; nothing else in braces stands for anything, and is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckUrl(String);

/// Why a string is no URL for a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} {problem}")]
pub struct CheckUrlError {
    url: String,
    problem: String,
}

impl CheckUrl {
    /// Checks and wraps a URL.
    ///
    /// # Errors
    /// When it is not an absolute `http` or `https` URL, brings a login along, or has braces around
    /// anything but `target`.
    pub fn new(url: impl Into<String>) -> Result<Self, CheckUrlError> {
        let url = url.into();
        let filled = url.replace(TARGET, "target");
        let problem = unknown_place(&filled).or_else(|| problem(&filled).map(str::to_owned));
        match problem {
            Some(problem) => Err(CheckUrlError { url, problem }),
            None => Ok(Self(url)),
        }
    }

    /// The URL for `target`.
    pub(super) fn of(&self, target: &Target) -> Option<Uri> {
        self.0.replace(TARGET, &host_of(target)).parse().ok()
    }
}

/// The host name of a target.
pub(super) fn host_of(target: &Target) -> String {
    let name = target.as_str();
    let host = name.rsplit_once('@').map_or(name, |(_, host)| host);
    // A port in the target's name is sshd's.
    match host.split_once(']') {
        Some((address, _)) => format!("{address}]"),
        None => host.split(':').next().unwrap_or_default().to_owned(),
    }
}

/// Refuses what looks as if something would be put in its place.
fn unknown_place(url: &str) -> Option<String> {
    let from = url.find(['{', '}'])?;
    let rest = &url[from..];
    let place = &rest[..rest.find('}').map_or(rest.len(), |end| end + 1)];
    Some(format!(
        "has {place}: only {TARGET} stands for something in a URL (a brace itself is %7B or %7D)"
    ))
}

fn problem(url: &str) -> Option<&'static str> {
    let Ok(uri) = url.parse::<Uri>() else { return Some("is not a URL") };
    let Some(authority) = uri.authority() else { return Some("names no host") };
    match uri.scheme_str() {
        Some("http" | "https") if authority.as_str().contains('@') => Some("brings a login along"),
        Some("http" | "https") => None,
        _ => Some("is neither http nor https"),
    }
}

impl FromStr for CheckUrl {
    type Err = CheckUrlError;
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Self::new(url)
    }
}

impl fmt::Display for CheckUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_url_is_refused() {
        for bad in
            ["", "/x", "localhost:1134", "ftp://h/", "http://", "http://u:p@h/", "http://a b/"]
        {
            assert!(CheckUrl::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_target_has_a_place() {
        for (bad, place) in [
            ("http://h/{foo}", "has {foo}:"),
            ("http://{target}/{version}/x", "has {version}:"),
            ("http://h/?key={env:X}", "has {env:X}:"),
            ("http://h/{targets}", "has {targets}:"),
            ("http://h/{", "has {:"),
            ("http://h/}", "has }:"),
        ] {
            let error = CheckUrl::new(bad).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains("only {target}"), "{bad}: {error}");
        }
        assert!(CheckUrl::new("http://{target}/%7Bfoo%7D").is_ok());
    }

    #[test]
    fn the_target_is_put_in() {
        let url = CheckUrl::new("https://{target}:8443/health?q=1").unwrap();
        for (target, expected) in [
            ("h1", "https://h1:8443/health?q=1"),
            ("ann@h1:2222", "https://h1:8443/health?q=1"),
            ("[fe80::1]:22", "https://[fe80::1]:8443/health?q=1"),
        ] {
            let target = Target::new(target).unwrap();
            assert_eq!(url.of(&target).unwrap().to_string(), expected);
        }
    }
}
