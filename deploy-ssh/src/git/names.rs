//! What a person typed, found in a repository.

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::Version,
};

use super::{Git, GitOptions, Oid, version};

/// How many names are suggested.
const SUGGESTIONS: usize = 3;
/// Among how many names the nearest are looked for.
const CANDIDATES: usize = 20_000;

/// Finds `name` as a tag, a branch, a branch of the remote, or else as whatever git takes for a
/// commit. Inert whatever it holds: it only ever stands behind `refs/…/` or `--end-of-options`.
pub(super) async fn find(
    git: &Git,
    options: &GitOptions,
    name: &str,
) -> Result<Option<Version>, BackendError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Ok(None);
    }
    let remote = format!("refs/remotes/{}/{name}", options.remote);
    let places = [format!("refs/tags/{name}"), format!("refs/heads/{name}"), remote];
    for place in places {
        if !is_ref(git, &place).await? {
            continue;
        }
        return match commit(git, &place).await? {
            Some(found) => Ok(Some(version(&found, Some(name.to_owned()))?)),
            None => Err(BackendError::new(ErrorKind::Rejected, format!("resolve {name:?}"))
                .with_source("it names something that is not a commit")),
        };
    }
    let Some(found) = commit(git, name).await? else { return Ok(None) };
    let tag = tag_of(git, options, &found).await?;
    Ok(Some(version(&found, tag)?))
}

async fn is_ref(git: &Git, place: &str) -> Result<bool, BackendError> {
    // What is no name of a ref is not found either: nothing is parsed here.
    Ok(git.ask("look a name up", &["show-ref", "--verify", "--quiet", "--", place]).await?.ok)
}

/// The commit that `rev` stands for.
pub(super) async fn commit(git: &Git, rev: &str) -> Result<Option<Oid>, BackendError> {
    let peeled = format!("{rev}^{{commit}}");
    let args = ["rev-parse", "--quiet", "--verify", "--end-of-options", &peeled];
    let answer = git.ask("look a commit up", &args).await?;
    if !answer.ok && answer.stderr.contains("not a git repository") {
        answer.require("look a commit up")?;
        return Ok(None);
    }
    Ok(if answer.ok { Oid::from_output(&answer.stdout) } else { None })
}

/// The newest version tag of a commit that was named in another way.
async fn tag_of(
    git: &Git,
    options: &GitOptions,
    commit: &Oid,
) -> Result<Option<String>, BackendError> {
    let points = format!("--points-at={commit}");
    let args = ["for-each-ref", &points, "--format=%(refname)", "refs/tags"];
    let output = git.output("look for a tag", &args).await?;
    let output = String::from_utf8_lossy(&output);
    let names = output
        .lines()
        .filter_map(|line| line.strip_prefix("refs/tags/"))
        .filter(|name| !name.starts_with("deploy/") && options.scheme.matches(name));
    Ok(names.max_by(|a, b| options.scheme.compare(a, b)).map(str::to_owned))
}

/// The tags and branches that look most like `name`.
pub(super) async fn nearest(git: &Git, name: &str) -> Result<Vec<String>, BackendError> {
    let count = format!("--count={CANDIDATES}");
    let args = [
        "for-each-ref",
        "--sort=-creatordate",
        &count,
        "--format=%(refname:lstrip=2)",
        "refs/tags",
        "refs/heads",
    ];
    let output = git.output("look for similar names", &args).await?;
    let output = String::from_utf8_lossy(&output);
    let mut scored: Vec<(f64, &str)> = output
        .lines()
        .filter(|known| !known.starts_with("deploy/"))
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(scored.into_iter().take(SUGGESTIONS).map(|(_, known)| known.to_owned()).collect())
}
