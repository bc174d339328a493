//! Does a log say something since the restart, or keep silent about it?

use std::time::Duration;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};
use tokio::time::{Instant, sleep_until};

use super::Pattern;
use crate::{
    restart::{IN_JOURNAL, ServiceName, on_service},
    session::{Output, Script, Sessions},
};

const IN_FILE: &str = concat!(include_str!("log/search.sh"), include_str!("log/file.sh"));
/// How often a log is looked at while it is watched.
const PULSE: Duration = Duration::from_secs(1);
/// The longest note that is taken from a host.
const LONGEST_NOTE: usize = 8 << 10;

/// Looks through what came into a log since the services were restarted.
///
/// How far the log was is noted just before the switch. On a target where nothing was restarted
/// there is nothing to look at: it is healthy.
#[derive(Debug)]
pub struct LogCheck {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// Which log.
    pub source: LogSource,
    /// What it must say, or must not.
    pub wish: LogWish,
    /// For how long nothing unwanted may come, each time it is asked; zero looks once. Cut to what
    /// the check's timeout leaves.
    pub watch: Duration,
}

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// In a file on the host, which the login user can read. Followed through rotation.
    File(String),
    /// In the journal, as what this unit has logged.
    Journal(ServiceName),
}

/// What is wanted of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogWish {
    /// A line that matches must come.
    Match(Pattern),
    /// No line that matches may come.
    NoMatch(Pattern),
}

/// Why a path is none of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an absolute path of a file")]
pub struct LogSourceError(String);

impl LogSource {
    /// The file at `path`.
    ///
    /// # Errors
    /// When it is not an absolute path, or holds control characters.
    pub fn file(path: impl Into<String>) -> Result<Self, LogSourceError> {
        let path = path.into();
        if !path.starts_with('/') || path.ends_with('/') || path.contains(char::is_control) {
            return Err(LogSourceError(path));
        }
        Ok(Self::File(path))
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Journal(unit) => format!("the journal of {unit}"),
        }
    }
}

impl LogWish {
    fn pattern(&self) -> &Pattern {
        match self {
            Self::Match(pattern) | Self::NoMatch(pattern) => pattern,
        }
    }
}

/// What a look at a log brought.
enum Found {
    Nothing,
    Lines(String),
    /// A part of it is gone; nothing in the rest.
    Gap,
}

impl LogCheck {
    /// A script that looks: `note` how far the log is, or `ask` what came after `noted`.
    fn script(&self, act: &str, pattern: &str, noted: &str) -> Script {
        let script = match &self.source {
            LogSource::File(path) => Script::new(IN_FILE).answers().arg(path),
            LogSource::Journal(unit) => {
                on_service(Script::new(IN_JOURNAL), unit.as_str(), false).arg("")
            }
        };
        let lines = match self.wish {
            LogWish::Match(_) => "1",
            LogWish::NoMatch(_) => "20",
        };
        script.args([act, pattern, lines, noted])
    }

    async fn look(
        &self,
        target: &Target,
        pattern: &str,
        noted: &str,
        scope: &Scope,
    ) -> Result<Found, BackendError> {
        let attempted = format!("look into {} on {target}", self.source.name());
        let output = self.sessions.run(target, &self.script("ask", pattern, noted), scope).await?;
        match answer(&output).as_str() {
            "found" => Ok(Found::Lines(output.stderr.text().trim_end().to_owned())),
            "nothing" => Ok(Found::Nothing),
            "gap" => Ok(Found::Gap),
            word => Err(self.trouble(attempted, word, &output)),
        }
    }

    /// What a host said instead of an answer.
    fn trouble(&self, attempted: String, word: &str, output: &Output) -> BackendError {
        let error = |kind, why: String| BackendError::new(kind, attempted).with_source(why);
        let name = self.source.name();
        let (word, rest) = word.split_once(' ').unwrap_or((word, ""));
        match (word, &self.source) {
            ("denied", LogSource::File(_)) => {
                error(ErrorKind::Denied, format!("{rest} may not read {name}")).with_hint(format!(
                    "let its group read it, or: setfacl -m u:{rest}:r {name} (and x for its \
                     directories)"
                ))
            }
            ("denied", LogSource::Journal(_)) => {
                error(ErrorKind::Denied, format!("{rest} may not read the journal")).with_hint(
                    format!("as root there: usermod --append --groups systemd-journal {rest}"),
                )
            }
            ("missing", LogSource::File(_)) => {
                error(ErrorKind::NotFound, format!("there is no file {name}"))
                    .with_hint("a log that is made with its first line needs an empty file before")
            }
            ("missing", LogSource::Journal(unit)) => {
                error(ErrorKind::NotFound, format!("there is no service {unit} there"))
            }
            ("no-file", _) => error(ErrorKind::Rejected, format!("{name} is not a plain file")),
            ("no-manager" | "no-journal", _) => {
                error(ErrorKind::Rejected, "the host has no systemd journal".to_owned())
                    .with_hint("look into a file instead")
            }
            ("bad-pattern", _) => {
                error(ErrorKind::Rejected, "grep there does not take the pattern".to_owned())
                    .with_evidence(output.stderr.last_lines(3))
            }
            _ => error(ErrorKind::Broken, "the script gave no answer that makes sense".to_owned())
                .with_evidence(output.evidence()),
        }
    }

    fn unwanted(&self, lines: String) -> Verdict {
        let (name, pattern) = (self.source.name(), self.wish.pattern());
        let reason = format!("{name} has lines with {pattern} since the restart");
        Verdict::Unhealthy { reason, evidence: Some(lines) }
    }

    fn gap(&self, target: &Target) -> BackendError {
        let name = self.source.name();
        BackendError::new(ErrorKind::NotFound, format!("look into {name} on {target}"))
            .with_source("what came since the restart was rotated away, and is not there any more")
            .with_hint("let logrotate leave one uncompressed: delaycompress")
    }
}

/// The last line of what a script answered, without its mark.
fn answer(output: &Output) -> String {
    let last = output.stdout.last_lines(1);
    let word = last.strip_prefix("result ").filter(|_| output.success());
    word.unwrap_or_default().to_owned()
}

#[async_trait]
impl Checker for LogCheck {
    fn describe(&self) -> String {
        let name = self.source.name();
        let watched = match self.watch.as_secs() {
            0 => String::new(),
            seconds => format!(" for {seconds} s"),
        };
        match &self.wish {
            LogWish::Match(pattern) => format!("{name} has a line with {pattern}"),
            LogWish::NoMatch(pattern) => format!("{name} has no line with {pattern}{watched}"),
        }
    }

    async fn note(&self, target: &Target, scope: &Scope) -> Result<Option<String>, BackendError> {
        let attempted = format!("note how far {} on {target} is", self.source.name());
        let output = self.sessions.run(target, &self.script("note", "", ""), scope).await?;
        let answer = answer(&output);
        match answer.strip_prefix("noted ") {
            Some(noted) if noted.len() <= LONGEST_NOTE => Ok(Some(noted.to_owned())),
            _ => Err(self.trouble(attempted, &answer, &output)),
        }
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let Some(noted) = &situation.noted else { return Ok(Verdict::Healthy) };
        let pattern = self.wish.pattern().of(situation);
        // What is left of the check's time, less what asking takes.
        let until = (Instant::now() + self.watch).min(scope.deadline - scope.remaining() / 5);
        loop {
            match (self.look(target, &pattern, noted, scope).await?, &self.wish) {
                (Found::Lines(_), LogWish::Match(_)) => return Ok(Verdict::Healthy),
                (_, LogWish::Match(pattern)) => {
                    let name = self.source.name();
                    let seen = format!("no line with {pattern} in {name} since the restart");
                    return Ok(Verdict::NotYet { seen });
                }
                (Found::Lines(lines), LogWish::NoMatch(_)) => return Ok(self.unwanted(lines)),
                (Found::Gap, LogWish::NoMatch(_)) => return Err(self.gap(target)),
                (Found::Nothing, LogWish::NoMatch(_)) => {}
            }
            if Instant::now() >= until {
                return Ok(Verdict::Healthy);
            }
            tokio::select! {
                () = sleep_until((Instant::now() + PULSE).min(until)) => {}
                () = scope.cancel.cancelled() => {
                    let attempted = format!("look into {} on {target}", self.source.name());
                    return Err(BackendError::new(ErrorKind::Cancelled, attempted));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_logs() {
        for bad in ["", "log/main.log", "/var/log/", "/var/log/a\nb", "~/log"] {
            assert!(LogSource::file(bad).is_err(), "{bad:?}");
        }
        assert!(LogSource::file("/srv/log/my app.log").is_ok());
    }
}
