//! At a terminal: the plan is shown, and the deployer is asked.

use std::{
    fs::File,
    io::{Read, Write},
    process::Child,
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::place::Place;

/// A program at a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(place: &Place, words: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let mut command = place.command_that_asks(words);
        command.env("TERM", "xterm");
        for stream in [0, 1, 2] {
            let slave = pty.slave.try_clone().unwrap();
            match stream {
                0 => command.stdin(slave),
                1 => command.stdout(slave),
                _ => command.stderr(slave),
            };
        }
        let child = command.spawn().unwrap();
        drop((command, pty.slave));
        let keys = File::from(pty.master.try_clone().unwrap());
        let screen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut shown, kept) = (File::from(pty.master), Arc::clone(&screen));
        // Ends when the last writer of the terminal is gone.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = shown.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { child, keys, screen }
    }

    fn shows(&self, place: &Place, text: &str) {
        place.until(&format!("{text:?} on the screen"), || self.text().contains(text));
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn ends(mut self, code: i32) -> String {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.text());
        self.text()
    }
}

#[test]
fn the_plan_is_shown_and_asked_for() {
    let place = Place::new();
    let mut terminal = Terminal::start(&place, &["deploy"]);
    terminal.shows(&place, "Go on? [y/N]");
    assert!(terminal.text().contains("no way back: first deploy on local"));
    terminal.types("n\n");
    terminal.ends(130);
    assert_eq!(place.live(), "");
    place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");

    let mut terminal = Terminal::start(&place, &["deploy"]);
    terminal.shows(&place, "Go on? [y/N]");
    terminal.types("what?\nyes\n");
    terminal.ends(0);
    assert_eq!(place.live(), "one");
    Terminal::start(&place, &["deploy", "--redeploy", "--yes"]).ends(0);
}

#[test]
fn an_interrupt_at_the_first_question_touches_nothing() {
    let place = Place::new();
    let terminal = Terminal::start(&place, &["deploy"]);
    terminal.shows(&place, "Go on? [y/N]");
    kill(Pid::from_raw(i32::try_from(terminal.child.id()).unwrap()), Signal::SIGINT).unwrap();
    let text = terminal.ends(130);
    let (_, after) = text.split_once("Go on? [y/N] ").unwrap();
    assert!(after.starts_with("\r\n"), "what comes next has a line of its own: {text}");
    assert!(!after.contains("0/1"), "no bar is drawn any more: {text}");
    assert!(after.contains("interrupted"), "{text}");
    assert_eq!(place.live(), "");
}

#[test]
fn after_too_many_failures_the_deployer_decides() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.version(2, "broken");
    let mut terminal = Terminal::start(&place, &["deploy"]);
    terminal.shows(&place, "Go on? [y/N]");
    terminal.types("y\n");
    terminal.shows(&place, "Bring back the 1 host touched so far? [Y/n]");
    terminal.types("n\n");
    terminal.ends(4);
    assert_eq!(place.running(), "broken");
    let mut terminal = Terminal::start(&place, &["deploy"]);
    terminal.shows(&place, "Go on? [y/N]");
    terminal.types("y\n");
    terminal.shows(&place, "Bring back the 1 host touched so far? [Y/n]");
    // Withdrawn by the signal; the next answer belongs to the next question.
    kill(Pid::from_raw(i32::try_from(terminal.child.id()).unwrap()), Signal::SIGINT).unwrap();
    terminal.shows(&place, "stopping after the stages in flight");
    terminal.types("\n");
    terminal.ends(130);
    assert_eq!(place.running(), "one");
}

#[test]
fn lines_fit_the_terminal_and_commands_are_whole() {
    let place = Place::new();
    place.cli(&["deploy", "-m", "the search answers slowly, and the new index helps"]).ends(0);
    place.version(2, "broken");
    let told = Terminal::start(&place, &["deploy", "--yes"]).ends(3);
    assert!(told.contains("what each host said: deploy-cli show"), "{told}");
    let history = Terminal::start(&place, &["history"]).ends(0);
    let status = Terminal::start(&place, &["status"]).ends(0);
    let config = Terminal::start(&place, &["deploy", "no-such-version"]).ends(1);
    for screen in [history, status, config] {
        for line in screen.lines().map(str::trim_end) {
            let is_command = line.trim_start().starts_with("deploy-cli ");
            assert!(is_command || line.chars().count() <= 80, "{line:?} in {screen}");
        }
    }
    place.cli(&["history"]).ends(0).says("complete").says("the search answers slowly, and the new");
}
