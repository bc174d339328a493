//! What commits say, and what is read back from them.

use sha2::{Digest, Sha256};

use super::Wish;

/// The trailer by which a review is known as the same one.
const CHANGE_ID: &str = "Change-Id";

/// `message` with one more trailer.
pub(super) fn with_trailer(message: &str, key: &str, value: &str) -> String {
    let message = message.trim_end();
    let last = message.rsplit("\n\n").next().unwrap_or_default();
    let is_block = last.len() < message.len() && last.lines().all(|line| trailer(line).is_some());
    let gap = if is_block { "\n" } else { "\n\n" };
    format!("{message}{gap}{key}: {value}\n")
}

/// The value of a trailer in `message`.
pub(super) fn trailer_of<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    let last = message.trim_end().rsplit("\n\n").next()?;
    last.lines().filter_map(trailer).find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn trailer(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(": ")?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_key.then_some((key, value))
}

/// `message` as that of the `round`th review that brings `wish` in place of `before`. The same change has
/// the same id, whoever asks for it again, so that a review that is open is found.
pub(super) fn for_review(message: &str, wish: &Wish, before: &str, round: u32) -> (String, String) {
    let mut sum = Sha256::new();
    for part in [&wish.file, &wish.key.to_string(), before, &wish.value, &round.to_string()] {
        sum.update(part.as_bytes());
        sum.update([0]);
    }
    let id: String = sum.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    let id = format!("I{id}");
    (with_trailer(message, CHANGE_ID, &id), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_stand_together_at_the_end() {
        let bare = with_trailer("subject", "Deploy-Run", "r1");
        assert_eq!(bare, "subject\n\nDeploy-Run: r1\n");
        let more = with_trailer(&bare, "Change-Id", "I0");
        assert_eq!(more, "subject\n\nDeploy-Run: r1\nChange-Id: I0\n");
        assert_eq!(trailer_of(&more, "Deploy-Run"), Some("r1"));
        assert_eq!(trailer_of("subject\n\nDeploy-Run: r1\n\nmore\n", "Deploy-Run"), None);
        // A subject is no trailer, though it looks like one.
        assert_eq!(with_trailer("mathoid: v2", "A", "b"), "mathoid: v2\n\nA: b\n");
    }
}
