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
#[command(after_help = "\
Examples:
  deploy-cli init")]
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
    ui.prose(&format!("wrote {}", crate::display::line(&path.display().to_string())));
    ui.prose("next:");
    ui.prose("  1. name your hosts under [[group]], and the path and service on them");
    ui.prose(
        "  2. prepare each host once: a user to log in as, who owns the directory above the path, \
         and the exact sudo line for the restart",
    );
    ui.prose("  3. commit and push deploy.toml");
    ui.prose("  4. deploy-cli tag      makes and pushes the first version tag");
    ui.prose("  5. deploy-cli doctor   says what would stop a deploy, here and on each host");
    ui.prose("  6. deploy-cli plan     asks the hosts, and shows what a deploy would do");
    ui.prose(
        "  7. deploy-cli deploy   which marks each success by a tag deploy/ENV/RUN, and pushes it",
    );
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

const TEMPLATE: &str = r#"# How @APP@ is deployed. `deploy-cli config` shows what holds, and where each value comes from.
app = "@APP@"

# How versions come onto hosts: push sends the files of the commit. Others: pull (each host fetches
# it from an URL), archive (a command here builds what is sent, and hosts need no git).
fetch = "push"

# What can be deployed. Schemes: date (release/2015-06-10/1), semver (v1.4.2), or any.
[version]
scheme = "@SCHEME@"
prefix = "@PREFIX@"
# What is deployed must be on this branch of the remote.
branch = @BRANCH@

# Host names, ports, keys and jump hosts come from ~/.ssh/config, as with ssh.
[ssh]
# user = "deploy"

# The path that the service knows: a symlink to the live release. Releases lie beside it.
[layout]
path = "/srv/deployment/@APP@/deploy"
# Good releases that are kept on each host.
keep = 5
# Directories that outlive a release:
# shared = ["log"]

# With sudo = true the login user needs this exact line in sudoers, and no more:
#   deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart @APP@.service
# Other methods: reload, hup, command.
[restart]
service = "@APP@"
method = "restart"
sudo = true

# The first group proves a version for the others: a failure there stops the run.
[[group]]
name = "canary"
hosts = ["host1.example.org"]
# Ask before the next group.
pause = "ask"

# Then the rest: so many at once, and so many may fail, or be out of reach. Percents of hosts are
# rounded down: 10% of fewer than 10 hosts is none; write a number, such as 1, to allow some.
# Or hosts_file = "targets", one host a line.
[[group]]
name = "default"
hosts = ["host[2-4].example.org"]
batch = "25%"
max_failures = "10%"

# After the restart: does the service stay up?
[[check]]
name = "up"
service = "@APP@"
stay_up = "3s"

# Does it answer?
# [[check]]
# name = "answers"
# http = "http://localhost:8080/healthz"
# status = 200
# timeout = "60s"

# Steps of your own. Stages: fetch (builds the release), before-promote, after-check.
# [[step]]
# name = "install"
# stage = "fetch"
# command = "npm ci"
# timeout = "5m"

# `deploy-cli --env beta …` overlays what stands above.
# [environment.beta]
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
