//! Versions from a real registry.

use std::{fs, sync::Arc};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Changes, Commit, ErrorKind, Listed, Relation, VersionSource},
    model::{Scheme, TimestampTags, Version, VersionId, VersionRef},
};
use deploy_k8s::RegistrySource;
use xtask::Registry;

const NAME: &str = "services/mathoid";

fn source(registry: &Registry) -> RegistrySource {
    let tags = TimestampTags { prefix: String::new(), suffix: "-production".into() };
    let name = format!("{}/{NAME}", registry.host()).parse().unwrap();
    RegistrySource::new(name, Scheme::Timestamp(tags)).unwrap()
}

fn named(name: &str) -> VersionRef {
    VersionRef::Named(name.to_owned())
}

#[tokio::test]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn tags_are_ordered_and_pinned() {
    let registry = Registry::up(false).unwrap();
    let revision = |n| {
        [("org.opencontainers.image.revision", n), ("org.opencontainers.image.title", "Mathoid")]
    };
    let old = registry.push(NAME, "2024-06-09-235959-production", &revision("aaa")).unwrap();
    let new = registry.push(NAME, "2024-06-10-123456-production", &revision("bbb")).unwrap();
    registry.push(NAME, "2024-06-11-000000-test", &[]).unwrap();
    registry.push(NAME, "latest", &[]).unwrap();
    let source = source(&registry);

    let latest = source.resolve(&VersionRef::Latest).await.unwrap();
    assert_eq!(
        (latest.id.as_str(), latest.name.as_deref()),
        (new.as_str(), Some("2024-06-10-123456-production"))
    );
    let listed = source.list(10).await.unwrap();
    let names: Vec<_> = listed.iter().filter_map(|it| it.version.name.as_deref()).collect();
    assert_eq!(names, ["2024-06-10-123456-production", "2024-06-09-235959-production"]);
    assert_eq!(listed[1].version.id.as_str(), old);
    assert_eq!(
        (listed[0].subject.as_str(), listed[0].date.to_string().as_str()),
        ("Mathoid", "2024-06-10T12:34:56Z")
    );

    // By a digest, and by a tag that is not of the scheme.
    let exact = source.resolve(&named(&old)).await.unwrap();
    assert_eq!((exact.id.as_str(), exact.name), (old.as_str(), None));
    assert!(source.resolve(&named("latest")).await.is_ok());
    let error = source.resolve(&named("2024-06-10-123457-production")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().unwrap().contains("2024-06-10-123456-production"), "{:?}", error.hint());
    let gone = format!("sha256:{}", "0".repeat(64));
    assert_eq!(source.resolve(&named(&gone)).await.unwrap_err().kind(), ErrorKind::NotFound);

    // A tag that is moved is another version.
    let moved = registry.push(NAME, "2024-06-10-123456-production", &revision("ccc")).unwrap();
    assert_ne!(moved, new);
    assert_eq!(source.resolve(&VersionRef::Latest).await.unwrap().id.as_str(), moved);
}

/// A source that knows a line of commits, and nothing else.
#[derive(Debug)]
struct Line(Vec<VersionId>);

#[async_trait]
impl VersionSource for Line {
    async fn resolve(&self, wanted: &VersionRef) -> Result<Version, BackendError> {
        Err(BackendError::new(ErrorKind::NotFound, format!("resolve {wanted}")))
    }

    async fn list(&self, _: usize) -> Result<Vec<Listed>, BackendError> {
        Ok(Vec::new())
    }

    async fn changes(&self, from: &Version, to: &Version) -> Result<Changes, BackendError> {
        let at = |id: &VersionId| self.0.iter().position(|it| it == id).unwrap();
        let commit = |id: &VersionId| Commit {
            id: id.clone(),
            author: String::new(),
            subject: String::new(),
        };
        let commits = self.0[at(&from.id) + 1..=at(&to.id)].iter().map(commit).collect();
        Ok(Changes { relation: Relation::Forward, commits })
    }
}

#[tokio::test]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn commits_are_told_by_what_images_carry() {
    let registry = Registry::up(false).unwrap();
    let line: Vec<VersionId> = (1..=3).map(|n| format!("{n:040}").parse().unwrap()).collect();
    let push = |tag: &str, commit: Option<&VersionId>| {
        let label = commit.map(|commit| ("org.opencontainers.image.revision", commit.as_str()));
        let id = registry.push(NAME, tag, label.as_slice()).unwrap().parse().unwrap();
        Version { id, name: Some(tag.to_owned()) }
    };
    let old = push("2024-06-09-000000-production", Some(&line[0]));
    let new = push("2024-06-10-000000-production", Some(&line[2]));
    let bare = push("2024-06-11-000000-production", None);
    let source = source(&registry).with_commits(Arc::new(Line(line)));
    let changes = source.changes(&old, &new).await.unwrap();
    assert_eq!((changes.relation, changes.commits.len()), (Relation::Forward, 2));
    // Where the commits are not known, tags of a scheme tell which is newer.
    assert_eq!(source.changes(&old, &bare).await.unwrap().relation, Relation::Forward);
    assert_eq!(source.changes(&bare, &old).await.unwrap().relation, Relation::Backward);
    let nameless = Version { name: None, ..bare };
    assert_eq!(source.changes(&old, &nameless).await.unwrap().relation, Relation::Unknown);
    assert_eq!(source.changes(&old, &old).await.unwrap().relation, Relation::Same);
}

#[tokio::test]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn a_private_registry_is_asked_with_what_docker_login_keeps() {
    let registry = Registry::up(true).unwrap();
    let host = registry.host();
    let digest = registry.push(NAME, "v1", &[]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let asked = async |config: Option<&str>| {
        let file = place.path().join("config.json");
        let _ = fs::remove_file(&file);
        if let Some(text) = config {
            fs::write(&file, text).unwrap();
        }
        let name = format!("{host}/{NAME}").parse().unwrap();
        let source = RegistrySource::with_docker_config(name, Scheme::Any, file).unwrap();
        source.resolve(&named("v1")).await
    };
    // ann:secret, and ann:wrong.
    let with = |auth: &str| format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    let version = asked(Some(&with("YW5uOnNlY3JldA=="))).await.unwrap();
    assert_eq!(version.id.as_str(), digest);
    let refused = asked(Some(&with("YW5uOndyb25n"))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(!format!("{refused:?}").contains("wrong"), "{refused:?}");
    for nobody in [Some("{}"), None] {
        let refused = asked(nobody).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied);
        assert_eq!(refused.hint(), Some(format!("`docker login {host}`").as_str()));
    }
    let broken = asked(Some("{")).await.unwrap_err();
    assert!(broken.cause().contains("config.json"), "{}", broken.cause());
}
