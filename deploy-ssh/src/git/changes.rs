//! What lies between two commits.

use deploy_core::{
    backend::{BackendError, Changes, Commit, Relation},
    model::VersionId,
};

use super::{Git, Oid};

/// The most commits that are listed: more, nobody reads.
const MOST: usize = 500;

/// How `to` stands to `from`, and the commits that arrive (or leave).
pub(super) async fn between(
    git: &Git,
    from: &VersionId,
    to: &VersionId,
) -> Result<Changes, BackendError> {
    let nothing = |relation| Changes { relation, commits: Vec::new() };
    if from == to {
        return Ok(nothing(Relation::Same));
    }
    let (Some(from), Some(to)) = (Oid::of(from), Oid::of(to)) else {
        return Ok(nothing(Relation::Unknown));
    };
    let relation = match relation(git, &from, &to).await {
        Ok(relation) => relation,
        Err(error) if known(git, &from).await? && known(git, &to).await? => return Err(error),
        Err(_) => return Ok(nothing(Relation::Unknown)),
    };
    let range = match relation {
        Relation::Backward => format!("{to}..{from}"),
        _ => format!("{from}..{to}"),
    };
    Ok(Changes { relation, commits: log(git, &range).await? })
}

async fn relation(git: &Git, from: &Oid, to: &Oid) -> Result<Relation, BackendError> {
    Ok(if contains(git, from, to).await? {
        Relation::Forward
    } else if contains(git, to, from).await? {
        Relation::Backward
    } else {
        Relation::Diverged
    })
}

async fn known(git: &Git, commit: &Oid) -> Result<bool, BackendError> {
    let object = format!("{commit}^{{commit}}");
    Ok(git.ask("look a commit up", &["cat-file", "-e", &object]).await?.ok)
}

async fn contains(git: &Git, older: &Oid, newer: &Oid) -> Result<bool, BackendError> {
    let attempted = "compare two commits";
    let args = ["merge-base", "--is-ancestor", older.as_str(), newer.as_str()];
    let answer = git.ask(attempted, &args).await?;
    match answer.code {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        // It could not look: that is no answer.
        _ => answer.require(attempted).map(|_| false),
    }
}

async fn log(git: &Git, range: &str) -> Result<Vec<Commit>, BackendError> {
    let most = format!("--max-count={MOST}");
    let format = "--format=%H%x00%an%x00%s%x00";
    let args = ["log", &most, "--no-show-signature", "--no-color", format, range, "--"];
    let output = git.output("read the log", &args).await?;
    let fields: Vec<&[u8]> = output.split(|b| *b == 0).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(fields
        .chunks_exact(3)
        .filter_map(|record| {
            let id = text(record[0]).trim_start_matches('\n').to_owned();
            let id = VersionId::new(id).ok()?;
            Some(Commit { id, author: text(record[1]), subject: text(record[2]) })
        })
        .collect())
}
