//! Text that looks like source files: the same on every machine, and not easier to compress.

use std::fmt::Write;

/// Numbers that look random and are the same each time (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn name(&mut self) -> String {
        let parts = 1 + self.below(3);
        (0..parts).map(|_| self.pick(&SYLLABLES)).collect::<Vec<_>>().join("_")
    }

    /// A line as of a program.
    pub(super) fn line(&mut self) -> String {
        let (a, b, c) = (self.name(), self.name(), self.name());
        let number = self.below(100_000);
        match self.below(8) {
            0 => format!("    if {a}.{b}({c}) is None:"),
            1 => format!("        raise ValueError(f\"{a}: {{{b}}} beyond {number}\")"),
            2 => format!("    {a} = self.{b}[{number}] + {c}"),
            3 => format!("    for {a} in {b}({c}, limit={number}):"),
            4 => format!("    # The {a} of {b} comes before {c}, see #{number}."),
            5 => format!("    return {a}({b}, {c}={number})"),
            6 => String::new(),
            _ => format!("    log.debug(\"%s {a} %d {b}\", {c}, {number})"),
        }
    }

    /// A text of about `size` bytes, whole lines.
    pub(super) fn text(&mut self, size: usize) -> String {
        let mut text = String::with_capacity(size + 80);
        while text.len() < size {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", self.line());
        }
        text
    }
}

const SYLLABLES: [&str; 64] = [
    "account", "after", "batch", "begin", "bound", "buffer", "cache", "chunk", "client", "column",
    "config", "count", "cursor", "decode", "delta", "depth", "digest", "encode", "entry", "event",
    "field", "filter", "flush", "frame", "group", "handle", "header", "index", "inner", "invoice",
    "journal", "key", "label", "layout", "ledger", "limit", "loader", "lookup", "margin", "merge",
    "node", "offset", "order", "outer", "owner", "packet", "parse", "path", "payload", "plan",
    "price", "query", "queue", "range", "record", "render", "result", "retry", "route", "schema",
    "scope", "session", "shard", "token",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_text() {
        let text = Dice::new(7).text(4000);
        assert_eq!(text, Dice::new(7).text(4000));
        assert_ne!(text, Dice::new(8).text(4000));
        assert!((4000..4100).contains(&text.len()), "{}", text.len());
    }

    #[test]
    fn lines_are_seldom_repeated() {
        let text = Dice::new(1).text(200_000);
        let mut lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert!(lines.len() * 100 > all * 99, "{} of {all}", lines.len());
    }
}
