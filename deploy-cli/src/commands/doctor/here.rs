//! What is examined of this machine: the state directory, the lock, the configuration.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use deploy_core::{
    backend::{Finding, Lock},
    model::{Group, VersionRef},
};
use deploy_ssh::GitSource;
use nix::unistd::{AccessFlags, access};

use crate::{
    context::{Context, Project},
    error::CommandError,
    report::quoted,
    state::describe_holder,
    who,
    wire::{self, Wired},
};

/// The state directory and the lock. Makes neither.
pub(super) async fn state(context: &Context, project: &Project) -> Vec<Finding> {
    let mut findings = vec![writable(project.state.path())];
    if who::in_ci() && project.loaded.config.state_dir.is_none() {
        findings.push(
            Finding::warning("state", "lock and journals live in this clone only")
                .because("other jobs are not kept out, and a fresh clone has no history")
                .cured_by("set state_dir (docs/ci.md)"),
        );
    }
    let held = match wire::lock(project, context.run_id()) {
        Ok(lock) => lock.holder().await,
        Err(error) => {
            findings.push(of_error("lock", &error));
            return findings;
        }
    };
    findings.push(match held {
        Ok(None) => Finding::ok("lock", "nobody holds the lock"),
        Ok(Some(holder)) => {
            let unlock = format!("deploy-cli unlock{}", project.options);
            let cure = match &holder.run {
                Some(_) => "wait for that run, or interrupt it where it runs".to_owned(),
                None => format!("{unlock}, when it is not needed any more"),
            };
            Finding::problem("lock", format!("locked by {}", describe_holder(&holder)))
                .because("a deploy would be refused with exit code 5")
                .cured_by(cure)
        }
        Err(error) => {
            Finding::of_error("lock", &error).because("no run can begin without the lock")
        }
    });
    findings
}

/// Whether runs can be kept in `path`, which may be made only by the first of them.
fn writable(path: &Path) -> Finding {
    let why = "it holds the lock and the journals";
    let ours = AccessFlags::W_OK | AccessFlags::X_OK;
    let parts = [(path.join("runs"), ours), (path.join("lock"), AccessFlags::W_OK)];
    let existing = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    let existing = existing.unwrap_or(Path::new("/")).to_owned();
    let parts = parts.into_iter().filter(|(part, _)| part.symlink_metadata().is_ok());
    for (part, how) in [(existing, ours)].into_iter().chain(parts) {
        if let Err(error) = access(&part, how) {
            let shown = part.display();
            return Finding::problem("state", format!("{shown} is not writable: {error}"))
                .because(why)
                .cured_by(format!(
                    "ls -ld {}; make it yours, or set state_dir",
                    quoted(&shown.to_string())
                ));
        }
    }
    Finding::ok("state", format!("{} is writable", path.display()))
}

/// What a deploy would ask of the configuration beyond what was read.
pub(super) fn configuration(project: &Project, wired: &Wired, groups: &[Group]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = wire::require_variables(&project.loaded) {
        findings.push(of_error("configuration", &error).because("a deploy would be refused"));
    }
    if let Some(error) = wired.unrendered() {
        let why = "templates cannot be rendered, so a deploy would be refused";
        findings.push(of_error("templates", &error).because(why));
    }
    for told in wire::shared_hosts(groups) {
        findings.push(
            Finding::warning("configuration", told)
                .because("it is deployed once, with the first group")
                .cured_by("name it in one group only"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok("configuration", "the configuration can be used"));
    }
    findings
}

/// The program that brings charts into clusters.
pub(super) async fn helm(project: &Project) -> Option<Finding> {
    let section = project.loaded.config.helm.as_ref()?;
    let program = match &section.helmfile {
        Some(_) => PathBuf::from("helmfile"),
        None => wire::helm_program(&project.loaded, section),
    };
    let mut command = tokio::process::Command::new(&program);
    let ran = command.arg("version").stdin(Stdio::null()).output().await;
    let shown = program.display();
    Some(match ran {
        Ok(ran) if ran.status.success() => Finding::ok("helm", format!("{shown} is here")),
        Ok(ran) => Finding::problem("helm", format!("{shown} does not run: {}", ran.status))
            .because("a deploy to clusters would fail"),
        Err(error) => Finding::problem("helm", format!("run {shown}: {error}"))
            .because("a deploy to clusters would fail")
            .cured_by("install it, or name it as `program` in [helm]"),
    })
}

/// Renders the templates of what would be deployed: the newest version, or the last commit where
/// there is none. From then on the hosts are asked for the secrets that these write.
pub(super) async fn templates(
    project: &Project,
    wired: &Wired,
    groups: &[Group],
) -> Option<Finding> {
    if project.loaded.config.template.is_empty() || wired.unrendered().is_some() {
        return None;
    }
    let source = wire::lenient_source(project).ok()?;
    let version = match source.resolve(&VersionRef::Latest).await {
        Ok(version) => version,
        // That there is none is told of the repository.
        Err(_) => source.resolve(&VersionRef::Named("HEAD".to_owned())).await.ok()?,
    };
    Some(match wired.render(&version, groups).await {
        Ok(()) => Finding::ok("templates", format!("those of {version} can be rendered")),
        Err(error) => of_error("templates", &error).because("a deploy of it would be refused"),
    })
}

/// Whether versions can be had: from the repository, or from the registry where they are an image's tags.
pub(super) async fn versions(project: &Project, repository: &GitSource) -> Vec<Finding> {
    if wire::is_of_repository(&project.loaded) {
        return repository.examine().await;
    }
    let listed = match wire::source(project, false) {
        Ok(registry) => registry.list(1).await,
        Err(error) => Err(error),
    };
    let why = "versions are the tags of the image";
    vec![match listed {
        Ok(listed) => match listed.first() {
            Some(newest) => Finding::ok(
                "image",
                format!("the registry answers; the newest version is {}", newest.version),
            ),
            None => Finding::warning("image", "no tag of the image is a version")
                .because("`latest` means nothing")
                .cured_by("push an image whose tag is as [version] says"),
        },
        Err(error) => Finding::of_error("image", &error).because(why),
    }]
}

/// An error with all its causes as a problem, with its hints as cure.
pub(super) fn of_error(about: &'static str, error: &CommandError) -> Finding {
    let finding = Finding::problem(about, error.told());
    match error.hints() {
        [] => finding,
        hints => finding.cured_by(hints.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use deploy_core::backend::Grade;

    use super::*;

    #[test]
    fn what_is_not_made_yet_is_judged_by_what_is_above_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/c");
        assert_eq!(writable(&path).grade, Grade::Ok);
        assert!(!directory.path().join("a").exists());
        // To root, all is writable; a device of the kernel's is not.
        assert_eq!(writable(Path::new("/proc/1/deploy")).grade, Grade::Problem);
    }
}
