//! Host names with ranges: `web[01-20]`, `db[1,3-5].example.org`.

use deploy_core::model::{NameError, Target};

/// The most hosts that one pattern may stand for.
const MOST: usize = 100_000;

/// Why a text names no hosts.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A bracket has no partner, or stands where none may.
    #[error("{0:?} has a bracket without its partner")]
    Bracket(String),
    /// A range cannot be read.
    #[error("{0:?} is no range such as [01-20] or [1,3-5]")]
    Range(String),
    /// It stands for more hosts than anybody means.
    #[error("{0:?} stands for more than {MOST} hosts")]
    TooMany(String),
    /// One of the names may not be used.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// The hosts that `text` stands for, in order.
///
/// Brackets with digits are ranges, with the width of the first number: `h[01-03]`. An address such
/// as `[2001:db8::1]:22` is left as it is.
///
/// # Errors
/// [`PatternError`] when it is no name, or a range cannot be read.
pub fn expand(text: &str) -> Result<Vec<Target>, PatternError> {
    let names = expand_text(text)?;
    names.into_iter().map(|name| Target::new(name).map_err(PatternError::Name)).collect()
}

pub(super) fn expand_text(text: &str) -> Result<Vec<String>, PatternError> {
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (range, behind) =
            after.split_once(']').ok_or_else(|| PatternError::Bracket(text.to_owned()))?;
        let members =
            if range.contains(':') { vec![format!("[{range}]")] } else { members(range, text)? };
        if names.len().saturating_mul(members.len()) > MOST {
            return Err(PatternError::TooMany(text.to_owned()));
        }
        names = names
            .iter()
            .flat_map(|name| members.iter().map(move |member| format!("{name}{before}{member}")))
            .collect();
        rest = behind;
    }
    if rest.contains(']') {
        return Err(PatternError::Bracket(text.to_owned()));
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

/// What the `range` within the brackets of `text` stands for.
fn members(range: &str, text: &str) -> Result<Vec<String>, PatternError> {
    let unreadable = || PatternError::Range(format!("[{range}]"));
    let mut members = Vec::new();
    for part in range.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let digits = |text: &str| {
            !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(first) || !digits(last) {
            return Err(unreadable());
        }
        let number = |text: &str| text.parse::<usize>().map_err(|_| unreadable());
        let (low, high) = (number(first)?, number(last)?);
        if low > high {
            return Err(unreadable());
        }
        if high - low >= MOST - members.len() {
            return Err(PatternError::TooMany(text.to_owned()));
        }
        let width = first.len();
        members.extend((low..=high).map(|number| format!("{number:0width$}")));
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        expand(text).unwrap().into_iter().map(String::from).collect()
    }

    #[test]
    fn ranges_keep_their_width_and_order() {
        assert_eq!(names("h[08-11]"), ["h08", "h09", "h10", "h11"]);
        assert_eq!(names("db[1,3-4].x"), ["db1.x", "db3.x", "db4.x"]);
        assert_eq!(names("r[1-2]n[1-2]"), ["r1n1", "r1n2", "r2n1", "r2n2"]);
        assert_eq!(names("plain"), ["plain"]);
        assert_eq!(names("me@[2001:db8::1]:22"), ["me@[2001:db8::1]:22"]);
    }

    #[test]
    fn what_names_no_hosts_is_refused() {
        for bad in ["h[1-", "h1]", "h[a-b]", "h[5-1]", "h[]", "-h", "a b", "h[1-99999999]", "$(x)"]
        {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_that_is_far_too_large_is_said_to_be() {
        for bad in ["h[1-99999999]", "h[0-99999,0-99999]", "h[1-999][1-999]"] {
            let error = expand(bad).unwrap_err();
            assert!(matches!(error, PatternError::TooMany(_)), "{bad}: {error}");
        }
        assert_eq!(names("h[0-99999]").len(), MOST);
    }
}
