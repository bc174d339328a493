//! The fixed program that runs the steps on a target.

use std::{sync::LazyLock, time::Duration};

use crate::program;

const WRAPPER: &str = include_str!("wrapper.sh");

/// What every new shell reads first: our own functions and the wrapper, without what is there for
/// readers. A shell reads a pipe byte by byte, so a text is worth making small.
static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let lines = program::SCRIPTS.lines().chain(WRAPPER.lines()).map(str::trim_start);
    let mut program = String::with_capacity(program::SCRIPTS.len() + WRAPPER.len());
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        program.push_str(line);
        program.push('\n');
    }
    program + LAST_LINE + "\n"
});

const LAST_LINE: &str = "# end";

/// What a shell's channel executes: reads the program and becomes it. It is the same in sh, csh and
/// fish, whichever the login shell is. One `dd` reads all of it at once, and shows that it can be
/// told how many bytes to take; a `dd` that cannot takes none, and the shell reads line by line.
pub(crate) static COMMAND: LazyLock<String> = LazyLock::new(|| {
    let dd = format!("dd bs=65536 count={} iflag=fullblock,count_bytes", PROGRAM.len());
    format!(
        "exec sh -c '_wp=$({dd} 2>/dev/null);_wdd=yes;case $_wp in *\"{LAST_LINE}\");;*)_wdd=no;\
         N=$(printf \"\\nx\");N=${{N%x}};_wp=;while IFS= read -r l;do _wp=$_wp$l$N;\
         case $l in \"{LAST_LINE}\")break;;esac;done;;esac;eval \"$_wp\"'"
    )
});

/// What a new shell is told first: the program, the nonce of its frames, and how often to give a
/// sign of life.
pub(crate) fn hello(nonce: &str, heartbeat: Duration) -> String {
    // Whole seconds where they will do: not every sleep knows fractions.
    let seconds = if heartbeat.subsec_nanos() == 0 {
        heartbeat.as_secs().max(1).to_string()
    } else {
        format!("{:.3}", heartbeat.as_secs_f64())
    };
    format!("{}{nonce}\n{seconds}\n", *PROGRAM)
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
    fn the_program_can_be_read_at_once_and_line_by_line() {
        assert!(PROGRAM.is_ascii(), "its length is told in bytes");
        assert_eq!(PROGRAM.lines().filter(|line| line.contains(LAST_LINE)).count(), 1);
        assert!(PROGRAM.ends_with("# end\n"));
        assert!(hello("n", Duration::from_secs(5)).ends_with("\n# end\nn\n5\n"));
        assert!(hello("n", Duration::from_millis(200)).ends_with("\n# end\nn\n0.200\n"));
        assert!(!COMMAND.contains('\n') && !COMMAND.contains('!'));
    }

    #[test]
    fn the_program_is_taken_by_every_sh_with_and_without_a_dd_that_counts() {
        let no_dd = tempfile::tempdir().unwrap();
        let dd = no_dd.path().join("dd");
        std::fs::write(&dd, "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(&dd, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        for (path, feeds) in
            [(path.clone(), "yes"), (format!("{}:{path}", no_dd.path().display()), "no")]
        {
            let hello = hello("nonce", Duration::from_secs(5));
            let mut child = std::process::Command::new("sh")
                .args(["-c", &COMMAND])
                .env("PATH", path)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            std::io::Write::write_all(&mut stdin, hello.as_bytes()).unwrap();
            drop(stdin);
            let said = child.wait_with_output().unwrap().stdout;
            let said = String::from_utf8(said).unwrap();
            assert!(said.starts_with("\x01nonce:H "), "{said:?}");
            assert!(said.ends_with(&format!(" {feeds}\n")), "{said:?}");
        }
    }

    #[test]
    fn no_two_shells_share_a_nonce() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
        assert_eq!(nonce().unwrap().len(), 32);
    }
}
