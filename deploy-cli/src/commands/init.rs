//! `init`: the first `deploy.toml`.

use std::{fs::OpenOptions, io::Write};

use clap::Args;
use deploy_core::{
    model::{App, DateTags, SemverTags},
    record::Exit,
};

use crate::{context::Context, error::CommandError, repo::Repo};

/// Write a commented deploy.toml for this repository
#[derive(Debug, Args)]
pub struct InitArgs {}

/// Writes `deploy.toml` at the top of the repository, with what the repository itself says.
pub(crate) fn cmd_init(context: &Context, _: &InitArgs) -> Result<Exit, CommandError> {
    let repo = Repo::find(&context.cwd)?;
    let path = repo.top.join("deploy.toml");
    let text = template(&repo);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let error = CommandError::because(format!("write {}", path.display()), error);
        if exists { error.hint("edit it, or move it away first") } else { error }
    })?;
    let ui = &context.ui;
    ui.line(&format!("wrote {}", crate::display::line(&path.display().to_string())));
    ui.line("next:");
    ui.line("  1. name your hosts under [[group]], and the path and service on them");
    ui.line("  2. commit deploy.toml");
    ui.line("  3. deploy-cli tag      makes and pushes the first version tag");
    ui.line("  4. deploy-cli plan     shows what a deploy would do");
    ui.line("  5. deploy-cli deploy");
    Ok(Exit::Complete)
}

fn template(repo: &Repo) -> String {
    let name = repo.name();
    let app = if App::new(name.as_str()).is_ok() { name } else { "my-app".to_owned() };
    let branch = repo.branch().unwrap_or_else(|| "main".to_owned());
    let branch = toml::Value::String(branch).to_string();
    let (scheme, prefix) = guess_scheme(&repo.tags());
    TEMPLATE
        .replace("@APP@", &app)
        .replace("@BRANCH@", &branch)
        .replace("@SCHEME@", scheme)
        .replace("@PREFIX@", prefix)
}

/// The scheme that the newest tags are of; date tags where there are none yet.
fn guess_scheme(tags: &[String]) -> (&'static str, &'static str) {
    let dates = DateTags { prefix: "release".into() };
    let versions = SemverTags { prefix: "v".into() };
    let plain = SemverTags { prefix: String::new() };
    let count = |matches: &dyn Fn(&str) -> bool| tags.iter().filter(|tag| matches(tag)).count();
    let of = [
        (count(&|tag| dates.parse(tag).is_some()), ("date", "release")),
        (count(&|tag| plain.parse(tag).is_some()), ("semver", "")),
        (count(&|tag| versions.parse(tag).is_some()), ("semver", "v")),
    ];
    of.into_iter()
        .filter(|(found, _)| *found > 0)
        .max_by_key(|(found, _)| *found)
        .map_or(("date", "release"), |(_, scheme)| scheme)
}

const TEMPLATE: &str = r#"# How @APP@ is deployed. `deploy-cli config` shows what holds; docs/configuration.md explains all.

app = "@APP@"

[version]
scheme = "@SCHEME@"           # date (release/2015-06-10/1), semver (v1.4.2), or any
prefix = "@PREFIX@"
branch = @BRANCH@           # what is deployed must be on this branch of the remote

[ssh]
# user = "deploy"           # hosts, ports, keys and jump hosts come from ~/.ssh/config, as with ssh

[layout]
path = "/srv/deployment/@APP@/deploy"   # what the service knows; a symlink to the live release
keep = 5                                # good releases kept on each host
# shared = ["log"]                      # directories that outlive a release

[restart]
service = "@APP@"
sudo = true                 # needs the exact line in sudoers; docs/health.md has it
# method = "restart"        # restart, reload, hup, or command

[[group]]                   # the first group proves a version for the others
name = "canary"
hosts = ["host1.example.org"]
pause = "ask"               # ask before the next group

[[group]]
name = "default"
hosts = ["host[2-4].example.org"]   # or hosts_file = "targets", one host a line
batch = "25%"               # so many at once
max_failures = "10%"        # so many may fail

[[check]]
name = "up"
service = "@APP@"
stay_up = "3s"

# [[check]]
# name = "answers"
# http = "http://localhost:8080/healthz"
# status = 200
# timeout = "60s"

# [[step]]                  # steps of your own
# name = "install"
# stage = "fetch"           # fetch, before-promote, after-check
# command = "npm ci"
# timeout = "5m"

# [environment.beta]        # `deploy-cli --env beta …` overlays what stands above
# group = [{ name = "beta", hosts = ["beta1.example.org"] }]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_what_the_tags_are_of() {
        let tags = |all: &[&str]| all.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        assert_eq!(guess_scheme(&[]), ("date", "release"));
        assert_eq!(guess_scheme(&tags(&["v1.2.3", "v1.3.0", "junk"])), ("semver", "v"));
        assert_eq!(guess_scheme(&tags(&["1.2.3"])), ("semver", ""));
        assert_eq!(guess_scheme(&tags(&["release/2015-06-10/1"])), ("date", "release"));
    }
}
