//! How unchanged files come from the release before.

use super::{SshTransport, report::Report};

/// How unchanged files come from the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// As files that share their blocks.
    Reflink,
    /// As hard links.
    Hard,
    /// As copies.
    Copy,
    /// Not at all.
    None,
}

impl Share {
    /// The word by which scripts know it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::Hard => "hard",
            Self::Copy => "copy",
            Self::None => "none",
        }
    }
}

impl SshTransport {
    /// How unchanged files come from the release before. A hard link only where nobody who could
    /// write through it does: neither the service, nor root, nor a build step. What build steps
    /// have made is not copied either.
    pub(super) fn share(&self, known: &Report) -> Share {
        if known.can_reflink() {
            return Share::Reflink;
        }
        if !self.steps.is_empty() {
            return Share::None;
        }
        match (self.layout.known_service_user(), known.user()) {
            (Some(service), Some((user, false))) if service != user && service != "root" => {
                Share::Hard
            }
            _ => Share::Copy,
        }
    }

    /// The same for a person, with the reason.
    pub(super) fn sharing(&self, known: &Report) -> String {
        match (self.share(known), self.layout.known_service_user(), known.user()) {
            (Share::Reflink, ..) => {
                format!("unchanged files share their blocks ({})", known.filesystem())
            }
            (Share::Hard, ..) => "unchanged files are hard links".to_owned(),
            (Share::None, ..) => {
                "all files are written anew: build steps may write to them".to_owned()
            }
            (Share::Copy, None, _) => {
                "unchanged files are copied: [layout] service_user is not set".to_owned()
            }
            (Share::Copy, Some(service), Some((user, is_root))) if is_root || service == user => {
                format!("unchanged files are copied: {user}, who deploys, could write to them")
            }
            (Share::Copy, Some(service), _) => {
                format!("unchanged files are copied: {service} could write to them")
            }
        }
    }
}
