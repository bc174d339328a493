//! The terminal: what is written where, in which colours, and whether anybody can be asked.

use std::io::{self, IsTerminal, Write};

use crate::paragraph;

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command writes. A stream that was closed is no failure: a run goes on without readers.
#[derive(Debug, Clone)]
pub struct Ui {
    color: bool,
    terminal: bool,
    /// How many columns there are, where a person reads at a terminal.
    width: Option<usize>,
    /// Shows more: each stage of each target.
    pub verbose: bool,
}

/// A colour by its meaning.
#[derive(Debug, Clone, Copy)]
pub struct Paint(&'static str);

impl Ui {
    /// Looks at the process's own streams.
    pub fn new(color: Color, verbose: bool) -> Self {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !no_color && !dumb,
        };
        let width = terminal.then(terminal_size::terminal_size).flatten();
        let width = width.map(|(columns, _)| usize::from(columns.0)).filter(|columns| *columns > 0);
        Self { color, terminal: terminal && !dumb, width, verbose }
    }

    /// How many columns the terminal has. `None` where there is none: then nothing is wrapped or
    /// cut.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// `lines` of prose as they fit the terminal; see [`paragraph::wrap`].
    pub fn wrap(&self, lines: Vec<String>) -> Vec<String> {
        match self.width {
            Some(width) => lines.iter().flat_map(|line| paragraph::wrap(line, width)).collect(),
            None => lines,
        }
    }

    /// Writes prose to standard output, wrapped at a terminal.
    pub fn prose(&self, text: &str) {
        self.wrap(vec![text.to_owned()]).iter().for_each(|line| self.line(line));
    }

    /// Writes prose to standard error, wrapped at a terminal.
    pub fn error_prose(&self, text: &str) {
        self.wrap(vec![text.to_owned()]).iter().for_each(|line| self.error_line(line));
    }

    /// Whether a live view can be drawn.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether a person can be asked.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Writes a line to standard output. The text is already fit for a terminal.
    pub fn line(&self, text: &str) {
        // A reader that went away (`| head`) must not end a run, and nobody is left to be told.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Writes a line to standard error. The text is already fit for a terminal.
    pub fn error_line(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes a question to standard error, without a line break.
    pub fn question(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{text} ");
        let _ = stderr.flush();
    }

    /// The colour of failures.
    pub fn bad(&self) -> Paint {
        Paint("31")
    }

    /// The colour of success.
    pub fn good(&self) -> Paint {
        Paint("32")
    }

    /// The colour of what a person should know.
    pub fn note(&self) -> Paint {
        Paint("33")
    }

    /// The colour of headings.
    pub fn strong(&self) -> Paint {
        Paint("1")
    }

    /// The colour of what matters less.
    pub fn dim(&self) -> Paint {
        Paint("2")
    }

    /// Paints `text`, where colours are used.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color { format!("\u{1b}[{}m{text}\u{1b}[0m", paint.0) } else { text.to_owned() }
    }
}
