//! What an examination found: equal findings of many hosts are told once.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    backend::{Finding, Grade},
    model::Target,
    plan::{Counted, Noun},
    record::Exit,
};

use super::{escape_json, names};
use crate::{display, ui::Ui};

/// How many details and cures of a group of hosts are shown.
const SHOWN: usize = 5;

/// What an examination found, on this machine and on hosts.
#[derive(Debug, Default)]
pub struct Examination {
    /// What the targets are called.
    pub noun: Noun,
    here: Vec<Finding>,
    hosts: BTreeMap<Target, Vec<Finding>>,
}

/// A finding, with all hosts that it is true of; none for this machine.
struct Told<'a> {
    finding: &'a Finding,
    targets: Vec<Target>,
    cures: Vec<&'a str>,
    details: Vec<(&'a Target, &'a str)>,
}

impl Examination {
    /// Adds what was found on this machine.
    pub fn here(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.here.extend(findings);
    }

    /// Adds what was found on a host.
    pub fn host(&mut self, target: Target, findings: Vec<Finding>) {
        self.hosts.entry(target).or_default().extend(findings);
    }

    /// How the examination ends: 1 when something would stop a deploy, 6 when only a host could
    /// not be asked, else 0.
    pub fn exit(&self) -> Exit {
        match self.all().map(|finding| finding.grade).max() {
            Some(Grade::Problem) => Exit::Refused,
            Some(Grade::Unasked) => Exit::Incomplete,
            Some(Grade::Warning | Grade::Ok) | None => Exit::Complete,
        }
    }

    /// The lines for a person: what is not ok at length, the rest counted, or shown where `ui`
    /// shows more.
    pub fn lines(&self, ui: &Ui) -> Vec<String> {
        let mut lines = Vec::new();
        for (heading, told) in
            [("this machine", self.told_here()), (self.noun.many(), self.told_hosts())]
        {
            let shown = told.iter().filter(|told| ui.verbose || told.finding.grade > Grade::Ok);
            let block: Vec<String> =
                shown.flat_map(|told| told.lines(ui, self.noun.count(self.hosts.len()))).collect();
            if !block.is_empty() {
                lines.push(ui.paint(ui.strong(), heading));
                lines.extend(block);
            }
        }
        lines.push(self.verdict(ui));
        ui.wrap(lines)
    }

    /// The same as values of JSON, one a line, all findings included; the last is the sum.
    pub fn json(&self) -> Vec<String> {
        let told = self.told_here().into_iter().chain(self.told_hosts());
        let mut lines: Vec<String> = told.map(|told| told.json()).collect();
        let sum = serde_json::json!({
            "problems": self.count(Grade::Problem),
            "unasked": self.count(Grade::Unasked),
            "warnings": self.count(Grade::Warning),
            "ok": self.count(Grade::Ok),
            "hosts": self.hosts.len(),
            "exit": self.exit().code(),
        });
        lines.push(sum.to_string());
        lines.iter().map(|line| escape_json(line)).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Finding> {
        self.here.iter().chain(self.hosts.values().flatten())
    }

    /// How many findings of a grade there are; equal ones of many hosts are one.
    fn count(&self, grade: Grade) -> usize {
        let told = self.told_here().into_iter().chain(self.told_hosts());
        told.filter(|told| told.finding.grade == grade).count()
    }

    fn told_here(&self) -> Vec<Told<'_>> {
        let mut told: Vec<Told<'_>> = self
            .here
            .iter()
            .map(|finding| Told {
                finding,
                targets: Vec::new(),
                cures: finding.cure.as_deref().into_iter().collect(),
                details: Vec::new(),
            })
            .collect();
        told.sort_by_key(|told| std::cmp::Reverse(told.finding.grade));
        told
    }

    fn told_hosts(&self) -> Vec<Told<'_>> {
        let mut told: Vec<Told<'_>> = Vec::new();
        let mut places = BTreeMap::new();
        for (target, findings) in &self.hosts {
            for finding in findings {
                let same = (finding.grade, finding.about, &finding.what, &finding.why);
                let place = *places.entry(same).or_insert_with(|| {
                    let (targets, cures, details) = (Vec::new(), Vec::new(), Vec::new());
                    told.push(Told { finding, targets, cures, details });
                    told.len() - 1
                });
                told[place].add(target, finding);
            }
        }
        told.sort_by_key(|told| std::cmp::Reverse(told.finding.grade));
        told
    }

    fn verdict(&self, ui: &Ui) -> String {
        let hosts = self.noun.count(self.hosts.len());
        let bad: Vec<String> = [
            (Grade::Problem, "problem", "problems"),
            (Grade::Unasked, "not asked", "not asked"),
            (Grade::Warning, "warning", "warnings"),
        ]
        .into_iter()
        .map(|(grade, one, many)| (self.count(grade), one, many))
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{number} {}", if number == 1 { one } else { many }))
        .collect();
        let looked_at = self.all().count();
        let fine = self.all().filter(|finding| finding.grade == Grade::Ok).count();
        match (self.exit(), bad.is_empty()) {
            (Exit::Complete, true) => {
                let told = format!("nothing would stop a deploy: {}", well(looked_at));
                ui.paint(ui.good(), &format!("{told} on this machine and {hosts}"))
            }
            (Exit::Complete, false) => {
                format!("nothing would stop a deploy: {}, {}", bad.join(", "), well(fine))
            }
            (exit, _) => {
                let paint = if exit == Exit::Refused { ui.bad() } else { ui.note() };
                ui.paint(paint, &format!("{}, {}", bad.join(", "), well(fine)))
            }
        }
    }
}

fn well(number: usize) -> String {
    match number {
        1 => "1 thing is well".to_owned(),
        many => format!("{many} things are well"),
    }
}

impl<'a> Told<'a> {
    fn add(&mut self, target: &'a Target, finding: &'a Finding) {
        if self.targets.last() != Some(target) {
            self.targets.push(target.clone());
        }
        if let Some(cure) = finding.cure.as_deref().filter(|cure| !self.cures.contains(cure)) {
            self.cures.push(cure);
        }
        self.details.extend(finding.detail.as_deref().map(|detail| (target, detail)));
    }

    fn lines(&self, ui: &Ui, hosts: Counted) -> Vec<String> {
        let finding = self.finding;
        let paint = match finding.grade {
            Grade::Ok => ui.good(),
            Grade::Warning | Grade::Unasked => ui.note(),
            Grade::Problem => ui.bad(),
        };
        let who = match self.targets.len() {
            0 => String::new(),
            all if all == hosts.number() && all > 3 => format!("all {hosts}: "),
            _ => format!("{}: ", names(&self.targets)),
        };
        let grade = ui.paint(paint, &format!("{:<9}", finding.grade.to_string()));
        let mut lines = vec![format!("  {grade}  {who}{}", display::line(&finding.what))];
        if finding.grade == Grade::Ok {
            return lines;
        }
        let mut below = |text: &str| lines.push(format!("             {text}"));
        for (target, detail) in self.details.iter().take(SHOWN) {
            let detail: Vec<&str> = detail.lines().map(str::trim).collect();
            let detail = detail.join("; ");
            let of = if self.targets.len() > 1 { format!("{target}: ") } else { String::new() };
            below(&format!("{of}{}", display::line(&detail)));
        }
        if let Some(detail) = finding.detail.as_deref().filter(|_| self.targets.is_empty()) {
            below(&display::line(detail));
        }
        if let Some(why) = &finding.why {
            below(&format!("why: {}", display::line(why)));
        }
        for cure in self.cures.iter().take(SHOWN) {
            below(&format!("cure: {}", display::line(cure)));
        }
        let more = self.cures.len().max(self.details.len()).saturating_sub(SHOWN);
        if more > 0 {
            below(&format!("and {more} more of the same kind (--json has all)"));
        }
        lines
    }

    fn json(&self) -> String {
        let Finding { grade, about, what, why, .. } = self.finding;
        let details: BTreeMap<&str, &str> =
            self.details.iter().map(|(target, detail)| (target.as_str(), *detail)).collect();
        let hosts: BTreeSet<&str> = self.targets.iter().map(Target::as_str).collect();
        let place = if self.targets.is_empty() { "here" } else { "hosts" };
        serde_json::json!({
            "grade": grade, "about": about, "what": what, "why": why, "cures": self.cures,
            "on": place, "hosts": hosts, "details": details, "detail": self.finding.detail.as_deref().filter(|_| self.targets.is_empty()),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Color;

    fn host(name: &str) -> Target {
        Target::new(name).unwrap()
    }

    #[test]
    fn equal_findings_are_told_once_with_each_cure() {
        let mut examination = Examination::default();
        for name in ["h1", "h2"] {
            let finding = Finding::problem("login", "its host key is not known")
                .cured_by(format!("ssh-keyscan {name}"))
                .detail("\u{1b}[2Jkey");
            examination.host(host(name), vec![Finding::ok("clock", "well"), finding]);
        }
        let lines = examination.lines(&Ui::new(Color::Never, false));
        insta::assert_snapshot!(lines.join("\n"), @r"
        hosts
          problem    h1, h2: its host key is not known
                     h1: \x1b[2Jkey
                     h2: \x1b[2Jkey
                     cure: ssh-keyscan h1
                     cure: ssh-keyscan h2
        1 problem, 2 things are well
        ");
        let json = examination.json();
        assert_eq!(json.len(), 3, "{json:?}");
        let sum: serde_json::Value = serde_json::from_str(&json[2]).unwrap();
        assert_eq!((&sum["problems"], &sum["exit"]), (&1.into(), &1.into()));
        assert!(json.iter().all(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn the_worst_finding_decides_how_it_ends() {
        let with = |findings: Vec<Finding>| {
            let mut examination = Examination::default();
            examination.here([Finding::ok("git", "here")]);
            examination.host(host("h1"), findings);
            examination.exit()
        };
        let silent = || {
            let kind = deploy_core::backend::ErrorKind::Unreachable;
            Finding::of_error("login", &deploy_core::backend::BackendError::new(kind, "connect"))
        };
        assert_eq!((well(1).as_str(), well(2).as_str()), ("1 thing is well", "2 things are well"));
        assert_eq!(with(vec![Finding::warning("clock", "ahead")]), Exit::Complete);
        assert_eq!(with(vec![silent()]), Exit::Incomplete);
        assert_eq!(with(vec![silent(), Finding::problem("sudo", "no")]), Exit::Refused);
    }
}
