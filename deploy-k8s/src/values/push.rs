//! What came of a push, by what git said.

use crate::git::Said;

/// What came of a push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The remote has it.
    Taken,
    /// The branch has moved on.
    Overtaken,
    /// A review of the same change is closed: submitted or abandoned.
    Closed,
    /// The remote says no, in these words.
    Refused(String),
    /// It does not know us.
    Denied(String),
    /// It was never reached.
    NotBegun(String),
    /// There was no answer: it may have it.
    Unknown(String),
}

/// What git says when others were faster.
const OVERTAKEN: [&str; 6] = [
    "non-fast-forward",
    "fetch first",
    "stale info",
    "cannot lock ref",
    "incorrect old value",
    "failed to update ref",
];
const DENIED: [&str; 5] = [
    "authentication failed",
    "permission denied",
    "could not read username",
    "could not read password",
    "returned error: 403",
];
const NOT_BEGUN: [&str; 9] = [
    "could not resolve",
    "connection refused",
    "connection timed out",
    "no route to host",
    "network is unreachable",
    "unable to access",
    "failed to connect",
    "does not appear to be a git repository",
    "host key verification failed",
];

impl Pushed {
    /// By the answer of `git push --porcelain`.
    pub(super) fn of(said: &Said) -> Self {
        if said.is_ok {
            return Self::Taken;
        }
        let out = String::from_utf8_lossy(&said.out);
        let refusal = out.lines().find(|line| line.starts_with('!'));
        if let Some(line) = refusal {
            let has = |words: &str| line.contains(words);
            // The refs that clash are told beside it.
            if OVERTAKEN.iter().any(|words| has(words) || said.err.contains(words)) {
                return Self::Overtaken;
            }
            if has("no new changes") {
                return Self::Taken;
            }
            if has("[remote rejected]") && has("closed)") {
                return Self::Closed;
            }
            if has("rejected]") {
                let reason = line.rsplit('\t').next().unwrap_or_default();
                return Self::Refused(format!("{reason}; {}", said.told()));
            }
            return Self::Unknown(said.told());
        }
        Self::unheard(said)
    }

    /// Where no ref was answered for.
    fn unheard(said: &Said) -> Self {
        let (told, err) = (said.told(), said.err.to_ascii_lowercase());
        let has = |words: &[&str]| words.iter().any(|words| err.contains(words));
        if has(&DENIED) {
            Self::Denied(told)
        } else if has(&NOT_BEGUN) {
            Self::NotBegun(told)
        } else {
            Self::Unknown(told)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_told_by_the_remotes_words() {
        let of = |out: &str, err: &str| {
            Pushed::of(&Said { is_ok: false, out: out.into(), err: err.into() })
        };
        let line = |what: &str| format!("To r\n!\t0a:refs/heads/master\t{what}\nDone");
        let hung_up = "fatal: the remote end hung up unexpectedly";
        assert_eq!(of(&line("[rejected] (fetch first)"), ""), Pushed::Overtaken);
        assert_eq!(of(&line("[remote rejected] (failed to update ref)"), ""), Pushed::Overtaken);
        assert_eq!(of(&line("[remote rejected] (no new changes)"), ""), Pushed::Taken);
        assert_eq!(of(&line("[remote rejected] (change https://r/1 closed)"), ""), Pushed::Closed);
        assert_eq!(
            of(&line("[remote rejected] (pre-receive hook declined)"), "remote: only on weekdays"),
            Pushed::Refused(
                "[remote rejected] (pre-receive hook declined); remote: only on weekdays".into()
            )
        );
        assert!(matches!(of(&line("[remote failure] (no report)"), hung_up), Pushed::Unknown(_)));
        assert!(matches!(of("", hung_up), Pushed::Unknown(_)));
        let err = "fatal: unable to access 'https://r/': Could not resolve host: r";
        assert!(matches!(of("", err), Pushed::NotBegun(_)), "{err}");
        for err in ["git@r: Permission denied (publickey).", "fatal: Authentication failed for 'r'"]
        {
            assert!(matches!(of("", err), Pushed::Denied(_)), "{err}");
        }
    }
}
