//! The words that a choice is written with, as the loader itself knows them.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize,
    de::{self, value::StrDeserializer},
};

/// What a choice takes that the engine defines, which knows nothing of schemas.
pub(super) fn schema<T: for<'de> Deserialize<'de>>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": all::<T>() })
}

/// All words of `T`: what it says it expects when it is given none of them.
fn all<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(StrDeserializer::<Expected>::new("")) {
        Err(Expected(words)) => words,
        Ok(_) => &[],
    }
}

/// An error that keeps only which words were expected.
#[derive(Debug)]
struct Expected(&'static [&'static str]);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Expected {}

impl de::Error for Expected {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

#[cfg(test)]
mod tests {
    use deploy_core::plan::{OnBreach, StepPlace};

    use super::*;

    #[test]
    fn a_choice_tells_its_words() {
        assert_eq!(all::<OnBreach>(), ["ask", "roll-back", "leave"]);
        assert_eq!(all::<StepPlace>(), ["once", "each"]);
    }
}
