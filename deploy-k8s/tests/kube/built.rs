//! Images that were built of a repository's versions, as a registry tells or does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use deploy_core::{
    backend::ErrorKind,
    model::{Scheme, Target, Version, VersionId},
    testing::Fleet,
};
use deploy_k8s::{BuiltImages, RegistrySource};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    answers::{Answers, Asked},
    scene::scope,
};

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A registry that has one image of the commit under `v1.0.0`, and says what that is as it is told to: with
/// this status, or never (0).
struct Told {
    status: Arc<AtomicU16>,
    images: BuiltImages,
    /// The image.
    image: Version,
}

impl Told {
    fn new() -> Self {
        let label = json!({ "org.opencontainers.image.revision": COMMIT });
        let config = json!({ "config": { "Labels": label } }).to_string();
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let part = json!({ "mediaType": "x", "size": config.len(), "digest": digest(&config) });
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": part, "layers": [] })
                .to_string();
        let image = Version { id: id(&digest(&manifest)), name: Some("v1.0.0".into()) };
        let status = Arc::new(AtomicU16::new(200));
        let (says, known) = (Arc::clone(&status), image.id.clone());
        let server = Answers::new(move |asked: &Asked| {
            let head = format!("200 OK\nDocker-Content-Digest: {known}\n\n");
            match says.load(Ordering::Relaxed) {
                _ if asked.line.starts_with("HEAD") => head,
                0 => String::new(),
                200 if asked.line.contains("/blobs/") => format!("{head}{config}"),
                200 => format!("{head}{manifest}"),
                status => format!("{status} No\n\n"),
            }
        });
        let name = format!("127.0.0.1:{}/mathoid", server.port).parse().unwrap();
        let source = RegistrySource::new(name, Scheme::Any).unwrap();
        let images = BuiltImages::new(source.patience(Duration::from_secs(1)));
        Self { status, images, image }
    }

    fn says(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn id(text: &str) -> VersionId {
    VersionId::new(text).unwrap()
}

fn version() -> Version {
    Version { id: id(COMMIT), name: Some("v1.0.0".into()) }
}

fn target(name: &str) -> Target {
    Target::new(name).unwrap()
}

#[tokio::test]
async fn an_image_that_could_not_be_asked_is_not_taken_for_one_without_a_label() {
    let told = Told::new();
    for (status, kind) in
        [(500, ErrorKind::Unreachable), (403, ErrorKind::Denied), (0, ErrorKind::TimedOut)]
    {
        told.says(status);
        let error = told.images.find(&version(), "v1.0.0").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {}", error.cause());
    }
    // What tells nothing may be anything.
    told.says(404);
    told.images.find(&version(), "v1.0.0").await.unwrap();
    told.says(200);
    told.images.find(&version(), "v1.0.0").await.unwrap();
    let other = Version { id: id("ffff"), ..version() };
    let error = told.images.find(&other, "v1.0.0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_runs_is_told_though_its_commit_cannot_be_asked_and_it_is_asked_again() {
    let told = Told::new();
    let fleet = Fleet::new();
    fleet.install(&target("eqiad"), &told.image);
    let transport = told.images.transport(Arc::new(fleet));
    for status in [500, 403, 0] {
        told.says(status);
        let live = transport.live(&target("eqiad"), &scope("r1")).await.unwrap();
        assert_eq!(live.release().unwrap().version, told.image, "{status}");
        assert_eq!(live.notes.len(), 1, "{:?}", live.notes);
        assert!(live.notes[0].contains("was built is not known: "), "{:?}", live.notes);
    }
    told.says(200);
    let live = transport.live(&target("eqiad"), &scope("r1")).await.unwrap();
    assert_eq!((live.release().unwrap().version.clone(), live.notes), (version(), Vec::new()));
}

#[tokio::test]
async fn an_image_that_is_gone_from_the_registry_is_known_by_the_clusters() {
    let told = Told::new();
    told.says(404);
    let fleet = Fleet::new();
    fleet.install(&target("eqiad"), &told.image);
    let transport = told.images.transport(Arc::new(fleet.clone()));
    assert!(!told.images.recall(&version(), "v1.0.0").unwrap(), "nobody was asked");
    transport.live(&target("eqiad"), &scope("r1")).await.unwrap();
    assert!(!told.images.recall(&version(), "v2.0.0").unwrap());
    assert!(told.images.recall(&version(), "v1.0.0").unwrap());
    let release = transport.release(&target("eqiad"), &version()).unwrap();
    assert_eq!(release.version, version());
    // From now on it is known what it is.
    let live = transport.live(&target("eqiad"), &scope("r1")).await.unwrap();
    assert_eq!(live.good[0].release.version, version());

    let other = Version { id: id(&digest("another")), ..told.image.clone() };
    fleet.install(&target("codfw"), &other);
    transport.live(&target("codfw"), &scope("r1")).await.unwrap();
    let another = Version { id: id("ffff"), ..version() };
    assert!(told.images.recall(&another, "v1.0.0").unwrap(), "the one that nobody has named yet");
}
