//! Where the repositories of submodules are.

use std::path::{Component, Path, PathBuf};

use deploy_core::backend::{BackendError, ErrorKind};

use crate::git::{command::Git, oid::Oid};

/// A commit of another repository at a path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gitlink {
    pub path: Vec<u8>,
    pub commit: Oid,
}

/// Finds the local repository that has the commit of `link`, a submodule of `parent` at `at`.
///
/// # Errors
/// `Rejected` when no local repository has it, with the command that brings it.
pub(super) async fn repository(
    parent: &Git,
    at: &Oid,
    link: &Gitlink,
) -> Result<Git, BackendError> {
    let shown = String::from_utf8_lossy(&link.path).into_owned();
    let attempted = format!("find the submodule {shown:?}");
    let mut places = Vec::new();
    let name = name_of(parent, at, &shown, &attempted).await?;
    for of in ["--git-dir", "--git-common-dir"] {
        let dir = parent.dir().join(parent.line(&attempted, &["rev-parse", of]).await?);
        places.extend(name.as_deref().map(|name| dir.join("modules").join(name)));
    }
    // A submodule from before `git submodule absorbgitdirs` has its repository in its files.
    if let Ok(top) = parent.line(&attempted, &["rev-parse", "--show-toplevel"]).await {
        places.push(PathBuf::from(top).join(&shown).join(".git"));
    }
    let object = format!("{}^{{commit}}", link.commit);
    for place in places.into_iter().filter(|place| place.is_dir()) {
        let repository = Git::bare(place);
        let found = repository.ask(&attempted, &["cat-file", "-e", &object]).await;
        if found.is_ok_and(|answer| answer.ok) {
            return Ok(repository);
        }
    }
    Err(BackendError::new(ErrorKind::Rejected, attempted)
        .with_source(format!("its commit {} is not in this checkout", link.commit.short()))
        .with_hint("git submodule update --init --recursive"))
}

/// The name of the submodule at `path`, by `.gitmodules` of the commit `at`.
async fn name_of(
    parent: &Git,
    at: &Oid,
    path: &str,
    attempted: &str,
) -> Result<Option<String>, BackendError> {
    let blob = format!("{at}:.gitmodules");
    let args = ["config", "-z", "--blob", &blob, "--get-regexp", r"^submodule\..*\.path$"];
    let answer = parent.ask(attempted, &args).await?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let name = text.split('\0').find_map(|entry| {
        let (key, value) = entry.split_once('\n')?;
        let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
        (value.trim_end_matches('/') == path).then(|| name.to_owned())
    });
    Ok(name.filter(|name| stays_inside(Path::new(name))))
}

/// Whether a name from a repository leads to no other place than below where it is put.
fn stays_inside(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submodules_name_cannot_lead_elsewhere() {
        for bad in ["", "..", "../x", "a/../../b", "/etc"] {
            assert!(!stays_inside(Path::new(bad)), "{bad:?}");
        }
        assert!(stays_inside(Path::new("libs/a b")));
    }
}
