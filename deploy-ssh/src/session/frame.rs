//! Finds the wrapper's frames in what a shell writes.
//!
//! Output travels as it is. A frame is `\x01`, the nonce of the shell, `:`, a letter with its
//! numbers, and a newline; the wrapper writes it with one `write`, so that it stays in one piece
//! wherever it lands. Steps do not know the nonce, so nothing they write is taken for a frame.

/// What the wrapper says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It is ready; `pgid` is its process group, `feeds` whether it can pass a payload on.
    Hello { pgid: i32, feeds: bool },
    /// It has read the step with this number and begins it.
    Begun(u64),
    /// The step has exited with this status.
    Exited(u64, i32),
    /// All output of the step to this stream has come.
    Ended(u64),
    /// It is alive.
    Tick,
}

/// A piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Output.
    Data(&'a [u8]),
    /// A frame.
    Frame(Frame),
}

/// The longest rest of a frame after its nonce.
const LONGEST: usize = 64;

/// Splits one stream of one shell into output and frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// What every frame begins with.
    mark: Vec<u8>,
    /// The end of the last piece, which may be the beginning of a frame.
    held: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(nonce: &str) -> Self {
        Self { mark: format!("\x01{nonce}:").into_bytes(), held: Vec::new() }
    }

    /// Takes the next `bytes` and hands out what is complete, in order.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Piece<'_>)) {
        let joined;
        let buffer = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.held);
            &joined
        };
        let mut done = 0;
        let mut at = 0;
        while let Some(found) = buffer[at..].iter().position(|&byte| byte == 1) {
            at += found;
            match self.frame_at(&buffer[at..]) {
                Found::Nothing => at += 1,
                Found::Unfinished => {
                    self.held.extend_from_slice(&buffer[at..]);
                    if done < at {
                        take(Piece::Data(&buffer[done..at]));
                    }
                    return;
                }
                Found::Frame(frame, length) => {
                    if done < at {
                        take(Piece::Data(&buffer[done..at]));
                    }
                    take(Piece::Frame(frame));
                    at += length;
                    done = at;
                }
            }
        }
        if done < buffer.len() {
            take(Piece::Data(&buffer[done..]));
        }
    }

    fn frame_at(&self, bytes: &[u8]) -> Found {
        let Some(rest) = bytes.strip_prefix(self.mark.as_slice()) else {
            let whole = bytes.len() >= self.mark.len();
            return if !whole && self.mark.starts_with(bytes) {
                Found::Unfinished
            } else {
                Found::Nothing
            };
        };
        match rest.iter().take(LONGEST).position(|&byte| byte == b'\n') {
            Some(end) => std::str::from_utf8(&rest[..end])
                .ok()
                .and_then(parse)
                .map_or(Found::Nothing, |frame| Found::Frame(frame, self.mark.len() + end + 1)),
            None if rest.len() < LONGEST => Found::Unfinished,
            None => Found::Nothing,
        }
    }
}

enum Found {
    Nothing,
    Unfinished,
    Frame(Frame, usize),
}

fn parse(text: &str) -> Option<Frame> {
    let mut words = text.split(' ');
    let frame = match words.next()? {
        "T" => Frame::Tick,
        "H" => Frame::Hello {
            pgid: words.next()?.parse().ok().filter(|&pgid| pgid > 1)?,
            feeds: words.next()? == "yes",
        },
        "B" => Frame::Begun(words.next()?.parse().ok()?),
        "R" => Frame::Exited(words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        "E" => Frame::Ended(words.next()?.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Frame>) {
        let mut decoder = Decoder::new("cafe");
        let (mut data, mut frames) = (Vec::new(), Vec::new());
        for piece in pieces {
            decoder.feed(piece, |piece| match piece {
                Piece::Data(bytes) => data.extend_from_slice(bytes),
                Piece::Frame(frame) => frames.push(frame),
            });
        }
        data.extend(decoder.held);
        (data, frames)
    }

    #[test]
    fn frames_are_taken_out_wherever_they_land() {
        let (data, frames) = decode(&[b"ab\x01cafe:T\nc\x01cafe:R 7 137\n\x01cafe:H 42 yes\n"]);
        assert_eq!(data, b"abc");
        let hello = Frame::Hello { pgid: 42, feeds: true };
        assert_eq!(frames, [Frame::Tick, Frame::Exited(7, 137), hello]);
    }

    #[test]
    fn what_only_looks_like_a_frame_is_output() {
        for forged in [
            "\x01caff:T\n",
            "\x01cafe:R 1\n",
            "\x01cafe:H 1 yes\n",
            "\x01\x01\x01",
            "\x01cafe:T 1\n",
        ] {
            let (data, frames) = decode(&[forged.as_bytes()]);
            assert_eq!((data.as_slice(), frames.len()), (forged.as_bytes(), 0), "{forged:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(before in prop::collection::vec(0_u8..4, 0..40),
                                  after in prop::collection::vec(0_u8..4, 0..40),
                                  size in 1_usize..9) {
            let stream = [&before, b"\x01cafe:R 3 0\n".as_slice(), &after].concat();
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            let (data, frames) = decode(&pieces);
            prop_assert_eq!(data, [before, after].concat());
            prop_assert_eq!(frames, [Frame::Exited(3, 0)]);
        }
    }
}
