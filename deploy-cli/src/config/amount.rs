//! Numbers and percentages as they are written in the configuration: `3` or `"10%"`.

use std::{fmt, marker::PhantomData, str::FromStr};

use deploy_core::plan::{BatchSize, Budget};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, de};

/// Reads a budget that is written as a number or as a text.
pub(super) fn budget<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Budget>, D::Error> {
    from.deserialize_any(Visitor("a number such as 3 or a percentage such as \"10%\"", PhantomData))
        .map(Some)
}

/// Reads a batch size that is written as a number or as a text.
pub(super) fn batch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<BatchSize>, D::Error> {
    let expected = "a number such as 3, a percentage such as \"25%\", or \"all\"";
    from.deserialize_any(Visitor(expected, PhantomData)).map(Some)
}

/// What [`budget`] takes.
pub(super) fn budget_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^([0-9]+|0*(100|[0-9]{1,2})%)$" },
        ],
        "examples": [3, "10%"],
    })
}

/// What [`batch`] takes.
pub(super) fn batch_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^(all|0*[1-9][0-9]*|0*(100|[1-9][0-9]?)%)$" },
        ],
        "examples": [3, "25%", "all"],
    })
}

struct Visitor<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Visitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}
