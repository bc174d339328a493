//! The fixed program that runs the steps on a target.

use std::time::Duration;

/// What a shell's channel executes: reads the wrapper up to a line with a dot, and becomes it. It
/// is the same in sh, csh and fish, whichever the login shell is.
pub(crate) const COMMAND: &str = concat!(
    r#"exec sh -c 'N=$(printf "\nx");N=${N%x};p=;while IFS= read -r l;"#,
    r#"do case $l in .)break;;esac;p=$p$l$N;done;eval "$p"'"#
);

const PROGRAM: &str = include_str!("wrapper.sh");

/// What a new shell is told first: the wrapper, the nonce of its frames, and how often to give a
/// sign of life.
pub(crate) fn hello(nonce: &str, heartbeat: Duration) -> String {
    let mut hello = String::with_capacity(PROGRAM.len());
    for line in PROGRAM.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        hello.push_str(line);
        hello.push('\n');
    }
    // Whole seconds where they will do: not every sleep knows fractions.
    let seconds = if heartbeat.subsec_nanos() == 0 {
        heartbeat.as_secs().max(1).to_string()
    } else {
        format!("{:.3}", heartbeat.as_secs_f64())
    };
    hello.push_str(&format!(".\n{nonce}\n{seconds}\n"));
    hello
}

/// 128 bits that nobody can guess, in hexadecimal.
pub(crate) fn nonce() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_can_be_read_line_by_line() {
        assert!(PROGRAM.lines().all(|line| line != "."));
        assert!(hello("n", Duration::from_secs(5)).ends_with("\n.\nn\n5\n"));
        assert!(hello("n", Duration::from_millis(200)).ends_with("\n.\nn\n0.200\n"));
        assert!(!COMMAND.contains('\n'));
    }

    #[test]
    fn no_two_shells_share_a_nonce() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
        assert_eq!(nonce().unwrap().len(), 32);
    }
}
