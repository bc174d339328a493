//! Why a script on a target failed, in words for a person.

use deploy_core::backend::{BackendError, ErrorKind};

use super::report::Report;
use crate::session::Output;

/// The exit statuses that our own scripts give a meaning.
pub(super) mod status {
    /// Another run holds the target.
    pub(crate) const CLAIMED: i32 = 40;
    /// The objects that are there, or came, do not make the tree.
    pub(crate) const OBJECTS: i32 = 41;
    /// A release does not hold what it should, and could not be mended.
    pub(crate) const DAMAGED: i32 = 42;
    /// A release is not there.
    pub(crate) const GONE: i32 = 43;
    /// The state is not the one that was reckoned with.
    pub(crate) const STALE: i32 = 45;
    /// Something else is live.
    pub(crate) const CHANGED: i32 = 46;
    /// The live path is not ours.
    pub(crate) const FOREIGN_PATH: i32 = 47;
    /// The commit could not be pulled.
    pub(crate) const PULL: i32 = 49;
    /// What the release has already stands where a file is to be rendered.
    pub(crate) const TAKEN: i32 = 50;
    /// A rendered file is not what it was.
    pub(crate) const RENDERED: i32 = 51;
}

/// Words of the C library, in the C locale; the last are those of tar, where a part could be written.
const FULL: [&str; 3] = ["No space left on device", "Disk quota exceeded", ": Wrote only "];

/// Whether the environment of the script failed, rather than what it found: trying again with
/// other data would not help.
pub(super) fn is_environment(output: &Output) -> bool {
    let stderr = output.stderr.text();
    FULL.iter().any(|words| stderr.contains(words))
        || stderr.contains("Read-only file system")
        || stderr.contains("Permission denied")
}

/// The error of a script that failed while doing `attempted`. `known` is what the target said when
/// it was probed.
pub(super) fn explain(
    output: &Output,
    known: &Report,
    cache: &str,
    attempted: &str,
) -> BackendError {
    let stderr = output.stderr.text();
    let said = Report::parse(&output.stdout.bytes());
    let mount = said.mount().or(known.mount()).unwrap_or(cache);
    let error = |kind| BackendError::new(kind, attempted);
    let error = if FULL.iter().any(|words| stderr.contains(words)) {
        error(ErrorKind::Rejected)
            .with_source(format!("disk full on {mount}"))
            .with_hint("make room there; `keep` says how many releases are kept")
    } else if output.status == status::PULL {
        let (kind, why) = pull_problem(&stderr);
        error(kind).with_source(why)
    } else if stderr.contains("Read-only file system") {
        error(ErrorKind::Rejected).with_source(format!("{mount} is mounted read-only"))
    } else if stderr.contains("Permission denied") {
        let user = known.user().map_or("the login user", |(name, _)| name);
        error(ErrorKind::Denied)
            .with_source(format!("{user} may not write below {cache}"))
            .with_hint(format!("make {user} the owner of {cache} and all below it"))
    } else {
        let words = complaint(&stderr);
        match output.status {
            status::GONE => error(ErrorKind::NotFound)
                .with_source(words)
                .with_hint("deploy the version again: that brings its files back"),
            status::DAMAGED => error(ErrorKind::Rejected)
                .with_source(format!("its files are damaged and could not be mended: {words}")),
            status::FOREIGN_PATH => error(ErrorKind::Rejected)
                .with_source(words)
                .with_hint("move it away, or choose another live path"),
            status::RENDERED => error(ErrorKind::Rejected)
                .with_source(format!("its files are damaged and could not be mended: {words}")),
            status::TAKEN => error(ErrorKind::Rejected).with_source(words).with_hint(
                "let what makes the release leave it alone, or choose another `destination`",
            ),
            status::OBJECTS => error(ErrorKind::Rejected)
                .with_source(format!("what arrived does not make the release: {words}")),
            status => {
                error(ErrorKind::Rejected).with_source(format!("exit status {status}: {words}"))
            }
        }
    };
    // What such a script answers is for us, not for people: it may hold more than they should see.
    error.with_evidence(output.stderr.last_lines(20))
}

/// Words of git, ssh and curl that tell why a commit could not be pulled, with what they mean.
const PULL_PROBLEMS: [(ErrorKind, &str, &[&str]); 3] = [
    (
        ErrorKind::Denied,
        "no access",
        &[
            "Permission denied (",
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "unable to get password",
            "Host key verification failed",
            "returned error: 401",
            "returned error: 403",
            "Access denied",
            "epository not found",
            "does not appear to be a git repository",
            "repository '",
        ],
    ),
    (
        ErrorKind::Rejected,
        "no route",
        &[
            "Could not resolve host",
            "Name or service not known",
            "Temporary failure in name resolution",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Connection closed",
            "Operation timed out",
            "timed out",
            "No route to host",
            "Network is unreachable",
            "Failed to connect",
            "Couldn't connect",
            "Operation too slow",
        ],
    ),
    (
        ErrorKind::NotFound,
        "no such commit",
        &["not our ref", "unadvertised object", "is not there", "couldn't find remote ref"],
    ),
];

/// What kept a commit from being pulled, and the line that says so.
fn pull_problem(stderr: &str) -> (ErrorKind, String) {
    for (kind, meaning, words) in PULL_PROBLEMS {
        let line = stderr.lines().find(|line| words.iter().any(|word| line.contains(word)));
        if let Some(line) = line {
            return (kind, format!("{meaning}: {line}"));
        }
    }
    (ErrorKind::Rejected, complaint(stderr))
}

/// The line that says what went wrong: git's, or the last.
fn complaint(stderr: &str) -> String {
    stderr
        .lines()
        .find(|line| line.starts_with("fatal: ") || line.starts_with("error: "))
        .or_else(|| stderr.lines().last())
        .unwrap_or("it said nothing")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_commit_cannot_be_pulled_is_told_apart() {
        let ssh = "git@h: Permission denied (publickey).\n\
            fatal: Could not read from remote repository.\n";
        let no_name = "ssh: Could not resolve hostname h: Name or service not known\n\
            fatal: Could not read from remote repository.\n";
        let https = "fatal: could not read Username for 'https://h': terminal prompts disabled";
        for (stderr, kind, words) in [
            (ssh, ErrorKind::Denied, "no access: git@h: Permission denied"),
            (https, ErrorKind::Denied, "no access: "),
            (no_name, ErrorKind::Rejected, "no route: ssh: Could not resolve"),
            ("fatal: remote error: upload-pack: not our ref 01", ErrorKind::NotFound, "no such"),
            ("the commit 0123 is not there", ErrorKind::NotFound, "no such commit: "),
            ("warning: x\nfatal: early EOF\n", ErrorKind::Rejected, "fatal: early EOF"),
        ] {
            let (found, why) = pull_problem(stderr);
            assert!(found == kind && why.starts_with(words), "{found} {why}");
        }
    }
}
