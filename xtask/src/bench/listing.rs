//! How long it takes to list the versions of a repository that has many.

use std::{
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    bar::{Bar, Unit},
    figure::{Cost, Figure},
};
use crate::{
    console::{TaskError, expect},
    fleet::tool,
};

/// How many versions there are.
const TAGS: usize = 10_000;

/// What is listed, and how it is configured.
const CONFIG: &str = "\
app = \"mockbase\"
[version]
scheme = \"semver\"
[layout]
path = \"/srv/deployment/mockbase/deploy\"
[[group]]
name = \"default\"
hosts = [\"h1\"]
";

/// Lists them `runs` times with `program`; `directory` gets the repository.
pub(super) fn measure(program: &Path, directory: &Path, runs: usize) -> Result<Bar, TaskError> {
    let repository = directory.join("many-tags");
    create(&repository, TAGS)?;
    let list = |_| {
        let mut command = Command::new(program);
        command.args(["versions", "--offline"]).current_dir(&repository);
        command.env("HOME", directory).stdin(Stdio::null());
        let start = std::time::Instant::now();
        let output = command.output().map_err(TaskError::io("run deploy-cli"))?;
        let mut cost = Cost::default();
        cost.set(Figure::Wall, start.elapsed().as_secs_f64());
        expect(&command, output.status.code(), 0)?;
        let listed = String::from_utf8_lossy(&output.stdout);
        let newest = version(TAGS);
        if !listed.contains(&newest) {
            let attempted = format!("find {newest} among the versions");
            return Err(TaskError::Bench { attempted, said: listed.into_owned() });
        }
        Ok(cost)
    };
    let costs: Vec<Cost> = (0..runs).map(list).collect::<Result<_, TaskError>>()?;
    let wall = Cost::median_of(&costs).get(Figure::Wall).unwrap_or(f64::NAN);
    let what = format!("listing {TAGS} version tags");
    Ok(Bar { what, measured: wall, limit: 1.0, unit: Unit::Seconds })
}

/// Makes a repository with `count` commits, each with an annotated tag.
fn create(repository: &Path, count: usize) -> Result<(), TaskError> {
    fs::create_dir_all(repository).map_err(TaskError::io("create a repository"))?;
    let mut init = Command::new("git");
    tool::run(init.args(["init", "--quiet", "--initial-branch=main"]).arg(repository))?;
    let mut import = Command::new("git");
    import.arg("-C").arg(repository).args(["fast-import", "--quiet"]);
    tool::feed(&mut import, &history(count))?;
    let mut checkout = Command::new("git");
    tool::run(checkout.arg("-C").arg(repository).args(["checkout", "--quiet", "main"]))?;
    fs::write(repository.join("deploy.toml"), CONFIG).map_err(TaskError::io("write deploy.toml"))
}

/// The history, as `git fast-import` reads it.
fn history(count: usize) -> String {
    let mut text = String::new();
    for number in 1..=count {
        let name = version(number);
        let who = format!("Bench <bench@localhost> {} +0000", 1_700_000_000 + number * 60);
        let size = name.len();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "commit refs/heads/main\nmark :{number}\ncommitter {who}\ndata {size}\n{name}\n\
             M 644 inline VERSION\ndata {size}\n{name}\n\
             tag {name}\nfrom :{number}\ntagger {who}\ndata {size}\n{name}\n"
        );
    }
    text
}

/// The tag with `number`, from 1.
fn version(number: usize) -> String {
    format!("v{}.{}.{}", number / 1000, number / 10 % 100, number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_that_many_tags() {
        let directory = tempfile::tempdir().unwrap();
        let repository = directory.path().join("r");
        create(&repository, 25).unwrap();
        let mut list = Command::new("git");
        list.arg("-C").arg(&repository).args(["for-each-ref", "--format=%(objecttype) %(refname)"]);
        let listed = tool::run(list.arg("refs/tags")).unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        assert_eq!(listed.lines().count(), 25);
        assert!(listed.lines().all(|line| line.starts_with("tag refs/tags/v")), "{listed}");
    }
}
