//! Whether the repository can give versions, and take their tags.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deploy_core::backend::{BackendError, Finding};

use super::{GitSource, admit, command::Git, names, tags};

/// The oldest git that is known to do on the deployer's machine.
const OLDEST: (u32, u32) = (2, 31);
/// How long a remote may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many modified files a finding names.
const NAMED: usize = 3;

impl GitSource {
    /// Whether there is a git on this machine, and whether it is new enough.
    pub async fn examine_git() -> Finding {
        let why = "versions are read from the repository by git";
        let said = match Git::new("/").line("ask git for its version", &["--version"]).await {
            Ok(said) => said,
            Err(error) => return Finding::of_error("git", &error).because(why),
        };
        let mut numbers = said.trim_start_matches("git version ").split('.');
        let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) if (major, minor) < OLDEST => Finding::problem(
                "git",
                format!("{said} is here, {}.{} is needed", OLDEST.0, OLDEST.1),
            )
            .because(why)
            .cured_by("install a newer git"),
            _ => Finding::ok("git", format!("{said} is here")),
        }
    }

    /// Examines the repository: modified files, the remote and its branch, versions, who makes
    /// tags. Asks the remote what it has; fetches nothing and changes nothing; cancel-safe.
    pub async fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let parts = [
            self.examine_files().await,
            self.examine_remote().await,
            self.examine_history().await,
            self.examine_versions().await,
        ];
        for part in parts {
            match part {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(Finding::of_error("repository", &error)),
            }
        }
        findings
    }

    async fn examine_files(&self) -> Result<Vec<Finding>, BackendError> {
        let modified = admit::modified(&self.git).await?;
        if modified.is_empty() {
            return Ok(vec![Finding::ok("repository", "no tracked file is modified")]);
        }
        let named: Vec<String> =
            modified.iter().take(NAMED).map(|path| format!("{path:?}")).collect();
        let more = modified.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Ok(vec![
            Finding::problem(
                "repository",
                format!("tracked files are modified: {}{more}", named.join(", ")),
            )
            .because("only what is committed is deployed, so a deploy is refused")
            .cured_by("git stash, or commit them, or deploy with --allow-dirty"),
        ])
    }

    /// The remote: whether it is there and answers, and whether we know its branch as it is.
    async fn examine_remote(&self) -> Result<Vec<Finding>, BackendError> {
        let remotes = self.git.line("list the remotes", &["remote"]).await?;
        let remote = &self.options.remote;
        if remotes.is_empty() {
            return self.examine_branch(None).await.map(|finding| vec![finding]);
        }
        if !remotes.lines().any(|known| known == remote) {
            return Ok(vec![
                Finding::problem("repository", format!("there is no remote {remote:?}"))
                    .because("a version must be on the remote, so a deploy is refused")
                    .cured_by(format!("git remote add {remote} URL, or set remote in [version]")),
            ]);
        }
        let branch = self.options.branch.as_deref();
        let place =
            branch.map_or_else(|| "HEAD".to_owned(), |branch| format!("refs/heads/{branch}"));
        let args = ["ls-remote", "--quiet", "--", remote, &place];
        let asked = self.git.line("ask the remote", &args);
        let mut findings = Vec::new();
        let told = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(told)) => {
                findings.push(Finding::ok("repository", format!("the remote {remote} answers")));
                Some(told)
            }
            Ok(Err(error)) => {
                findings.push(self.silent(error.evidence().unwrap_or_default()));
                None
            }
            Err(_) => {
                findings.push(self.silent(&format!("no answer within {} s", PATIENCE.as_secs())));
                None
            }
        };
        findings.push(self.examine_branch(told.as_deref()).await?);
        Ok(findings)
    }

    fn silent(&self, said: &str) -> Finding {
        let remote = &self.options.remote;
        Finding::warning("repository", format!("the remote {remote} does not answer"))
            .because("new versions cannot be fetched, and tags not pushed")
            .cured_by(format!("see that `git ls-remote {remote}` works"))
            .detail(said.trim())
    }

    /// The branch that versions must be on. `told`: what the remote says of it, where it was asked.
    async fn examine_branch(&self, told: Option<&str>) -> Result<Finding, BackendError> {
        let Some(branch) = &self.options.branch else {
            return Ok(Finding::ok("repository", "every branch may be deployed"));
        };
        let remote = &self.options.remote;
        let has_remote = !self.git.line("list the remotes", &["remote"]).await?.is_empty();
        let (place, name) = match has_remote {
            true => (format!("refs/remotes/{remote}/{branch}"), format!("{remote}/{branch}")),
            false => (format!("refs/heads/{branch}"), branch.clone()),
        };
        let Some(tip) = names::commit(&self.git, &place).await? else {
            return Ok(Finding::problem(
                "repository",
                format!("the branch {name} is not known here"),
            )
            .because("a version must be on it, so a deploy is refused")
            .cured_by(format!("git fetch {remote}, or set branch in [version]")));
        };
        let there = told.and_then(|told| told.split_whitespace().next());
        Ok(match (told, there) {
            (Some(_), None) => Finding::warning(
                "repository",
                format!("the remote has no branch {branch} any more"),
            )
            .because("what is known of it here is old")
            .cured_by("set branch in [version]"),
            (_, Some(there)) if there != tip.as_str() => {
                Finding::warning("repository", format!("{name} has moved since the last fetch"))
                    .because("`latest` would not be the latest")
                    .cured_by(format!("git fetch --tags {remote}"))
            }
            _ => Finding::ok("repository", format!("the branch {name} is known")),
        })
    }

    async fn examine_history(&self) -> Result<Vec<Finding>, BackendError> {
        let mut findings = Vec::new();
        let shallow = ["rev-parse", "--is-shallow-repository"];
        if self.git.line("look for the history", &shallow).await? == "true" {
            findings.push(
                Finding::warning("repository", "this clone is shallow")
                    .because("it cannot tell whether a version is on its branch, or older than what is live")
                    .cured_by("git fetch --unshallow --tags"),
            );
        }
        let identity = self.git.ask("ask who makes tags", &["var", "GIT_COMMITTER_IDENT"]).await?;
        findings.push(if identity.ok {
            Finding::ok("repository", "git knows who makes tags")
        } else {
            Finding::warning("repository", "git does not know who makes tags")
                .because("neither `deploy-cli tag` nor the tag of a successful deploy can be made")
                .cured_by("git config user.name NAME && git config user.email ADDRESS")
        });
        let time =
            self.git.ask("read the last commit", &["log", "-1", "--format=%ct", "HEAD"]).await?;
        let time = String::from_utf8_lossy(&time.stdout).trim().parse::<u64>().ok();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        findings.push(if time.is_some_and(|time| time > now + 60) {
            Finding::warning("clock", "by this machine's clock, the last commit lies in the future")
                .because("times in history, locks and certificates would mislead")
                .cured_by("timedatectl set-ntp true")
        } else {
            Finding::ok("clock", "the last commit is not younger than this machine's clock")
        });
        Ok(findings)
    }

    async fn examine_versions(&self) -> Result<Vec<Finding>, BackendError> {
        let newest = tags::list(&self.git, &self.options.scheme, 1).await?;
        Ok(vec![match newest.first() {
            Some(newest) => {
                Finding::ok("repository", format!("the newest version is {}", newest.version))
            }
            None => Finding::warning("repository", "no tag here is a version")
                .because("`latest` means nothing; a commit can be deployed all the same")
                .cured_by("git fetch --tags, or deploy-cli tag"),
        }])
    }
}
