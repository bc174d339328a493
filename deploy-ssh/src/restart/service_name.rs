//! The name of a service, as systemd and `service` know it.

use std::{fmt, str::FromStr};

/// The name of a service: `mockbase` or `mockbase.service`.
///
/// Holds only what a unit's name may hold, and does not begin with a dash, so that it is neither an
/// option nor more than one word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceName(String);

/// Why a string is no service's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service name {value:?} {problem}")]
pub struct ServiceNameError {
    value: String,
    problem: &'static str,
}

impl ServiceName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// When it is empty, longer than 255 bytes, begins with a dash or a dot, or has a character
    /// other than ASCII letters, digits and `:-_.@`.
    pub fn new(value: impl Into<String>) -> Result<Self, ServiceNameError> {
        let value = value.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
        let problem = if value.is_empty() {
            "is empty"
        } else if value.len() > 255 {
            "is too long"
        } else if value.starts_with(['-', '.']) {
            "begins with a dash or a dot"
        } else if !value.chars().all(allowed) {
            "has a character that is not allowed"
        } else {
            return Ok(Self(value));
        };
        Err(ServiceNameError { value, problem })
    }

    /// The name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = ServiceNameError;
    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Self::new(value)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_options_or_several_words_are_refused() {
        for bad in ["", "-H", ".x", "a b", "a;b", "$(x)", "a/b", "a\n", "--root=/"] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["mockbase", "mockbase.service", "app@1.service", "a-b_c:d"] {
            assert!(ServiceName::new(good).is_ok(), "{good:?}");
        }
    }
}
