//! Whether a service is there, and may be acted upon.

mod sudo;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, ErrorKind, Examiner, Finding, Scope},
    model::Target,
};

use super::{Method, ServiceRestarter};
use crate::session::Script;
use sudo::Rules;

const RIGHTS: &str = on_unit!("restart/rights.sh");
/// What is asked when a first deploy is taken back; a rollout mostly does without.
const ADVISED: &str = "stop";

/// What a host said of a service. Parsed as if somebody had made it up.
#[derive(Debug, Default)]
struct Rights {
    manager: String,
    load: String,
    is_root: bool,
    user: String,
    bad_pid_file: bool,
    no_sudo: bool,
    no_journal: bool,
    may: Vec<May>,
    rules: Rules,
    result: String,
}

/// Whether sudo allows a command.
#[derive(Debug)]
struct May {
    verb: String,
    is_allowed: bool,
    command: String,
}

impl Rights {
    fn parse(text: &str) -> Self {
        let mut rights = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "unit" => {
                    let mut words = value.split(' ').map(str::to_owned);
                    rights.manager = words.next().unwrap_or_default();
                    rights.load = words.next().unwrap_or_default();
                }
                "user" => {
                    let (uid, name) = value.split_once(' ').unwrap_or((value, ""));
                    rights.is_root = uid == "0";
                    name.clone_into(&mut rights.user);
                }
                "pid-file" => rights.bad_pid_file = true,
                "no-sudo" => rights.no_sudo = true,
                "no-journal" => rights.no_journal = true,
                "may" => rights.may.extend(May::parse(value)),
                "rule" => rights.rules.line(value),
                "result" => value.clone_into(&mut rights.result),
                _ => {}
            }
        }
        rights
    }

    /// Whether the service is there.
    fn unit(&self, service: &str) -> Finding {
        let unit = match service.contains('.') {
            true => service.to_owned(),
            false => format!("{service}.service"),
        };
        let missing =
            |what: String| Finding::problem("service", what).because("it cannot be restarted");
        match (self.result.as_str(), self.load.as_str()) {
            ("no-manager", _) => missing("there is neither systemd nor `service`".to_owned())
                .cured_by("use method = \"command\" in [restart]"),
            (_, "not-found") => {
                missing(format!("there is no service {service}")).cured_by(format!(
                    "install its unit, /etc/systemd/system/{unit}, and run: systemctl daemon-reload"
                ))
            }
            (_, "masked") => missing(format!("the service {service} is masked"))
                .cured_by(format!("systemctl unmask {unit}")),
            (_, "loaded") => Finding::ok("service", format!("the service {service} is there")),
            (_, other) => missing(format!("the unit of {service} is not well: {other}"))
                .cured_by(format!("see `systemctl status {unit}` there")),
        }
    }

    /// Whether it may be acted upon by sudo.
    fn sudo(&self) -> Vec<Finding> {
        if self.no_sudo {
            return vec![
                Finding::problem("sudo", "there is no sudo, and [restart] has sudo = true")
                    .because("the restart would fail")
                    .cured_by("install sudo there, or log in as root"),
            ];
        }
        self.may.iter().map(|may| self.granted(may)).collect()
    }

    fn granted(&self, may: &May) -> Finding {
        let (user, command) = (&self.user, &may.command);
        let line = format!(
            "visudo -f /etc/sudoers.d/deploy, and add: {user} ALL=(root) NOPASSWD: {command}"
        );
        let bad = |what: String| match may.verb.as_str() {
            ADVISED => Finding::warning("sudo", what)
                .because("a first deploy that fails could not be taken back whole"),
            _ => Finding::problem("sudo", what).because("the service could not be restarted"),
        };
        if !may.is_allowed {
            return bad(format!("{user} may not run `{command}` by sudo")).cured_by(line);
        }
        if self.rules.needs_password(command) {
            return bad(format!("{user} may run `{command}` by sudo, but only with a password"))
                .cured_by(line);
        }
        Finding::ok("sudo", format!("{user} may run `{command}` by sudo"))
    }
}

impl May {
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.splitn(3, ' ');
        let (verb, allowed) = (words.next()?.to_owned(), words.next()?);
        Some(Self { verb, is_allowed: allowed == "yes", command: words.next()?.to_owned() })
    }
}

impl ServiceRestarter {
    /// What a rollout does to the service.
    fn verbs(&self) -> &'static [&'static str] {
        match &self.options.method {
            Method::Restart(_) => &["restart", ADVISED],
            Method::Reload(_) => &["reload", "start", ADVISED],
            Method::Hup(_) => &["hup", "start", ADVISED],
            Method::HupPidFile(_) => &[],
            Method::Command { service: Some(_), .. } => &[ADVISED],
            Method::Command { service: None, .. } => &[],
        }
    }

    fn judged(&self, rights: &Rights) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(service) = self.options.service() {
            findings.push(rights.unit(service.as_str()));
        }
        if let Some(file) = self.options.pid_file() {
            findings.push(if rights.bad_pid_file {
                Finding::warning("service", format!("{file} does not hold one number above 1"))
                    .because("the process that is to reload is found by it")
                    .cured_by("start the service there")
            } else {
                Finding::ok("service", format!("{file} names a process"))
            });
        }
        if rights.result == "no-manager" {
            return findings;
        }
        findings.extend(rights.sudo());
        let acts =
            matches!(&self.options.method, Method::Restart(_) | Method::Reload(_) | Method::Hup(_));
        if acts && !self.options.sudo && !rights.is_root {
            let user = &rights.user;
            findings.push(
                Finding::warning("sudo", format!("{user} is not root, and [restart] has no sudo"))
                    .because("without a rule of polkit for that user, systemd refuses")
                    .cured_by("set sudo = true in [restart], and grant its lines (docs/health.md)"),
            );
        }
        if rights.no_journal && self.options.service().is_some() {
            let user = &rights.user;
            findings.push(
                Finding::warning("journal", format!("{user} may not read the service's log"))
                    .because("a failed restart would be told without the log lines that say why")
                    .cured_by(format!("usermod -aG systemd-journal {user}")),
            );
        }
        findings
    }
}

#[async_trait]
impl Examiner for ServiceRestarter {
    async fn examine(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError> {
        let script = self.told(Script::new(RIGHTS)).args(self.verbs().iter().copied());
        let script = script.purpose_is("ask what may be done to the service");
        let output = self.sessions.run(target, &script, scope).await?;
        let rights = Rights::parse(&output.stdout.text());
        match rights.result.as_str() {
            "rights" | "no-manager" => Ok(self.judged(&rights)),
            _ => Err(BackendError::new(
                ErrorKind::Rejected,
                format!("ask what may be done to {} on {target}", self.what()),
            )
            .with_source("systemctl does not answer")
            .with_evidence(output.stderr.last_lines(5))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy_core::backend::Grade;

    #[test]
    fn a_missing_unit_and_missing_lines_are_problems_with_the_line_to_add() {
        let rights = Rights::parse(
            "unit systemd not-found inactive\nuser 1000 deploy\n\
             may restart no /usr/bin/systemctl restart a.service\n\
             may stop no /usr/bin/systemctl stop a.service\nresult rights\n",
        );
        assert_eq!(rights.unit("a").grade, Grade::Problem);
        let sudo = rights.sudo();
        assert_eq!(sudo[0].grade, Grade::Problem);
        let cure = sudo[0].cure.as_deref().unwrap();
        assert!(cure.ends_with("deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart a.service"));
        assert_eq!(sudo[1].grade, Grade::Warning);
    }

    #[test]
    fn what_needs_a_password_is_not_allowed() {
        let rights = Rights::parse(
            "unit systemd loaded active\nuser 1000 deploy\n\
             may restart yes /usr/bin/systemctl restart a.service\n\
             rule User deploy may run the following commands on h1:\n\
             rule     (ALL : ALL) ALL\nrule     (root) NOPASSWD: /usr/bin/true\nresult rights\n",
        );
        let sudo = rights.sudo();
        assert!(sudo[0].what.contains("only with a password"), "{sudo:?}");
        assert_eq!(sudo[0].grade, Grade::Problem);
    }
}
