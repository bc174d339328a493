//! One line of an `ssh_config`, as far as it matters to whether an answer can be kept.

/// What a line means for that.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The same for as long as it stands there.
    Fixed,
    /// It names more files, or patterns of them.
    Include(Vec<String>),
    /// It depends on what may change by itself, or is not understood here.
    Moving,
}

impl Line {
    /// Reads a line. Takes more of them for moving than need be, and none for fixed that is not.
    pub(super) fn read(line: &str) -> Self {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Self::Fixed;
        }
        let end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let separated = rest.is_empty() || rest.starts_with([' ', '\t', '=']);
        if keyword.is_empty() || !separated {
            return Self::Moving;
        }
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        match keyword.to_ascii_lowercase().as_str() {
            "include" => Self::include(rest),
            "match" if is_fixed_match(rest) => Self::Fixed,
            "match" => Self::Moving,
            "canonicalizehostname" if rest.eq_ignore_ascii_case("no") => Self::Fixed,
            "canonicalizehostname" => Self::Moving,
            // Commands are told as they stand; what they do is not asked here.
            "proxycommand" | "localcommand" | "remotecommand" => Self::Fixed,
            // Variables.
            _ if rest.contains('$') => Self::Moving,
            _ => Self::Fixed,
        }
    }

    fn include(rest: &str) -> Self {
        let plain = |c: char| !"\"'\\%$[]{}#".contains(c) && !c.is_control() || c == '\t';
        if rest.is_empty() || !rest.chars().all(plain) {
            return Self::Moving;
        }
        Self::Include(rest.split_ascii_whitespace().map(str::to_owned).collect())
    }
}

/// Whether the criteria of a `Match` look at nothing but what is asked, and by whom.
fn is_fixed_match(criteria: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " \t!*?.,:_-@".contains(c);
    if criteria.is_empty() || !criteria.chars().all(plain) {
        return false;
    }
    let mut words = criteria.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let word = word.strip_prefix('!').unwrap_or(word).to_ascii_lowercase();
        let fixed = match word.as_str() {
            "all" => true,
            "host" | "originalhost" | "user" | "localuser" => words.next().is_some(),
            _ => false,
        };
        if !fixed {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_there_is_fixed() {
        for line in [
            "",
            "  # Match exec x",
            "Host *",
            "\tHostName=10.0.0.1",
            "ProxyCommand sh -c 'echo $X'",
            "ProxyJump bastion",
            "IdentityFile ~/.ssh/id_%r",
            "Match host *.example.org,!bad user ann",
            "match !originalhost web all",
            "CanonicalizeHostname no",
            "UserKnownHostsFile \"/a b\"\r",
        ] {
            assert_eq!(Line::read(line), Line::Fixed, "{line:?}");
        }
    }

    #[test]
    fn what_may_change_by_itself_is_moving() {
        for line in [
            "Match exec \"test -e /x\"",
            "Match host x exec true",
            "Match \"exec\" true",
            "Match exec=true",
            "match localnetwork 10.0.0.0/8",
            "Match",
            "Match host",
            "Match host a # b",
            "\"Match\" exec true",
            "CanonicalizeHostname yes",
            "canonicalizehostname always",
            "IdentityAgent $SSH_AGENT",
            "UserKnownHostsFile ${KNOWN}",
            "Include \"~/a b\"",
            "Include",
            "Include ~/.ssh/%h",
            "Include ${X}/config",
            "Include conf.d/[ab]*",
            "Include a # b",
            "Port\u{a0}22",
            "@odd",
        ] {
            assert_eq!(Line::read(line), Line::Moving, "{line:?}");
        }
    }

    #[test]
    fn includes_are_named() {
        let named = Line::Include(vec!["a".into(), "~/b/*.conf".into()]);
        assert_eq!(Line::read("  INCLUDE = a\t~/b/*.conf "), named);
    }
}
