//! Questions to the deployer, and the policy that answers where nobody can be asked.

use async_trait::async_trait;
use deploy_core::{
    backend::{Answer, Ask, Question},
    plan::OnAbort,
};
use tokio::sync::oneshot;

use crate::{display, report::Screen, ui::Ui};

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
}

impl Deployer {
    /// Asks a question of the command itself; `None` when the input ended.
    pub async fn confirm(&self, question: String, default: bool) -> Option<bool> {
        let (ui, screen) = (self.ui.clone(), self.screen.clone());
        let (answered, answer) = oneshot::channel();
        // A thread of its own, not of the runtime: one that still waits for input must not keep
        // the process from ending.
        std::thread::spawn(move || {
            let _ = answered.send(screen.aside(|| ui.ask(&question, default)));
        });
        answer.await.ok().flatten()
    }
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
            Question::RollBackAfterBreach { reason, touched } => {
                let reason = display::line(reason);
                (format!("{reason}. Bring all {touched} touched hosts back?"), true)
            }
            Question::RollBackAfterStop { touched } => {
                (format!("Interrupted. Bring all {touched} touched hosts back?"), true)
            }
        };
        match self.confirm(text, default).await {
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
        let deployer = Deployer { ui, screen: Screen::new(), can_ask: false, yes, on_abort };
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
