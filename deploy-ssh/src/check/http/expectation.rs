//! What an HTTP check must be answered.

use std::fmt;

use deploy_core::backend::Situation;
use serde_json::Value;

use super::{
    super::{Pattern, pattern},
    answer::{Answer, MOST},
};

/// How much of a body or a value is shown.
const SHOWN: usize = 200;

/// What an HTTP check must be answered. By default any 2xx.
///
/// `{version}` and `{commit}` stand for what is deployed, in `body` and in texts of `json`.
#[derive(Debug, Clone, Default)]
pub struct HttpExpectation {
    /// The status; any 2xx when it is not said.
    pub status: Option<u16>,
    /// What the body must contain.
    pub body: Option<String>,
    /// What a line of the body must match.
    pub body_matches: Option<Pattern>,
    /// What the body, which must be JSON, must have at each place.
    pub json: Vec<(JsonPlace, Value)>,
}

/// A place in a JSON document, as a JSON pointer (RFC 6901): `/database/connected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPlace(String);

/// Why a text names no place in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no JSON pointer: it begins with a /, as in \"/status\"")]
pub struct JsonPlaceError(String);

impl JsonPlace {
    /// Checks and wraps a pointer.
    ///
    /// # Errors
    /// When it does not begin with a `/`, or has a `~` that begins neither `~0` nor `~1`.
    pub fn new(pointer: impl Into<String>) -> Result<Self, JsonPlaceError> {
        let pointer = pointer.into();
        let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if pointer.starts_with('/') && escaped {
            Ok(Self(pointer))
        } else {
            Err(JsonPlaceError(pointer))
        }
    }
}

impl fmt::Display for JsonPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl HttpExpectation {
    /// Whether the body is looked at.
    pub(super) fn wants_body(&self) -> bool {
        self.body.is_some() || self.body_matches.is_some() || !self.json.is_empty()
    }

    /// What is wrong with an answer, if anything.
    pub(super) fn fault(&self, answer: &Answer, situation: &Situation) -> Option<String> {
        let (came, body) = match answer {
            Answer::Came { status, body, .. } => (*status, body.as_slice()),
            Answer::None(why) => return Some(why.clone()),
        };
        let right = self.status.map_or((200..300).contains(&came), |status| status == came);
        if !right {
            let expected =
                self.status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
            return Some(format!("status {came}, not {expected}{}", shown(body)));
        }
        let contains = self.body.as_ref().map(|text| filled(text, situation));
        if let Some(wanted) = contains.filter(|wanted| !contains_bytes(body, wanted.as_bytes())) {
            return Some(format!("status {came}, but no {wanted:?} in the body{}", shown(body)));
        }
        if let Some(pattern) = &self.body_matches {
            let fault = match pattern.matches(body, situation) {
                Ok(true) => None,
                Ok(false) => Some(format!("no line of the body has {pattern}{}", shown(body))),
                Err(problem) => Some(format!("{pattern} {problem}")),
            };
            if fault.is_some() {
                return fault.map(|fault| format!("status {came}, but {fault}"));
            }
        }
        self.json_fault(body, situation).map(|fault| format!("status {came}, but {fault}"))
    }

    fn json_fault(&self, body: &[u8], situation: &Situation) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        if body.len() >= MOST {
            return Some("the body is longer than 1 MB".to_owned());
        }
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return Some(format!("the body is not JSON{}", shown(body)));
        };
        self.json.iter().find_map(|(JsonPlace(place), wanted)| {
            let wanted = match wanted {
                Value::String(text) => Value::String(filled(text, situation)),
                other => other.clone(),
            };
            match document.pointer(place) {
                Some(value) if same(value, &wanted) => None,
                Some(value) => {
                    Some(format!("{place} is {}, not {wanted}", cut(&value.to_string())))
                }
                None => Some(format!("the body has no {place}{}", shown(body))),
            }
        })
    }
}

fn filled(text: &str, situation: &Situation) -> String {
    pattern::fill(text, |what| pattern::named(what, situation))
}

/// Whether two values mean the same: 1 is 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => one == other,
    }
}

fn contains_bytes(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|window| window == wanted)
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use deploy_core::model::{GroupName, Release, ReleaseId, Version, VersionId};
    use serde_json::json;

    use super::*;

    fn came(status: u16, body: &str) -> Answer {
        Answer::Came { status, body: body.as_bytes().to_vec(), location: None }
    }

    fn situation() -> Situation {
        let id = VersionId::new("0123456789abcdef").unwrap();
        let version = Version { id, name: Some("v2".to_owned()) };
        Situation {
            group: GroupName::new("all").unwrap(),
            release: Some(Release { id: ReleaseId::new("0123-4567").unwrap(), version }),
            previous: None,
            rolling_back: false,
            noted: None,
        }
    }

    fn fault(expected: &HttpExpectation, answer: &Answer) -> Option<String> {
        expected.fault(answer, &situation())
    }

    fn status(status: u16) -> HttpExpectation {
        HttpExpectation { status: Some(status), ..HttpExpectation::default() }
    }

    fn body(text: &str) -> HttpExpectation {
        HttpExpectation { body: Some(text.to_owned()), ..HttpExpectation::default() }
    }

    fn json(pairs: &[(&str, Value)]) -> HttpExpectation {
        let place =
            |(place, value): &(&str, Value)| (JsonPlace::new(*place).unwrap(), value.clone());
        HttpExpectation { json: pairs.iter().map(place).collect(), ..HttpExpectation::default() }
    }

    #[test]
    fn the_right_answer_has_no_fault() {
        assert_eq!(fault(&HttpExpectation::default(), &came(204, "")), None);
        assert_eq!(fault(&body("{version} is up"), &came(200, "v2 is up")), None);
        assert_eq!(fault(&status(404), &came(404, "")), None);
    }

    #[test]
    fn a_wrong_answer_is_told_with_its_body() {
        let told = fault(&HttpExpectation::default(), &came(503, "warming up\n"));
        assert_eq!(told.as_deref(), Some("status 503, not 2xx: warming up"));
        let told = fault(&body("v2"), &came(200, "v1"));
        assert_eq!(told.as_deref(), Some("status 200, but no \"v2\" in the body: v1"));
        assert!(fault(&HttpExpectation::default(), &came(301, "")).is_some());
        let pattern = HttpExpectation {
            body_matches: Some(Pattern::new("^jobs: [0-9]$").unwrap()),
            ..HttpExpectation::default()
        };
        assert_eq!(fault(&pattern, &came(200, "ok\njobs: 7\n")), None);
        let told = fault(&pattern, &came(200, "jobs: 77"));
        assert_eq!(
            told.as_deref(),
            Some("status 200, but no line of the body has ^jobs: [0-9]$: jobs: 77")
        );
    }

    #[test]
    fn json_is_judged_by_its_values() {
        let document = r#"{"status": "ok", "version": "v2", "commit": "0123456789abcdef",
                "db": {"up": true, "lag": 1.0, "a/b": null}, "tags": ["x", "y"]}"#;
        let fine = json(&[
            ("/status", json!("ok")),
            ("/version", json!("{version}")),
            ("/commit", json!("{commit}")),
            ("/db/up", json!(true)),
            ("/db/lag", json!(1)),
            ("/db/a~1b", Value::Null),
            ("/tags/1", json!("y")),
            ("/tags", json!(["x", "y"])),
        ]);
        assert_eq!(fault(&fine, &came(200, document)), None);
        for (place, wanted, expected) in [
            ("/version", json!("v3"), "status 200, but /version is \"v2\", not \"v3\""),
            ("/db/lag", json!(2), "status 200, but /db/lag is 1.0, not 2"),
            ("/db/up", json!("true"), "status 200, but /db/up is true, not \"true\""),
        ] {
            let told = fault(&json(&[(place, wanted)]), &came(200, document));
            assert_eq!(told.as_deref(), Some(expected));
        }
        let told = fault(&json(&[("/x", json!(1))]), &came(200, "{}"));
        assert_eq!(told.as_deref(), Some("status 200, but the body has no /x: {}"));
        let told = fault(&json(&[("/x", json!(1))]), &came(200, "<html>"));
        assert_eq!(told.as_deref(), Some("status 200, but the body is not JSON: <html>"));
        let long = format!("{{\"x\": 1}}{}", " ".repeat(MOST));
        assert!(fault(&json(&[("/x", json!(1))]), &came(200, &long)).unwrap().contains("1 MB"));
    }

    #[test]
    fn only_pointers_are_places() {
        for bad in ["", "status", "$.status", "/a~", "/a~2"] {
            assert!(JsonPlace::new(bad).is_err(), "{bad:?}");
        }
    }
}
