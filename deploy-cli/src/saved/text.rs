//! A saved plan as text, and back.

use sha2::{Digest, Sha256};

use super::{FORMAT, PlanFile};
use crate::{
    display,
    report::{escape_json, plan_lines},
    ui::{Color, Ui},
};

/// How the first line begins; the number of the format follows.
const FIRST: &str = "# deploy-cli plan, format ";
/// How the last line begins; the digest of all lines before follows.
const LAST: &str = "# sha256 ";

/// Why a text is no saved plan that can be applied.
#[derive(Debug, thiserror::Error)]
pub enum ParsePlanError {
    /// It does not begin like one.
    #[error("it is no saved plan: its first line is not {FIRST:?} and a number")]
    Other,
    /// It is of a format to come.
    #[error("it has format {0}, and this deploy-cli reads formats up to {FORMAT}")]
    Newer(u32),
    /// It does not end with a digest.
    #[error("it has no digest at its end: a part is missing")]
    Cut,
    /// It is not what it was.
    #[error("its digest does not fit: it was damaged or edited")]
    Damaged,
    /// It cannot be read as a plan.
    #[error("what it says is no plan")]
    Content(#[source] serde_json::Error),
    /// What people read is not what would be done.
    #[error("its comments are not the words of its plan")]
    Words,
}

/// A saved plan as it is written, with the digest that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The whole text.
    pub text: String,
    /// The digest: lower-case hex.
    pub digest: String,
}

impl PlanFile {
    /// Writes it.
    ///
    /// # Errors
    /// Fails only when it cannot be written as JSON, which no plan made here does.
    pub fn to_text(&self) -> Result<Text, serde_json::Error> {
        let mut text = format!("{FIRST}{}\n", self.format);
        for line in self.words() {
            let line = format!("# {line}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for line in serde_json::to_string_pretty(self)?.lines() {
            text.push_str(&escape_json(line));
            text.push('\n');
        }
        let digest = digest(&text);
        text.push_str(&format!("{LAST}{digest}\n"));
        Ok(Text { text, digest })
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ParsePlanError`] when it is none, or not as it was written.
    pub fn parse(text: &str) -> Result<(Self, String), ParsePlanError> {
        let format = text.strip_prefix(FIRST).and_then(|rest| rest.lines().next());
        let format: u32 = format.and_then(|n| n.parse().ok()).ok_or(ParsePlanError::Other)?;
        if format > FORMAT {
            return Err(ParsePlanError::Newer(format));
        }
        let end = text.rfind(LAST).filter(|at| text[..*at].ends_with('\n'));
        let (above, last) = text.split_at(end.ok_or(ParsePlanError::Cut)?);
        let said = last.strip_prefix(LAST).and_then(|rest| rest.strip_suffix('\n'));
        let said = said.filter(|said| !said.contains('\n')).ok_or(ParsePlanError::Cut)?;
        if digest(above) != said {
            return Err(ParsePlanError::Damaged);
        }
        let json: Vec<&str> = above.lines().filter(|line| !line.starts_with('#')).collect();
        let file: Self = serde_json::from_str(&json.join("\n")).map_err(ParsePlanError::Content)?;
        // What a reviewer read is what is applied, down to the last character.
        let written = file.to_text().map_err(ParsePlanError::Content)?;
        if written.text != text {
            return Err(ParsePlanError::Words);
        }
        Ok((file, written.digest))
    }

    /// What a reviewer reads.
    fn words(&self) -> Vec<String> {
        let made = &self.made;
        let mut lines = vec![
            String::new(),
            format!(
                "made {} by {} on {} with deploy-cli {}",
                made.at,
                display::line(&made.by),
                display::line(&made.host),
                display::line(&made.tool)
            ),
        ];
        if let Some(holder) = &self.seen.lock {
            let why = holder.why.as_deref().unwrap_or_default();
            let (who, why) = (display::line(&holder.who), display::line(why));
            lines.push(format!("the lock was held by {who}: {why}"));
        }
        if let Some(hosts) = &self.asked.hosts {
            lines.push(format!("for {} of the hosts only", hosts.len()));
        }
        lines.push(String::new());
        let plain = Ui::new(Color::Never, false);
        lines.extend(plan_lines(&self.saved.plan, &self.builds, &plain));
        lines.push(String::new());
        lines
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
