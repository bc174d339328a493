//! Does a command that NRPE knows on the host find it well?

use std::fmt;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};

use super::{told, too_late};
use crate::{
    session::{Output, Script, Sessions},
    surroundings::Surroundings,
};

const RUN: &str = include_str!("nrpe/run.sh");
/// What NRPE itself lets no argument hold, and `$`, which begins what a shell or NRPE replaces.
const UNSAFE: &str = "|`&><'\\[]{};$\r\n\0";
/// How many names are shown of what is defined.
const SHOWN: usize = 30;

/// Runs a command that is defined on the host as `command[NAME]=…`, without a daemon: healthy when
/// it says OK.
///
/// The definition is read when it is asked. The command is run by `sh` as the login user, in `/`,
/// and killed with its process group when its time is over or the connection is cut.
#[derive(Debug)]
pub struct NrpeCheck {
    sessions: Sessions,
    surroundings: Surroundings,
    command: NrpeCommand,
    paths: Vec<String>,
    warning_passes: bool,
}

/// The name of a command that NRPE knows, and what its `$ARG1$`, `$ARG2$`, … are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NrpeCommand {
    name: String,
    args: Vec<String>,
}

/// Why a command cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NrpeCommandError {
    /// No definition could have that name.
    #[error("{0:?} is not the name of a command in NRPE's configuration")]
    Name(String),
    /// NRPE would not take it either.
    #[error("{arg:?} holds {character:?}, which an argument for NRPE may not")]
    Argument {
        /// The argument.
        arg: String,
        /// What it may not hold.
        character: char,
    },
}

impl NrpeCommand {
    /// The command `name`, with these arguments.
    ///
    /// # Errors
    /// When no definition can have that name, or an argument holds what means something to a shell.
    pub fn new(name: impl Into<String>, args: Vec<String>) -> Result<Self, NrpeCommandError> {
        let name = name.into();
        let odd = |c: char| c.is_control() || "[]=".contains(c);
        if name.trim() != name || name.is_empty() || name.contains(odd) {
            return Err(NrpeCommandError::Name(name));
        }
        for arg in &args {
            if let Some(character) = arg.chars().find(|c| UNSAFE.contains(*c)) {
                return Err(NrpeCommandError::Argument { arg: arg.clone(), character });
            }
        }
        Ok(Self { name, args })
    }
}

impl fmt::Display for NrpeCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

impl NrpeCheck {
    /// Where hosts define what NRPE may run, unless the check says so.
    pub const PATHS: [&'static str; 2] = ["/etc/nagios/nrpe.cfg", "/etc/nagios/nrpe.d"];

    /// Asks for `command`, as `/etc/nagios/nrpe.cfg` or a file in `/etc/nagios/nrpe.d` defines it.
    /// A warning counts as a failure.
    pub fn new(sessions: Sessions, surroundings: Surroundings, command: NrpeCommand) -> Self {
        let paths = Self::PATHS.map(str::to_owned).to_vec();
        Self { sessions, surroundings, command, paths, warning_passes: false }
    }

    /// Looks for the definition in these files and directories instead; later ones win.
    #[must_use]
    pub fn paths(mut self, paths: Vec<String>) -> Self {
        self.paths = paths;
        self
    }

    /// Takes a warning for healthy, and tells it.
    #[must_use]
    pub fn warning_passes(mut self) -> Self {
        self.warning_passes = true;
        self
    }

    /// A script that runs the command, or only sees to it that it could be: `run` or `look`.
    fn script(&self, act: &str) -> Script {
        Script::new(RUN)
            .answers()
            .args([act, &self.command.name, &self.paths.join("\n")])
            .args(self.command.args.clone())
    }

    fn attempted(&self, target: &Target) -> String {
        format!("ask NRPE's {} on {target}", self.command.name)
    }

    /// The exit status of the command, or none where it was only looked for.
    fn answer(&self, attempted: &str, output: &Output) -> Result<Option<i32>, BackendError> {
        let name = &self.command.name;
        let error = |kind, why: String| BackendError::new(kind, attempted).with_source(why);
        let answer = output.stdout.last_lines(1);
        let (word, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        Err(match (word, rest.parse().ok()) {
            ("ran", Some(status)) => return Ok(Some(status)),
            ("defined", None) => return Ok(None),
            ("undefined", _) => self.undefined(attempted, output),
            ("lacks", _) => {
                let why = format!("the definition of {name} wants $ARG{rest}$");
                error(ErrorKind::Rejected, why).with_hint("give it in `args`")
            }
            ("ignores", _) => {
                let why = format!("the definition of {name} has no $ARG{rest}$");
                error(ErrorKind::Rejected, why).with_hint("leave it out of `args`")
            }
            ("too-many", _) => {
                let why = "NRPE's configuration there includes files without end";
                error(ErrorKind::Rejected, why.to_owned())
            }
            _ => {
                let why = "the script gave no answer that makes sense";
                error(ErrorKind::Broken, why.to_owned()).with_evidence(output.evidence())
            }
        })
    }

    fn judge(&self, attempted: String, output: &Output) -> Result<Verdict, BackendError> {
        let name = &self.command.name;
        let evidence = Some(output.stderr.last_lines(20)).filter(|seen| !seen.is_empty());
        let unhealthy = |state: &str| {
            let reason = format!("{name} is {state}");
            Ok(Verdict::Unhealthy { reason, evidence: evidence.clone() })
        };
        let why = match self.answer(&attempted, output)? {
            Some(0) => return Ok(Verdict::Healthy),
            Some(1) if self.warning_passes => {
                let said = output.stderr.text();
                let said = said.lines().next().unwrap_or_default().trim().to_owned();
                return Ok(Verdict::HealthyBut { note: format!("{name} is WARNING: {said}") });
            }
            Some(1) => return unhealthy("WARNING"),
            Some(2) => return unhealthy("CRITICAL"),
            Some(3) => format!("{name} could not tell (UNKNOWN)"),
            Some(status @ (126 | 127)) => format!("{name} cannot be run (exit status {status})"),
            Some(status) => format!("{name} ended with status {status}, as no plugin should"),
            None => "it was not run".to_owned(),
        };
        let error = BackendError::new(ErrorKind::Rejected, attempted).with_source(why);
        Err(match evidence {
            Some(evidence) => error.with_evidence(evidence),
            None => error,
        })
    }

    /// The error that says what there is instead.
    fn undefined(&self, attempted: &str, output: &Output) -> BackendError {
        let text = output.stdout.text();
        let of = |word: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
        };
        let (mut names, unread) = (of("defined "), of("unread "));
        let left = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let mut hint = match names[..] {
            [] => format!("nothing is defined in {}", self.paths.join(", ")),
            _ if left > 0 => format!("defined there: {}, and {left} more", names.join(", ")),
            _ => format!("defined there: {}", names.join(", ")),
        };
        if let Some(file) = unread.first() {
            hint.push_str(&format!("; {file} cannot be read"));
        }
        let why = format!("NRPE knows no command {} there", self.command.name);
        BackendError::new(ErrorKind::NotFound, attempted).with_source(why).with_hint(hint)
    }
}

#[async_trait]
impl Checker for NrpeCheck {
    fn describe(&self) -> String {
        let passes = if self.warning_passes { " or warns" } else { "" };
        format!("NRPE's {} is OK{passes}", self.command)
    }

    /// Sees to it that there is such a command, before anything is switched.
    async fn note(&self, target: &Target, scope: &Scope) -> Result<Option<String>, BackendError> {
        let output = self.sessions.run(target, &self.script("look"), scope).await?;
        self.answer(&self.attempted(target), &output).map(|_| None)
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let script = told(self.script("run"), &self.surroundings, target, situation);
        match self.sessions.run(target, &script, scope).await {
            Ok(output) => self.judge(self.attempted(target), &output),
            Err(error) => too_late(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nrpe_would_not_take_is_refused() {
        for bad in ["", " a", "a]", "a=b", "a\nb", "[a"] {
            assert!(NrpeCommand::new(bad, Vec::new()).is_err(), "{bad:?}");
        }
        for bad in ["a;b", "$(id)", "`id`", "a|b", "$ARG2$", "'", "a\nb"] {
            let error = NrpeCommand::new("check", vec!["20%".into(), bad.into()]);
            assert!(matches!(error, Err(NrpeCommandError::Argument { .. })), "{bad:?}");
        }
        let fine = NrpeCommand::new("check_disk", vec!["20% -c 10%".into(), "/srv".into()]);
        assert_eq!(fine.unwrap().to_string(), "check_disk 20% -c 10% /srv");
    }
}
