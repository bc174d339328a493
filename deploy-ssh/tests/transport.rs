//! The transport on this machine: real git, real sh, the same scripts as over SSH.

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use deploy_core::backend::{Closing, ErrorKind, Standing, Transport};
use deploy_ssh::BuildStep;
use ground::{Ground, git, scope, tree};

#[tokio::test]
async fn a_version_is_brought_promoted_and_remembered() {
    let ground = Ground::new();
    ground.write("bin/run", "#!/bin/sh\n");
    fs::set_permissions(ground.repo().join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    ground.write("a.txt", "one\n");
    std::os::unix::fs::symlink("a.txt", ground.repo().join("link")).unwrap();
    let v1 = ground.commit("v1");
    let transport = ground.transport();

    let fresh = ground.live(&transport).await;
    assert_eq!((fresh.serving, fresh.claim, fresh.lacks), (None, None, vec![]));
    assert!(!ground.cache().exists(), "a question changes nothing");
    let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
    assert_eq!(
        tree(&ground.release(&one)),
        ["./a.txt 444", "./bin 755", "./bin/run 555", "./link -> a.txt"]
    );
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "one\n");

    let live = ground.live(&transport).await;
    let serving = live.serving.clone().unwrap();
    assert_eq!(serving.release, one);
    assert_eq!(serving.release.version.name.as_deref(), Some("v1"));
    assert_eq!(serving.by.as_deref(), Some("ann@desk"));
    assert!(live.is_good(&one) && live.claim.is_none(), "{live:?}");

    ground.write("a.txt", "two\n");
    fs::remove_file(ground.repo().join("link")).unwrap();
    let v2 = ground.commit("v2");
    let two = ground.deploy(&transport, &v2, "r2").await.unwrap();
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "two\n");
    assert!(!ground.path().join("link").exists());
    let live = ground.live(&transport).await;
    assert_eq!(live.release(), Some(&two));
    assert_eq!(live.last_good_not_live(), Some(&one));

    // Every call again: nothing changes, nothing fails.
    let again = ground.between(Some(&one), Some(&two));
    transport.fetch(&ground.target, &again, &scope("r2")).await.unwrap();
    transport.promote(&ground.target, &again, &scope("r2")).await.unwrap();
    let closing = Closing { good: Some(two.clone()), back: Some(one) };
    transport.finalize(&ground.target, &closing, &scope("r2")).await.unwrap();
    transport.finalize(&ground.target, &closing, &scope("r2")).await.unwrap();
    assert_eq!(ground.live(&transport).await.good.len(), 2);
}

#[tokio::test]
async fn promote_is_conditional_and_names_who_changed_it() {
    let ground = Ground::new();
    let versions: Vec<_> = ["v1", "v2", "v3"]
        .map(|name| {
            ground.write("a.txt", name);
            ground.commit(name)
        })
        .into();
    let transport = ground.transport();
    let one = ground.deploy(&transport, &versions[0], "r1").await.unwrap();
    let change = ground.change(&transport, Some(&one), Some(&versions[1]));
    transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap();

    // Somebody else switches behind our back, claim and all.
    let other = ground.change(&transport, Some(&one), Some(&versions[2]));
    transport.fetch(&ground.target, &other, &scope("r2")).await.unwrap();
    transport.promote(&ground.target, &other, &scope("r2")).await.unwrap();
    let error = transport.promote(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("changed meanwhile to \"v3\" by \"ann@desk\""), "{error:?}");
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "v3");
}

#[tokio::test]
async fn going_back_to_nothing_removes_the_link() {
    let ground = Ground::new();
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    let change = ground.change(&transport, None, Some(&v1));
    transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap();
    transport.promote(&ground.target, &change, &scope("r1")).await.unwrap();
    assert!(ground.path().join("a.txt").exists());
    transport.promote(&ground.target, &change.inverse(), &scope("r1")).await.unwrap();
    transport.promote(&ground.target, &change.inverse(), &scope("r1")).await.unwrap();
    assert!(fs::symlink_metadata(ground.path()).is_err());
    transport.finalize(&ground.target, &Closing::default(), &scope("r1")).await.unwrap();
    let live = ground.live(&transport).await;
    assert_eq!((live.serving, live.claim, live.good, live.lacks), (None, None, vec![], vec![]));
}

#[tokio::test]
async fn shared_directories_outlive_releases() {
    let ground = Ground::new();
    ground.write("log/.keep", "");
    ground.write("public/index.html", "hi");
    let v1 = ground.commit("v1");
    let layout = ground.layout().share(["log", "public/up loads"]).unwrap();
    let transport = ground.transport_of(layout);
    ground.deploy(&transport, &v1, "r1").await.unwrap();
    fs::write(ground.path().join("log/app.log"), "x").unwrap();
    fs::write(ground.path().join("public/up loads/cat.png"), "y").unwrap();
    ground.write("public/index.html", "ho");
    let v2 = ground.commit("v2");
    let two = ground.deploy(&transport, &v2, "r2").await.unwrap();
    assert_eq!(fs::read_to_string(ground.path().join("log/app.log")).unwrap(), "x");
    assert_eq!(fs::read_to_string(ground.path().join("public/up loads/cat.png")).unwrap(), "y");
    assert_eq!(fs::read_to_string(ground.path().join("public/index.html")).unwrap(), "ho");
    // The shared links are no damage, not even to a configuration that shares nothing.
    let again = ground.between(Some(&two), Some(&two));
    ground.transport().fetch(&ground.target, &again, &scope("r2")).await.unwrap();
    assert!(fs::symlink_metadata(ground.release(&two).join("log")).unwrap().is_symlink());
    transport.finalize(&ground.target, &Closing::default(), &scope("r2")).await.unwrap();
    let live = ground.live(&transport).await;
    let back = ground.between(Some(&two), live.last_good_not_live());
    ground.transport().promote(&ground.target, &back, &scope("r3")).await.unwrap();
    assert_eq!(fs::read_to_string(ground.path().join("public/index.html")).unwrap(), "hi");
}

#[tokio::test]
async fn build_steps_run_before_a_release_is_complete() {
    let ground = Ground::new();
    ground.write("version.txt", "@VERSION@\n");
    let v1 = ground.commit("v1");
    let step = |command: &str| BuildStep {
        name: "build".into(),
        command: command.into(),
        timeout: Duration::from_secs(20),
    };
    let good = "echo $DEPLOY_VERSION > version.txt.new && mv version.txt.new version.txt \
        && mkdir -p node_modules/x && pwd > node_modules/x/path && test -e .deploy-building";
    let transport = ground.transport().build_steps(vec![step(good)]);
    let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
    let read = |path: &str| fs::read_to_string(ground.path().join(path)).unwrap();
    assert_eq!(read("version.txt"), "v1\n");
    assert_eq!(read("node_modules/x/path").trim(), ground.release(&one).to_str().unwrap());

    // What the build changed is no damage later on; what somebody changed is.
    ground.write("b.txt", "b");
    let v2 = ground.commit("v2");
    let two = ground.deploy(&transport, &v2, "r2").await.unwrap();
    fs::remove_file(ground.release(&one).join("version.txt")).unwrap();
    let back = ground.between(Some(&two), Some(&one));
    let later = ground.transport().build_steps(vec![step(good)]);
    later.promote(&ground.target, &back, &scope("r3")).await.unwrap();
    assert_eq!(read("version.txt"), "v1\n");
    assert!(ground.path().join("node_modules/x/path").exists());
    later.finalize(&ground.target, &Closing::default(), &scope("r3")).await.unwrap();

    let failing = ground.transport().build_steps(vec![step("echo so it is; exit 3")]);
    let change = ground.change(&failing, Some(&one), Some(&v2));
    let error = failing.fetch(&ground.target, &change, &scope("r4")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.evidence().unwrap().contains("so it is"), "{error:?}");
    let error = failing.promote(&ground.target, &change, &scope("r4")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "what is not complete is never promoted");
    assert_eq!(ground.live(&failing).await.release(), Some(&one));
}

#[tokio::test]
async fn a_claim_keeps_other_runs_out_until_it_is_removed() {
    let ground = Ground::new();
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    let change = ground.change(&transport, None, Some(&v1));
    transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap();
    let live = ground.live(&transport).await;
    assert_eq!(live.claim.unwrap().standing, Standing::Foreign);
    let ours = transport.live(&ground.target, &scope("r1")).await.unwrap().claim.unwrap();
    assert_eq!((ours.standing, ours.who.as_str()), (Standing::Ours, "ann@desk"));

    let other = ground.transport();
    for error in [
        other.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err(),
        other.promote(&ground.target, &change, &scope("r2")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Claimed);
        assert!(error.cause().contains("run r1 of \"ann@desk\""), "{}", error.cause());
    }
    // Ending a run that holds nothing takes nothing away from the one that does.
    other.finalize(&ground.target, &Closing::default(), &scope("r2")).await.unwrap();
    let held = other.held(&ground.target, &scope("r2")).await.unwrap().unwrap();
    other.unlock(&ground.target, &held, &scope("r2")).await.unwrap();
    other.unlock(&ground.target, &held, &scope("r2")).await.unwrap();
    assert!(other.held(&ground.target, &scope("r2")).await.unwrap().is_none());
    other.fetch(&ground.target, &change, &scope("r2")).await.unwrap();
    let error = transport.unlock(&ground.target, &held, &scope("r1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Claimed, "another claim than the one that was read");
}

#[tokio::test]
async fn the_claim_of_a_dead_process_is_taken_over() {
    let ground = Ground::new();
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    let mut process = deploy_ssh::RunProcess::current().unwrap();
    process.start_time += 1;
    let sessions = deploy_ssh::session::Sessions::new(Default::default());
    let dead = deploy_ssh::SshTransport::new(sessions, ground.repo(), ground.layout(), process);
    let change = ground.change(&dead, None, Some(&v1));
    dead.fetch(&ground.target, &change, &scope("r1")).await.unwrap();
    let transport = ground.transport();
    let live = transport.live(&ground.target, &scope("r2")).await.unwrap();
    assert_eq!(live.claim.unwrap().standing, Standing::Dead);
    ground.deploy(&transport, &v1, "r2").await.unwrap();
    assert!(ground.live(&transport).await.claim.is_none());
}

#[tokio::test]
async fn old_releases_are_pruned_and_the_way_back_is_not() {
    let ground = Ground::new();
    let transport = ground.transport_of(ground.layout().keep(2));
    let mut releases = Vec::new();
    for n in 0..5 {
        ground.write("a.txt", format!("{n}"));
        let version = ground.commit(&format!("v{n}"));
        releases.push(ground.deploy(&transport, &version, &format!("r{n}")).await.unwrap());
    }
    let marked = |r| ground.release(r).join(".deploy-release").exists();
    let present: Vec<bool> = releases.iter().map(marked).collect();
    assert_eq!(present, [false, false, false, true, true]);
    let left: Vec<bool> = releases.iter().map(|r| ground.release(r).exists()).collect();
    assert_eq!(left, [false, false, true, true, true], "one is left for the next to begin with");
    let live = ground.live(&transport).await;
    assert_eq!(live.good.len(), 5, "what was good is remembered, present or not");
    assert_eq!(live.good.iter().filter(|good| good.present).count(), 2);
    assert_eq!(live.last_good_not_live(), Some(&releases[3]));
    let refs = git(&ground.cache().join("repo.git"), &["for-each-ref"]);
    assert_eq!(refs.lines().count(), 2, "{refs}");

    // A directory that is not ours is left alone.
    fs::create_dir(ground.cache().join("releases/mine")).unwrap();
    fs::write(ground.cache().join("releases/mine/x"), "").unwrap();
    ground.write("a.txt", "new");
    ground.deploy(&transport, &ground.commit("v9"), "r9").await.unwrap();
    assert!(ground.cache().join("releases/mine/x").exists());
    // Brought back after it was pruned.
    let again = ground.change(&transport, None, Some(&releases[0].version));
    transport.fetch(&ground.target, &again, &scope("r10")).await.unwrap();
    let file = ground.release(&releases[0]).join("a.txt");
    assert_eq!(fs::read_to_string(file).unwrap(), "0");
}

#[tokio::test]
async fn many_versions_become_one_pack() {
    let ground = Ground::new();
    let transport = ground.transport_of(ground.layout().keep(1));
    for n in 0..23 {
        ground.write("a.txt", format!("{n}"));
        ground.deploy(&transport, &ground.commit("v"), &format!("r{n}")).await.unwrap();
    }
    let packs = fs::read_dir(ground.cache().join("repo.git/objects/pack")).unwrap();
    let packs = packs.filter(|p| {
        p.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "pack")
    });
    assert!(packs.count() < 20);
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "22");
}
