//! The value of a header as it is written: `Bearer {env:TOKEN}`.

/// A part of the value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPart {
    /// As it stands.
    Text(String),
    /// What this variable of the deployer holds.
    Variable(String),
}

/// Why a value cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{{env:…}} needs the name of a variable and a closing brace")]
pub struct HeaderValueError;

/// What begins the name of a variable.
const BEGIN: &str = "{env:";

/// Takes the value of a header apart.
///
/// # Errors
/// When a `{env:` is followed by no name, or not closed.
pub fn header_parts(value: &str) -> Result<Vec<HeaderPart>, HeaderValueError> {
    let mut parts = Vec::new();
    let mut rest = value;
    while let Some((text, from)) = rest.split_once(BEGIN) {
        let (name, after) = from.split_once('}').ok_or(HeaderValueError)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(HeaderValueError);
        }
        if !text.is_empty() {
            parts.push(HeaderPart::Text(text.to_owned()));
        }
        parts.push(HeaderPart::Variable(name.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(HeaderPart::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_text() {
        let text = |text: &str| HeaderPart::Text(text.to_owned());
        let variable = |name: &str| HeaderPart::Variable(name.to_owned());
        for (value, expected) in [
            ("", vec![]),
            ("plain {version} {}", vec![text("plain {version} {}")]),
            ("{env:A}", vec![variable("A")]),
            (
                "Bearer {env:A_1}:{env:B}.",
                vec![text("Bearer "), variable("A_1"), text(":"), variable("B"), text(".")],
            ),
        ] {
            assert_eq!(header_parts(value), Ok(expected), "{value}");
        }
        for bad in ["{env:}", "{env:A", "{env:a b}", "{env:{env:A}}"] {
            assert_eq!(header_parts(bad), Err(HeaderValueError), "{bad}");
        }
    }
}
