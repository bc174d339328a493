//! The one rule for names that end up in paths, commands and journals.

use std::fmt;

/// Why a string may not be used as a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {} {problem}", Quoted(.value))]
pub struct NameError {
    what: &'static str,
    value: String,
    problem: &'static str,
}

/// Shows a refused name with its control characters escaped, so that it cannot act on a terminal.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Checks `value` against the rule for `what`: ASCII letters, digits, `.`, `_`, `-` and the
/// characters of `also`; at most `max` bytes; no empty, `.` or `..` part between slashes; no part
/// that begins with a dash, which a command would read as an option.
pub(crate) fn check_name(
    what: &'static str,
    value: &str,
    also: &str,
    max: usize,
) -> Result<(), NameError> {
    let refuse = |problem| Err(NameError { what, value: value.to_owned(), problem });
    if value.is_empty() {
        return refuse("is empty");
    }
    if value.len() > max {
        return refuse("is too long");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || also.contains(c);
    if !value.chars().all(allowed) {
        return refuse("has a character that is not allowed");
    }
    for part in value.split('/') {
        match part {
            "" => return refuse("has an empty part"),
            "." | ".." => return refuse("has a part `.` or `..`"),
            _ if part.starts_with('-') => return refuse("has a part that begins with a dash"),
            _ => {}
        }
    }
    Ok(())
}

/// Makes a validated string type: `FromStr`, `Display`, `AsRef<str>`, and serde through both.
macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $what:literal, $also:literal, $max:literal) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps a name.
            ///
            /// # Errors
            /// [`NameError`](crate::model::NameError) when the string is empty, too long, or has
            /// a character or a part that is not allowed.
            pub fn new(value: impl Into<String>) -> Result<Self, $crate::model::NameError> {
                let value = value.into();
                $crate::model::name::check_name($what, &value, $also, $max)?;
                Ok(Self(value))
            }

            /// The name as a string slice.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::NameError;
            fn from_str(value: &str) -> Result<Self, Self::Err> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::model::NameError;
            fn try_from(value: String) -> Result<Self, Self::Error> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
pub(crate) use name_type;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_escape_a_path_or_become_an_option() {
        for bad in
            ["", ".", "..", "a/../b", "a//b", "/a", "a/", "-rf", "a/-b", "a b", "a\nb", "$(x)"]
        {
            assert!(check_name("name", bad, "/", 64).is_err(), "{bad:?}");
        }
        for good in ["a", "mockbase", "a/b", "a.b-c_d", "..a"] {
            assert!(check_name("name", good, "/", 64).is_ok(), "{good:?}");
        }
        assert!(check_name("name", "a/b", "", 64).is_err());
        assert!(check_name("name", &"a".repeat(65), "", 64).is_err());
    }

    #[test]
    fn a_refused_name_is_shown_escaped() {
        let error = check_name("target", "a\u{1b}[2J", "", 64).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
