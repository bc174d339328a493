//! The name of an image, without tag and digest.

use std::{fmt, net::IpAddr, str::FromStr};

/// Who is asked for images whose name has no host.
const HUB: &str = "docker.io";
/// Where that one answers.
const HUB_API: &str = "registry-1.docker.io";
/// Under which name Docker keeps the credentials for it.
const HUB_CREDENTIALS: &str = "https://index.docker.io/v1/";

/// The name of an image: `registry.example:5000/team/mathoid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    written: String,
    host: String,
    path: String,
}

impl ImageName {
    /// As it was written, which is as manifests have it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The repository in the registry.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where the registry answers. A registry on this machine may do without TLS, as for Docker.
    pub(super) fn base(&self) -> String {
        let host = if self.host == HUB { HUB_API } else { &self.host };
        let scheme = if is_loopback(host) { "http" } else { "https" };
        format!("{scheme}://{host}")
    }

    /// Under which name its credentials are kept.
    pub(super) fn server(&self) -> &str {
        if self.host == HUB { HUB_CREDENTIALS } else { &self.host }
    }
}

/// Whether a host with an optional port is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') || text.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            return Err(ImageNameError::HasTag);
        }
        let (host, path) = match text.split_once('/') {
            // As Docker tells a host from a directory.
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => (HUB, text),
        };
        let path = match path.contains('/') {
            false if host == HUB => format!("library/{path}"),
            _ => path.to_owned(),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) || !path.split('/').all(is_component) {
            return Err(ImageNameError::Malformed);
        }
        Ok(Self { written: text.to_owned(), host: host.to_owned(), path })
    }
}

fn is_component(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.chars().next().is_some_and(is_word)
        && part.chars().last().is_some_and(is_word)
        && part.chars().all(|c| is_word(c) || "._-".contains(c))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

/// Why text is not the name of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// It has a tag or a digest.
    #[error("has a tag or a digest: the version is what a deploy chooses")]
    HasTag,
    /// It is no name at all.
    #[error("is not the name of an image, such as `registry.example/team/app`")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_registries() {
        for (text, base, path, server) in [
            ("r.example/team/app", "https://r.example", "team/app", "r.example"),
            ("localhost:5000/app", "http://localhost:5000", "app", "localhost:5000"),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000", "a/b", "127.0.0.1:5000"),
            ("nginx", "https://registry-1.docker.io", "library/nginx", HUB_CREDENTIALS),
            ("team/app", "https://registry-1.docker.io", "team/app", HUB_CREDENTIALS),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!((name.base().as_str(), name.path(), name.server()), (base, path, server));
            assert_eq!(name.to_string(), text);
        }
        assert!(is_loopback("[::1]:5000") && is_loopback("127.8.9.1"));
        for host in ["localhost.example", "128.0.0.1", "127.0.0.1.example", "127.example:80"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["r.example/app:v1", "r.example/app@sha256:00"] {
            assert_eq!(text.parse::<ImageName>(), Err(ImageNameError::HasTag));
        }
        for text in
            ["", "r.example/", "r.example/App", "r.example/../x", "r.example/a b", "a?/b.c/d"]
        {
            assert_eq!(text.parse::<ImageName>(), Err(ImageNameError::Malformed), "{text}");
        }
    }
}
