//! One file that is rendered: from where, to where, and who may read it.

use std::fmt;

use deploy_core::model::GroupName;

use crate::layout::{BUILDING, MARK, RENDERED, part_problem};

/// A file of a release that is rendered from a template of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    destination: String,
    mode: Option<Mode>,
    file_group: Option<String>,
    groups: Vec<GroupName>,
}

/// Why a template cannot be used as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {problem}")]
pub struct TemplateError {
    what: &'static str,
    value: String,
    problem: String,
}

impl TemplateError {
    fn new(what: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self { what, value: value.to_owned(), problem: problem.into() }
    }
}

/// Who may read a rendered file. Nobody may write one: a release does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(u16);

impl Mode {
    /// Everybody may read it.
    pub(crate) const PUBLIC: Self = Self(0o444);
    /// Its owner and its group may read it.
    pub(crate) const PRIVATE: Self = Self(0o440);
    const ALL: [u16; 6] = [0o400, 0o440, 0o444, 0o500, 0o550, 0o555];

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = u16::from_str_radix(digits, 8).ok()?;
        Self::ALL.contains(&mode).then_some(Self(mode))
    }

    /// Whether everybody may read it.
    pub(crate) fn is_public(self) -> bool {
        self.0 & 0o004 != 0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Which group of users a file belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileGroup {
    /// That of the login user.
    Own,
    /// This one.
    Named(String),
    /// That of this user.
    OfUser(String),
}

impl fmt::Display for FileGroup {
    /// As the script on a target reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("-"),
            Self::Named(name) => f.write_str(name),
            Self::OfUser(user) => write!(f, "user:{user}"),
        }
    }
}

impl Template {
    /// Renders the file `source` of the repository to `destination` in the release, for all groups.
    ///
    /// # Errors
    /// When one is not a plain relative path, or the destination bears one of our own names.
    pub fn new(
        source: impl Into<String>,
        destination: impl Into<String>,
    ) -> Result<Self, TemplateError> {
        let (source, destination) = (source.into(), destination.into());
        check_relative("template", &source)?;
        check_relative("destination", &destination)?;
        let ours = |part: &str| [MARK, BUILDING, RENDERED, ".git"].contains(&part);
        if destination.split('/').any(ours) {
            return Err(TemplateError::new(
                "destination",
                &destination,
                "has a name that is not free",
            ));
        }
        Ok(Self { source, destination, mode: None, file_group: None, groups: Vec::new() })
    }

    /// Says who may read it, in octal digits: `"0444"`, everybody, unless it writes secrets; then
    /// `"0440"`, its owner and its group. Also `"0400"`, and the same with `5` for what is executed.
    ///
    /// # Errors
    /// For every other mode.
    pub fn mode(mut self, mode: &str) -> Result<Self, TemplateError> {
        let parsed = Mode::parse(mode).ok_or_else(|| {
            let problem = "is none of 0400, 0440, 0444, 0500, 0550 and 0555: nobody may write to \
                           a release";
            TemplateError::new("mode", mode, problem)
        })?;
        self.mode = Some(parsed);
        Ok(self)
    }

    /// Names the group of users that it belongs to. Without this it is that of the service's user
    /// where the file writes secrets, else that of the login user.
    ///
    /// # Errors
    /// When no group can have such a name.
    pub fn file_group(mut self, group: impl Into<String>) -> Result<Self, TemplateError> {
        let group = group.into();
        if !is_account(&group) {
            return Err(TemplateError::new("file group", &group, "is not the name of a group"));
        }
        self.file_group = Some(group);
        Ok(self)
    }

    /// Only the targets of these groups get it; none means all.
    #[must_use]
    pub fn groups(mut self, groups: Vec<GroupName>) -> Self {
        self.groups = groups;
        self
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) fn goes_to(&self, group: Option<&GroupName>) -> bool {
        self.groups.is_empty() || group.is_some_and(|group| self.groups.contains(group))
    }

    /// Who may read the file when it is rendered: with secrets, not everybody.
    ///
    /// # Errors
    /// When everybody was to read secrets.
    pub(super) fn access(
        &self,
        has_secrets: bool,
        service_user: Option<&str>,
    ) -> Result<(Mode, FileGroup), String> {
        let mode = match (self.mode, has_secrets) {
            (Some(mode), true) if mode.is_public() => {
                return Err(format!(
                    "it writes secrets, and everybody could read it with the mode {mode}: give it \
                     0440 or 0400"
                ));
            }
            (Some(mode), _) => mode,
            (None, true) => Mode::PRIVATE,
            (None, false) => Mode::PUBLIC,
        };
        let group = match (&self.file_group, service_user) {
            (Some(group), _) => FileGroup::Named(group.clone()),
            (None, Some(user)) if !mode.is_public() && is_account(user) => {
                FileGroup::OfUser(user.to_owned())
            }
            _ => FileGroup::Own,
        };
        Ok((mode, group))
    }

    pub(super) fn refuse_shared(&self, shared: &[String]) -> Result<(), TemplateError> {
        let to = &self.destination;
        let meets = |directory: &&String| contains(directory, to) || contains(to, directory);
        match shared.iter().find(meets) {
            None => Ok(()),
            Some(directory) => {
                let problem =
                    format!("meets the shared directory {directory:?}, which outlives the release");
                Err(TemplateError::new("destination", to, problem))
            }
        }
    }
}

/// Refuses files that several targets of a kind would get twice.
pub(super) fn refuse_clashes(files: &[Template]) -> Result<(), TemplateError> {
    for (number, file) in files.iter().enumerate() {
        let to = &file.destination;
        for other in &files[..number] {
            let apart = !other.groups.is_empty()
                && !file.groups.is_empty()
                && !file.groups.iter().any(|group| other.groups.contains(group));
            if apart {
                continue;
            }
            if other.destination == *to {
                return Err(TemplateError::new("destination", to, "is rendered twice"));
            }
            if contains(&other.destination, to) || contains(to, &other.destination) {
                let problem = format!("and {:?} cannot both be files", other.destination);
                return Err(TemplateError::new("destination", to, problem));
            }
        }
    }
    Ok(())
}

pub(super) fn check_secrets_path(path: &str) -> Result<(), TemplateError> {
    let refuse = |problem| Err(TemplateError::new("secrets file", path, problem));
    let Some(rest) = path.strip_prefix('/') else { return refuse("is not absolute") };
    part_problem(rest).map_or(Ok(()), refuse)
}

/// Whether `path` is `directory`, or lies in it.
fn contains(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_relative(what: &'static str, path: &str) -> Result<(), TemplateError> {
    let refuse = |problem| Err(TemplateError::new(what, path, problem));
    if let Some(problem) = part_problem(path) {
        return refuse(problem);
    }
    if path.split('/').any(|part| part.starts_with('-')) {
        return refuse("has a part that begins with a dash");
    }
    if path.starts_with(' ') || path.ends_with(' ') {
        return refuse("begins or ends with a space");
    }
    Ok(())
}

/// Whether a user or a group may be called so.
fn is_account(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-@".contains(&b);
    (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(destination: &str) -> Template {
        Template::new("templates/a.j2", destination).unwrap()
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let bad = [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "-rf",
            "a/-b",
            "a\nb",
            ".git/config",
            ".deploy-release",
            ".deploy-rendered",
            "a ",
            " a",
        ];
        for destination in bad {
            assert!(Template::new("a.j2", destination).is_err(), "{destination:?}");
        }
        assert!(Template::new("../a.j2", "a").is_err());
        assert!(Template::new("/a.j2", "a").is_err());
    }

    #[test]
    fn files_that_meet_are_refused() {
        assert!(refuse_clashes(&[file("a"), file("a")]).is_err());
        assert!(refuse_clashes(&[file("a"), file("a/b")]).is_err());
        assert!(refuse_clashes(&[file("a/b"), file("a")]).is_err());
        refuse_clashes(&[file("a"), file("ab")]).unwrap();
        let group = |name: &str| vec![GroupName::new(name).unwrap()];
        let [canary, rest] = ["canary", "rest"].map(|name| file("a").groups(group(name)));
        refuse_clashes(&[canary.clone(), rest]).unwrap();
        assert!(refuse_clashes(&[canary, file("a")]).is_err());
        let shared = ["log".to_owned()];
        assert!(file("log/a").refuse_shared(&shared).is_err());
        assert!(file("log").refuse_shared(&shared).is_err());
        assert!(file("a").refuse_shared(&["a/b".to_owned()]).is_err());
        file("logs").refuse_shared(&shared).unwrap();
    }

    #[test]
    fn nobody_may_write_and_not_everybody_reads_secrets() {
        for bad in ["", "0644", "0777", "04444", "u+r", "8", "-0444"] {
            assert!(file("a").mode(bad).is_err(), "{bad:?}");
        }
        let public = file("a").mode("444").unwrap();
        assert!(public.access(true, None).unwrap_err().contains("everybody"));
        let told = |file: &Template, secret, user| {
            let (mode, group) = file.access(secret, user).unwrap();
            format!("{mode} {group}")
        };
        assert_eq!(told(&public, false, Some("mockbase")), "0444 -");
        assert_eq!(told(&file("a"), false, None), "0444 -");
        assert_eq!(told(&file("a"), true, None), "0440 -");
        assert_eq!(told(&file("a"), true, Some("mockbase")), "0440 user:mockbase");
        let named = file("a").file_group("www-data").unwrap();
        assert_eq!(told(&named, true, Some("mockbase")), "0440 www-data");
        assert!(file("a").file_group("a b").is_err());
        assert!(file("a").file_group("-R").is_err());
    }

    #[test]
    fn secrets_lie_at_an_absolute_path() {
        for bad in ["", "etc/x", "/etc/../x", "/etc//x", "/etc/x\n"] {
            assert!(check_secrets_path(bad).is_err(), "{bad:?}");
        }
        check_secrets_path("/etc/mockbase/secrets.toml").unwrap();
    }
}
