//! The key `fetch`: a method such as `"archive"`, or a table that says more.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer, value::StrDeserializer},
};

use super::duration::Span;

/// `fetch`, or `[fetch]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchSection {
    /// The method.
    pub method: FetchBy,
    /// Where hosts pull from; by default the URL of the remote.
    pub url: Option<String>,
    /// What builds the archive.
    pub command: Option<String>,
    /// How long that may take.
    pub timeout: Option<Span>,
}

/// How a version comes onto hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FetchBy {
    /// The deployer packs it, and sends it to all.
    #[default]
    Push,
    /// Each host fetches the commit from an URL, with its own credentials.
    Pull,
    /// A command on the deployer's machine builds an archive, which is sent to all.
    Archive,
}

/// Reads `fetch = "push"` as `[fetch]` with `method = "push"`.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<FetchSection, D::Error> {
    from.deserialize_any(Visitor)
}

/// What [`read`] takes.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let method = generator.subschema_for::<FetchBy>();
    let table = generator.subschema_for::<FetchSection>();
    json_schema!({ "anyOf": [method, table] })
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = FetchSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a method such as \"push\", or a table")
    }

    fn visit_str<E: de::Error>(self, method: &str) -> Result<FetchSection, E> {
        let method = Deserialize::deserialize(StrDeserializer::new(method))?;
        Ok(FetchSection { method, ..FetchSection::default() })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<FetchSection, A::Error> {
        FetchSection::deserialize(MapAccessDeserializer::new(table))
    }
}
