//! What of a target's output is not to be shown, and what stands in its place.

use std::{borrow::Cow, sync::Arc};

/// Texts that are not to be shown, each with what stands in its place.
///
/// Cheap to clone. Where one text is the beginning of another, the longer one counts.
#[derive(Clone, Default)]
pub(crate) struct Mask(Arc<[(Vec<u8>, String)]>);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} texts)", self.0.len())
    }
}

impl Mask {
    /// The same, hiding `texts` too. The first that was given for a text stands in its place.
    pub(crate) fn and(&self, texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let texts = texts.into_iter().map(|(text, shown)| (text.into_bytes(), shown));
        let mut all: Vec<_> = self.0.iter().cloned().chain(texts).collect();
        all.retain(|(text, _)| !text.is_empty());
        // Stable, so that the first of equal ones stays the first.
        all.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
        all.dedup_by(|later, first| later.0 == first.0);
        Self(all.into())
    }

    /// `text` as it may be shown.
    pub(crate) fn text(&self, text: String) -> String {
        if self.0.is_empty() {
            return text;
        }
        let mut stream = self.stream();
        let mut shown = stream.take(text.as_bytes()).into_owned();
        shown.extend(stream.rest());
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Masks an output that comes in pieces.
    pub(crate) fn stream(&self) -> MaskedStream {
        MaskedStream { mask: self.clone(), held: Vec::new() }
    }

    /// The text that `bytes` begin with.
    fn hidden(&self, bytes: &[u8]) -> Option<&(Vec<u8>, String)> {
        self.0.iter().find(|(text, _)| bytes.starts_with(text))
    }

    /// Whether `bytes` are the beginning of a text, and not yet all of it.
    fn may_become_hidden(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|(text, _)| text.len() > bytes.len() && text.starts_with(bytes))
    }
}

/// An output that comes in pieces. What may be the beginning of a hidden text waits for the next.
#[derive(Debug)]
pub(crate) struct MaskedStream {
    mask: Mask,
    held: Vec<u8>,
}

impl MaskedStream {
    /// What may be shown by now, with `bytes`.
    pub(crate) fn take<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.mask.0.is_empty() {
            return Cow::Borrowed(bytes);
        }
        self.held.extend_from_slice(bytes);
        Cow::Owned(self.show(false))
    }

    /// What was waiting, when nothing more comes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.show(true)
    }

    fn show(&mut self, is_last: bool) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.held);
        let mut shown = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if !is_last && self.mask.may_become_hidden(rest) {
                self.held = rest.to_vec();
                break;
            }
            match self.mask.hidden(rest) {
                Some((text, instead)) => {
                    shown.extend_from_slice(instead.as_bytes());
                    at += text.len();
                }
                None => {
                    shown.push(bytes[at]);
                    at += 1;
                }
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask() -> Mask {
        let text = |text: &str, shown: &str| (text.to_owned(), shown.to_owned());
        Mask::default().and([text("hunter", "<1>"), text("", "<0>")]).and([
            text("hunter2", "<2>"),
            text("hunter", "<3>"),
            text("two\nlines", "<4>"),
        ])
    }

    #[test]
    fn the_longest_text_counts_and_others_stay() {
        let shown = |text: &str| mask().text(text.to_owned());
        assert_eq!(shown("a hunter2 and a hunter, no hunt"), "a <2> and a <1>, no hunt");
        assert_eq!(shown("two\nlines two\nline"), "<4> two\nline");
        assert_eq!(Mask::default().text("hunter2".to_owned()), "hunter2");
        assert!(!format!("{:?}", mask()).contains("hunter"));
    }

    #[test]
    fn what_cannot_become_a_hidden_text_does_not_wait() {
        let mut stream = mask().stream();
        assert_eq!(&*stream.take(b"line\nhun"), b"line\n");
        assert_eq!(&*stream.take(b"t"), b"");
        assert_eq!(&*stream.take(b"s\n"), b"hunts\n");
        assert_eq!(stream.rest(), b"");
    }

    proptest! {
        #[test]
        fn pieces_are_masked_as_the_whole(text in "(hunter2|hunter|two\nlines|hu|[a-z2\n]){0,12}",
                                          size in 1_usize..9) {
            let mut stream = mask().stream();
            let mut shown = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                shown.extend_from_slice(&stream.take(piece));
            }
            shown.extend(stream.rest());
            prop_assert_eq!(String::from_utf8(shown).unwrap(), mask().text(text));
        }
    }
}
