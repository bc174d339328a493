//! What our scripts about a service answer, read strictly.

use deploy_core::backend::{BackendError, ErrorKind, Instance};

use jiff::Timestamp;

use crate::session::Output;

/// The last line of a script of ours about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was done, or there was nothing to do.
    Done,
    /// What runs now.
    Seen(Seen),
    /// How it is, and since when.
    State(Seen, Option<Timestamp>),
    /// It is on its way up, in this state.
    Starting(String),
    /// A right is missing: the user, the program, its arguments.
    Denied { user: String, program: String, args: String },
    /// There is no such service.
    Missing(String),
    /// It was tried, and failed.
    Failed(String),
    /// The pid file is not to be trusted.
    BadPidFile(String),
    /// The target runs neither systemd nor `service`.
    NoManager,
    /// systemd cannot be asked.
    Silent,
}

/// What runs, as `running.sh` saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    state: String,
    sub: String,
    id: String,
    process: String,
}

impl Seen {
    /// The mark of a start that nothing is known of.
    pub(crate) const NOTHING: &str = "- -";

    /// What was seen, for the engine.
    pub(crate) fn instance(&self) -> Instance {
        let active = matches!(self.state.as_str(), "active" | "activating" | "reloading");
        Instance { active, mark: format!("{} {}", self.id, self.process) }
    }

    /// What its manager says: `active`, `failed`.
    pub(crate) fn state(&self) -> String {
        self.state.clone()
    }

    /// The same, more finely; empty where there is nothing finer.
    pub(crate) fn sub(&self) -> String {
        if self.sub == "-" { String::new() } else { self.sub.clone() }
    }

    /// The invocation id and the process that were noted; a dash for what is not known.
    pub(crate) fn marks(before: &Instance) -> (&str, &str) {
        before.mark.split_once(' ').unwrap_or(("-", "-"))
    }
}

impl Answer {
    /// Reads the last line that a script wrote.
    ///
    /// # Errors
    /// `Broken` when it is none of ours: the script did not come to its end.
    pub(crate) fn read(output: &Output, attempted: &str) -> Result<Self, BackendError> {
        let last = output.stdout.last_lines(1);
        let broken = |what: String| {
            BackendError::new(ErrorKind::Broken, attempted)
                .with_source(what)
                .with_evidence(output.evidence())
        };
        if !output.success() {
            return Err(broken(format!("the script ended with status {}", output.status)));
        }
        last.strip_prefix("result ")
            .and_then(Self::parse)
            .ok_or_else(|| broken("the script gave no answer that makes sense".to_owned()))
    }

    fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_end();
        Some(match word {
            "done" => Self::Done,
            "seen" => Self::Seen(parse_seen(rest)?),
            "state" => {
                let (seen, since) = rest.rsplit_once(' ')?;
                Self::State(parse_seen(seen)?, parse_since(since)?)
            }
            "starting" => Self::Starting(rest.to_owned()),
            "denied" => {
                let mut words = rest.splitn(3, ' ').map(str::to_owned);
                Self::Denied { user: words.next()?, program: words.next()?, args: words.next()? }
            }
            "missing" => Self::Missing(rest.to_owned()),
            "failed" => Self::Failed(rest.to_owned()),
            "bad-pid-file" => Self::BadPidFile(rest.to_owned()),
            "no-manager" => Self::NoManager,
            "broken" => Self::Silent,
            _ => return None,
        })
    }

    /// The answer as the error that it is.
    pub(crate) fn into_error(self, attempted: String, output: &Output) -> BackendError {
        let error = |kind| BackendError::new(kind, attempted);
        match self {
            Self::Done | Self::Seen(_) | Self::State(..) | Self::Starting(_) => {
                error(ErrorKind::Broken).with_source("the answer is to another question")
            }
            Self::Denied { user, program, args } => error(ErrorKind::Denied)
                .with_source(format!("{user} may not run {program} {args}"))
                .with_hint(format!(
                    "set sudo = true, and grant this line with visudo: \
                     {user} ALL=(root) NOPASSWD: {program} {args}"
                ))
                .with_evidence(output.stderr.last_lines(3)),
            Self::Missing(unit) => {
                error(ErrorKind::NotFound).with_source(format!("there is no service {unit} there"))
            }
            Self::Failed(why) => {
                error(ErrorKind::Rejected).with_source(why).with_evidence(output.stderr.text())
            }
            Self::BadPidFile(why) => {
                error(ErrorKind::Rejected).with_source(format!("the pid file {why}"))
            }
            Self::NoManager => error(ErrorKind::Rejected)
                .with_source("the target runs neither systemd nor the command `service`")
                .with_hint("use method = \"command\""),
            Self::Silent => error(ErrorKind::Rejected)
                .with_source("systemd does not answer")
                .with_evidence(output.stderr.last_lines(5)),
        }
    }
}

/// Reads `MANAGER LOAD ACTIVE SUB ID PROCESS`.
fn parse_seen(line: &str) -> Option<Seen> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_manager, _load, state, sub, id, process] = words[..] else { return None };
    let plain = |mark: &str| {
        mark == "-" || mark.len() <= 64 && mark.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
    };
    if !plain(id) || !plain(process) {
        return None;
    }
    let word = |word: &str| {
        (1..=32).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !word(state) || !word(sub) {
        return None;
    }
    let owned = str::to_owned;
    Some(Seen { state: owned(state), sub: owned(sub), id: owned(id), process: owned(process) })
}

/// Reads a moment: as RFC 3339, in seconds since 1970 after an `@`, or a dash.
fn parse_since(text: &str) -> Option<Option<Timestamp>> {
    if text == "-" {
        return Some(None);
    }
    match text.strip_prefix('@') {
        Some(seconds) => Some(Some(Timestamp::from_second(seconds.parse().ok()?).ok()?)),
        None => Some(Some(text.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_read_and_noted() {
        let Some(Answer::Seen(seen)) =
            Answer::parse("seen systemd loaded active running 3f2c 41:977")
        else {
            panic!("not read")
        };
        let instance = seen.instance();
        assert!(instance.active);
        assert_eq!(Seen::marks(&instance), ("3f2c", "41:977"));
        assert_eq!(Seen::marks(&Instance::default()), ("-", "-"));
    }

    #[test]
    fn a_state_has_its_words_and_its_moment() {
        let state = |since: &str| {
            let line = format!("state systemd loaded failed failed 3f2c - {since}");
            match Answer::parse(&line) {
                Some(Answer::State(seen, since)) => (seen.state(), seen.sub(), since),
                other => panic!("{other:?}"),
            }
        };
        let at = Timestamp::from_second(1_433_945_703).unwrap();
        assert_eq!(state("2015-06-10T14:15:03Z"), ("failed".into(), "failed".into(), Some(at)));
        assert_eq!(state("@1433945703").2, Some(at));
        assert_eq!(state("-").2, None);
    }

    #[test]
    fn a_lying_target_is_not_believed() {
        for bad in [
            "",
            "maybe",
            "seen",
            "seen systemd loaded active running 3f2c",
            "seen systemd loaded active running $(x) 1:2",
            "seen systemd loaded active running 3f2c 1:2 3",
            "seen systemd loaded \u{1b}[2J running 3f2c 1:2",
            "state systemd loaded active running 3f2c 1:2",
            "state systemd loaded active running 3f2c 1:2 yesterday",
            "state systemd loaded active running 3f2c 1:2 @99999999999999999999",
            "denied deploy",
        ] {
            assert_eq!(Answer::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_missing_right_names_the_line_to_grant() {
        let answer =
            Answer::parse("denied deploy /usr/bin/systemctl restart mockbase.service").unwrap();
        let output = Output {
            status: 0,
            stdout: Default::default(),
            stderr: Default::default(),
            detached: false,
        };
        let error = answer.into_error("restart mockbase on h1".into(), &output);
        assert_eq!(error.kind(), ErrorKind::Denied);
        let line = "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart mockbase.service";
        assert!(error.hint().unwrap().ends_with(line), "{:?}", error.hint());
    }
}
