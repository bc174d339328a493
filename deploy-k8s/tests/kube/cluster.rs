//! Which cluster it is, and what becomes of one that does not answer.

use deploy_core::backend::ErrorKind;
use deploy_k8s::{Cluster, ClusterOptions, Identity};

use super::scene::{Scene, identity, options, scope};

#[tokio::test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn only_the_cluster_that_is_meant_is_spoken_to() {
    let one = Scene::new("which-one");
    let other = Scene::new("which-other");
    let right = one.cluster.client(&scope("r1")).await;
    assert!(right.is_ok(), "{right:?}", right = right.err());

    // The context of one, the identity of the other.
    let mixed = Cluster::new(options(&one.kube, "which-one", identity(&other.kube)));
    let error = mixed.client(&scope("r1")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for part in [identity(&one.kube).to_string(), identity(&other.kube).to_string()] {
        assert!(error.cause().contains(&part), "{}", error.cause());
    }

    // By the certificate authority the same.
    let any = Identity::Authority("0".repeat(64));
    let pinned = |identity| Cluster::new(options(&one.kube, "which-one", identity));
    let seen = pinned(any.clone()).identity(&scope("r1")).await.unwrap();
    assert!(pinned(seen.clone()).client(&scope("r1")).await.is_ok());
    let error = pinned(any).client(&scope("r1")).await.err().unwrap();
    assert!(error.cause().contains(&seen.to_string()), "{}", error.cause());
}

#[tokio::test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_cluster_that_cannot_be_asked_says_why() {
    let scene = Scene::new("why-not");
    let refused = async |options: ClusterOptions| {
        let error = Cluster::new(options).client(&scope("r1")).await.err().unwrap();
        (error.kind(), error.cause(), error.hint().unwrap_or_default().to_owned())
    };
    let known = identity(&scene.kube);

    let mut unknown = options(&scene.kube, "why-not", known.clone());
    unknown.context = "elsewhere".into();
    let (kind, _, hint) = refused(unknown).await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(hint.contains("\"elsewhere\""), "{hint}");

    let stranger = tempfile::NamedTempFile::new().unwrap();
    scene.kube.write_kubeconfig(stranger.path(), "an expired token").unwrap();
    let mut expired = options(&scene.kube, "why-not", known.clone());
    expired.kubeconfig = Some(stranger.path().to_owned());
    let (kind, _, hint) = refused(expired).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert!(hint.contains("expired"), "{hint}");

    scene.kube.kill_api();
    let (kind, cause, _) = refused(options(&scene.kube, "why-not", known.clone())).await;
    assert_eq!(kind, ErrorKind::Unreachable, "{cause}");
    scene.kube.start_api().unwrap();
    scene.kube.freeze_api(true).unwrap();
    let (kind, cause, _) = {
        let mut short = scope("r1");
        short.deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
        let cluster = Cluster::new(options(&scene.kube, "why-not", known));
        let error = cluster.client(&short).await.err().unwrap();
        (error.kind(), error.cause(), ())
    };
    assert_eq!(kind, ErrorKind::TimedOut, "{cause}");
    scene.kube.freeze_api(false).unwrap();
}
