//! Keys that interrupt leave no mark on the screen while something is drawn there.

use std::io::{self, IsTerminal, Stdin};

use nix::{
    sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};

/// While it lives, the terminal shows no `^C`, which would push the live view a line down.
#[derive(Debug)]
#[must_use = "the terminal echoes again when it is dropped"]
pub struct Unechoed(Option<Termios>);

impl Unechoed {
    /// Does nothing where the standard input is no terminal, or belongs to another job.
    pub fn start() -> Self {
        let stdin = io::stdin();
        let before = ours(&stdin).then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_flags.remove(LocalFlags::ECHOCTL);
            // It is only about looks.
            let _ = tcsetattr(&stdin, SetArg::TCSANOW, &quiet);
        }
        Self(before)
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        let stdin = io::stdin();
        if let Some(before) = self.0.take().filter(|_| ours(&stdin)) {
            let _ = tcsetattr(&stdin, SetArg::TCSANOW, &before);
        }
    }
}

/// Whether this is the job in the foreground: the terminal stops any other that changes it.
fn ours(stdin: &Stdin) -> bool {
    stdin.is_terminal() && tcgetpgrp(stdin).is_ok_and(|group| group == getpgrp())
}
