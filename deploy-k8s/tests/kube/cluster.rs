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

    // Where several are trusted, the first proves nothing.
    let place = tempfile::tempdir().unwrap();
    let [bundle, file] = ["bundle.crt", "kubeconfig"].map(|name| place.path().join(name));
    let authority = |kube: &xtask::Kube| {
        std::fs::read_to_string(kube.kubeconfig().with_file_name("ca.crt")).unwrap()
    };
    std::fs::write(&bundle, authority(&one.kube) + &authority(&other.kube)).unwrap();
    let text = std::fs::read_to_string(one.kube.kubeconfig()).unwrap();
    let own = one.kube.kubeconfig().with_file_name("ca.crt");
    let text = text.replace(own.to_str().unwrap(), bundle.to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    let mut several = options(&one.kube, "which-one", seen);
    several.kubeconfig = Some(file.clone());
    let error = Cluster::new(several).client(&scope("r1")).await.err().unwrap();
    assert!(error.cause().contains("trusts 2 authorities"), "{}", error.cause());
    let mut by_uid = options(&one.kube, "which-one", identity(&one.kube));
    by_uid.kubeconfig = Some(file);
    assert!(Cluster::new(by_uid).client(&scope("r1")).await.is_ok());
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
