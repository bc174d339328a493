//! Questions to the deployer, and the policy that answers where nobody can be asked.

use std::sync::OnceLock;

use async_trait::async_trait;
use deploy_core::{
    backend::{Answer, Ask, Question},
    plan::{Noun, OnAbort},
};
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::{report::Screen, ui::Ui};

/// Asks on the terminal; with `--yes`, or without a terminal, answers by policy.
#[derive(Debug, Clone)]
pub struct Deployer {
    /// The terminal.
    pub ui: Ui,
    /// What the live view draws on.
    pub screen: Screen,
    /// Whether somebody can be asked, and wants to be.
    pub can_ask: bool,
    /// Whether `--yes` was given.
    pub yes: bool,
    /// What is done with touched targets after an interrupt when nobody is asked.
    pub on_abort: OnAbort,
    /// What the targets are called.
    pub noun: Noun,
}

impl Deployer {
    /// Asks a question of the command itself; `None` when the input ended. Cancel-safe: a dropped
    /// question is withdrawn, and what is typed then belongs to the next one.
    pub async fn confirm(&self, question: &str, default: bool) -> Option<bool> {
        let _quiet = self.screen.quiet();
        let mut typed = typed().lock().await;
        while typed.try_recv().is_ok() {} // typed before it was asked
        let choice = if default { "[Y/n]" } else { "[y/N]" };
        loop {
            self.ui.question(&format!("{question} {choice}"));
            match typed.recv().await?.trim().to_ascii_lowercase().as_str() {
                "" => return Some(default),
                "y" | "yes" => return Some(true),
                "n" | "no" => return Some(false),
                _ => {}
            }
        }
    }
}

/// The lines of standard input. One thread reads them for the life of the process, so that a
/// question that was withdrawn leaves no reader behind that would swallow the next answer. It is
/// no thread of the runtime, and does not keep the process from ending.
fn typed() -> &'static Mutex<UnboundedReceiver<String>> {
    static TYPED: OnceLock<Mutex<UnboundedReceiver<String>>> = OnceLock::new();
    TYPED.get_or_init(|| {
        let (lines, typed) = unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Mutex::new(typed)
    })
}

#[async_trait]
impl Ask for Deployer {
    async fn ask(&self, question: &Question) -> Answer {
        let policy = match question {
            Question::Continue { .. } => self.yes,
            Question::RollBackAfterBreach { .. } => true,
            Question::RollBackAfterStop { .. } => self.on_abort == OnAbort::RollBack,
        };
        if !self.can_ask || self.yes {
            return if policy { Answer::Yes } else { Answer::No };
        }
        let (text, default) = match question {
            Question::Continue { after, next } => {
                (format!("group {after} is done. Go on with {next}?"), true)
            }
            // Why it stopped was told when it did.
            Question::RollBackAfterBreach { touched, .. }
            | Question::RollBackAfterStop { touched } => {
                let text = format!("Bring back the {} touched so far?", self.noun.count(*touched));
                (text, true)
            }
        };
        match self.confirm(&text, default).await {
            Some(true) => Answer::Yes,
            Some(false) => Answer::No,
            // Whoever closed the terminal answers no more: policy does.
            None if policy => Answer::Yes,
            None => Answer::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Color;

    async fn answers(yes: bool, on_abort: OnAbort) -> [Answer; 3] {
        let ui = Ui::new(Color::Never, false);
        let noun = Noun::default();
        let deployer = Deployer { ui, screen: Screen::new(), can_ask: false, yes, on_abort, noun };
        let group = |name: &str| deploy_core::model::GroupName::new(name).unwrap();
        let go = Question::Continue { after: group("a"), next: group("b") };
        let breach = Question::RollBackAfterBreach { reason: "r".into(), touched: 1 };
        let stop = Question::RollBackAfterStop { touched: 1 };
        [deployer.ask(&go).await, deployer.ask(&breach).await, deployer.ask(&stop).await]
    }

    #[tokio::test]
    async fn policy_answers_where_nobody_can() {
        use Answer::{No, Yes};
        assert_eq!(answers(false, OnAbort::Leave).await, [No, Yes, No]);
        assert_eq!(answers(true, OnAbort::Leave).await, [Yes, Yes, No]);
        assert_eq!(answers(true, OnAbort::RollBack).await, [Yes, Yes, Yes]);
    }
}
