//! The one place that quotes for a shell.

/// Quotes `word` for a POSIX shell, so that it arrives as one argument, byte for byte.
///
/// Steps need no quoting: their text and arguments travel as data. This is for the few fixed
/// commands that open a channel, and for commands shown to a person to be typed in.
///
/// Plain words stay as they are. A NUL byte, which no argument can hold, is left out.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && !word.starts_with(['-', '=', '~']) && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for c in word.chars() {
        match c {
            '\0' => {}
            '\'' => quoted.push_str(r"'\''"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::quote;

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(quote("web-07.example.org"), "web-07.example.org");
        assert_eq!(quote("[h]:22"), "'[h]:22'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("-rf"), "'-rf'");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn a_shell_gives_back_the_very_word(word in "[^\0]{0,40}") {
            let script = format!("printf %s {}", quote(&word));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            prop_assert_eq!(output.stdout, word.as_bytes());
        }
    }
}
