//! Spans of time as they are written in the configuration: `"120s"`, `"5m"`, `"1h30m"`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The longest span that is taken: a deadline further away is a slip, and could not be reckoned.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A span of time that was written as text: longer than none, and no longer than a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Why a text is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpanError {
    /// It cannot be read.
    #[error("{0:?} is not a span of time such as \"120s\", \"5m\" or \"1h30m\"")]
    Unreadable(String),
    /// Nothing can be done, or waited for, in no time.
    #[error("{0:?} is no time at all: leave the key out to have its default")]
    Zero(String),
    /// It is a slip.
    #[error("{0:?} is longer than a year")]
    TooLong(String),
}

impl FromStr for Span {
    type Err = ParseSpanError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || ParseSpanError::Unreadable(text.to_owned());
        let span: SignedDuration = text.parse().map_err(|_| unreadable())?;
        match Duration::try_from(span).map_err(|_| unreadable())? {
            Duration::ZERO => Err(ParseSpanError::Zero(text.to_owned())),
            span if span > LONGEST => Err(ParseSpanError::TooLong(text.to_owned())),
            span => Ok(Self(span)),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&short(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time such as \"120s\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A span of time, longer than none and no longer than a year.",
            "type": "string",
            "examples": ["120s", "5m", "1h30m"],
        })
    }
}

/// Writes a span for a person: `0.4s`, `12s`, `3m05s`, `2h10m`, `3d4h`.
pub fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 if span.subsec_millis() > 0 => format!("{:.1}s", span.as_secs_f64()),
        0..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        let span = |text: &str| text.parse::<Span>().unwrap().0;
        assert_eq!(span("120s"), Duration::from_secs(120));
        assert_eq!(span("1h30m"), Duration::from_secs(5400));
        assert_eq!(span("500ms"), Duration::from_millis(500));
        for bad in ["", "120", "-5s", "soon", "0s", "0h0m", "8785h", "2000000000000h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        let shown = [400, 12_000, 185_000, 7_800_000].map(|ms| short(Duration::from_millis(ms)));
        assert_eq!(shown, ["0.4s", "12s", "3m05s", "2h10m"]);
    }
}
