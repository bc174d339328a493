//! What `sudo -l` lists. Asked for one command, sudo says yes also where it would want a password.

/// The commands of a user, as `sudo -l` lists them, in order.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    command: String,
    asks: bool,
}

impl Rules {
    /// Reads a line of the listing: `(root) NOPASSWD: /usr/bin/a, PASSWD: /usr/bin/b`.
    pub(super) fn line(&mut self, line: &str) {
        let Some((_, rest)) = line.trim_start().strip_prefix('(').and_then(|l| l.split_once(')'))
        else {
            return;
        };
        let mut asks = true;
        for part in rest.split(", ") {
            let mut command = part.trim();
            // Tags hold for what follows them.
            while let Some((tag, after)) = command
                .split_once(':')
                .filter(|(tag, _)| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_uppercase()))
            {
                match tag {
                    "NOPASSWD" => asks = false,
                    "PASSWD" => asks = true,
                    _ => {}
                }
                command = after.trim_start();
            }
            self.0.push(Rule { command: command.to_owned(), asks });
        }
    }

    /// Whether `command`, which sudo allows, would be asked a password for: the last rule about it
    /// decides. Where none is recognised, as with a pattern, the word of all of them together does.
    pub(super) fn needs_password(&self, command: &str) -> bool {
        let program = command.split(' ').next().unwrap_or_default();
        let about = |rule: &&Rule| [command, program, "ALL"].contains(&rule.command.as_str());
        match self.0.iter().rev().find(about) {
            Some(rule) => rule.asks,
            None => !self.0.is_empty() && self.0.iter().all(|rule| rule.asks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_about_a_command_decides() {
        let needs = |lines: &[&str]| {
            let mut rules = Rules::default();
            lines.iter().for_each(|line| rules.line(line));
            rules.needs_password("/usr/bin/systemctl restart a.service")
        };
        let exact = "    (root) NOPASSWD: /usr/bin/systemctl start a.service, /usr/bin/systemctl restart a.service";
        assert!(!needs(&[exact]));
        assert!(!needs(&["    (ALL : ALL) ALL", exact]));
        assert!(needs(&[exact, "    (ALL : ALL) ALL"]));
        assert!(!needs(&["    (ALL) NOPASSWD: ALL"]));
        assert!(!needs(&["    (ALL) NOPASSWD: SETENV: /usr/bin/systemctl"]));
        assert!(needs(&["    (ALL) NOPASSWD: /bin/true, PASSWD: /usr/bin/systemctl"]));
        assert!(!needs(&["    (root) NOPASSWD: /usr/bin/systemctl * a.service"]));
        assert!(!needs(&["Matching Defaults entries for deploy on h1:"]));
    }
}
