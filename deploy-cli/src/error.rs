//! The one error of all commands, its one printer, and the one table of exit codes.

use std::{error::Error, fmt};

use deploy_core::{
    backend::{BackendError, ErrorKind, Holder},
    record::Exit,
};

use crate::{display, ui::Ui};

/// What kind of failure ended a command; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Refused, and nothing was touched: configuration, version, filter, environment. Code 1.
    Refused,
    /// The command line cannot be meant like this. Code 2.
    Usage,
    /// The lock, or a target, is held by another run. Code 5.
    Locked,
    /// Not all targets could be asked, or brought where they should be. Code 6.
    Incomplete,
    /// Interrupted by the deployer. Code 130.
    Interrupted,
}

impl Kind {
    /// How the process ends.
    pub fn exit(self) -> Exit {
        match self {
            Self::Refused => Exit::Refused,
            Self::Usage => Exit::Usage,
            Self::Locked => Exit::Locked,
            Self::Incomplete => Exit::Incomplete,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// Why a command could not do what it was asked: what failed, the chain of causes, and what to do
/// next.
#[derive(Debug)]
pub struct CommandError {
    kind: Kind,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

/// A phrase with a cause, for errors that need no type of their own.
#[derive(Debug, thiserror::Error)]
#[error("{phrase}")]
struct Phrase {
    phrase: String,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl CommandError {
    /// An error of `kind`, from an error or a short lower-case phrase.
    pub fn new(kind: Kind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into(), hints: Vec::new() }
    }

    /// Refused; nothing was touched.
    pub fn refused(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Refused, source)
    }

    /// Wrong usage.
    pub fn usage(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Usage, source)
    }

    /// Refused while doing `phrase`, because of `cause`.
    pub fn because(
        phrase: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::refused(Phrase { phrase: phrase.into(), cause: Some(cause.into()) })
    }

    /// A signal ended it.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted; nothing was touched")
    }

    /// The lock is held.
    pub fn locked(holder: &Holder) -> Self {
        let who = crate::state::describe_holder(holder);
        Self::new(Kind::Locked, format!("locked by {who}"))
    }

    /// Adds what to do next: a sentence or a command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do next.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// What failed with each cause once, in one line.
    pub fn told(&self) -> String {
        let mut told = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !told.contains(&message) {
                told = format!("{told}: {message}");
            }
            cause = error.source();
        }
        told
    }

    /// Prints it: what failed, each cause once, and the hints.
    pub fn print(&self, ui: &Ui) {
        let mut told = self.source.to_string();
        ui.error_prose(&format!("{} {}", ui.paint(ui.bad(), "error:"), display::block(&told)));
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !told.contains(&message) {
                ui.error_prose(&format!("  cause: {}", display::block(&message)));
                told = message;
            }
            cause = error.source();
        }
        for hint in &self.hints {
            ui.error_prose(&format!("{} {}", ui.paint(ui.note(), "hint:"), display::block(hint)));
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

impl From<BackendError> for CommandError {
    fn from(error: BackendError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Claimed => Kind::Locked,
            ErrorKind::Cancelled => Kind::Interrupted,
            _ => Kind::Refused,
        };
        let hints: Vec<String> = error.hint().map(str::to_owned).into_iter().collect();
        Self { kind, source: Box::new(error), hints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_exit_codes() {
        let codes = [Kind::Refused, Kind::Usage, Kind::Locked, Kind::Incomplete, Kind::Interrupted]
            .map(|kind| kind.exit().code());
        assert_eq!(codes, [1, 2, 5, 6, 130]);
    }

    #[test]
    fn a_backend_error_brings_its_kind_and_hint() {
        let error = BackendError::new(ErrorKind::Claimed, "unlock h1").with_hint("wait");
        let error = CommandError::from(error);
        assert_eq!((error.kind(), error.hints()), (Kind::Locked, &["wait".to_owned()][..]));
    }
}
