//! What the transport does when a target lies, breaks, fills up or is cut off.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use deploy_core::backend::{Closing, ErrorKind, Transport};
use ground::{Ground, scope};

/// A ground with one version deployed.
async fn deployed() -> (Ground, deploy_ssh::SshTransport, deploy_core::model::Release) {
    let ground = Ground::new();
    ground.write("a.txt", "one\n");
    ground.write("dir/b.txt", "b\n");
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
    (ground, transport, one)
}

fn write_anyway(path: &Path, content: &str) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

#[tokio::test]
async fn a_half_release_of_a_crashed_run_is_cleaned_and_never_trusted() {
    let (ground, transport, one) = deployed().await;
    ground.write("a.txt", "two\n");
    let v2 = ground.commit("v2");
    let two = transport.release(&ground.target, &v2).unwrap();
    let change = ground.between(Some(&one), Some(&two));
    // As a crash leaves them: being built, with a forged mark even; of another version; empty.
    for (id, files) in [
        (two.id.as_str(), &[".deploy-building", "a.txt", ".deploy-release", "junk"][..]),
        ("0123456789ab-0123456789ab", &[".deploy-building", "x"]),
        ("0123456789ab-ffffffffffff", &[]),
    ] {
        let dir = ground.cache().join("releases").join(id);
        fs::create_dir(&dir).unwrap();
        let mark = format!(
            "{{\"id\":\"{id}\",\"version\":{{\"id\":\"{}\"}},\"tree\":\"{}\"}}",
            v2.id, v2.id
        );
        files.iter().for_each(|file| fs::write(dir.join(file), &mark).unwrap());
    }
    let error = transport.promote(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.cause());
    transport.finalize(&ground.target, &Closing::default(), &scope("r2")).await.unwrap();

    let later = ground.transport();
    later.fetch(&ground.target, &change, &scope("r3")).await.unwrap();
    assert!(!ground.release(&two).join("junk").exists());
    assert_eq!(fs::read_to_string(ground.release(&two).join("a.txt")).unwrap(), "two\n");
    assert_eq!(fs::read_dir(ground.cache().join("releases")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_corrupt_store_of_objects_heals() {
    let spoil: [fn(&Path); 5] = [
        |repo| fs::remove_dir_all(repo.join("objects")).unwrap(),
        |repo| fs::write(repo.join("HEAD"), "nonsense").unwrap(),
        |repo| {
            for file in fs::read_dir(repo.join("objects/pack")).unwrap() {
                write_anyway(&file.unwrap().path(), "PACKnonsense");
            }
        },
        |repo| {
            for file in fs::read_dir(repo.join("objects/pack")).unwrap() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        },
        |repo| fs::write(repo.join("config"), "[nonsense").unwrap(),
    ];
    for (n, spoil) in spoil.into_iter().enumerate() {
        let (ground, _, one) = deployed().await;
        spoil(&ground.cache().join("repo.git"));
        ground.write("a.txt", "two\n");
        let v2 = ground.commit("v2");
        let transport = ground.transport();
        let two = ground.deploy(&transport, &v2, "r2").await;
        let two = two.unwrap_or_else(|e| panic!("{n}: {e}: {} {:?}", e.cause(), e.evidence()));
        assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "two\n", "{n}");
        // The way back still works: what the new store lacks is brought again.
        let back = ground.between(Some(&two), Some(&one));
        transport.promote(&ground.target, &back, &scope("r3")).await.unwrap();
        assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "one\n", "{n}");
    }
}

#[tokio::test]
async fn a_damaged_release_is_mended_before_it_is_gone_back_to() {
    let (ground, transport, one) = deployed().await;
    ground.write("a.txt", "two\n");
    let two = ground.deploy(&transport, &ground.commit("v2"), "r2").await.unwrap();
    let dir = ground.release(&one);
    write_anyway(&dir.join("a.txt"), "oops\n");
    fs::remove_dir_all(dir.join("dir")).unwrap();
    let back = ground.between(Some(&two), Some(&one));
    ground.transport().promote(&ground.target, &back, &scope("r3")).await.unwrap();
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "one\n");
    assert_eq!(fs::read_to_string(ground.path().join("dir/b.txt")).unwrap(), "b\n");
    assert_eq!(fs::metadata(dir.join("a.txt")).unwrap().permissions().mode() & 0o777, 0o444);
}

#[tokio::test]
async fn a_lying_state_is_refused_with_a_way_out() {
    let (ground, transport, one) = deployed().await;
    let file = ground.cache().join("state.json");
    let truth = fs::read_to_string(&file).unwrap();
    let lies = [
        truth.replace(one.id.as_str(), "../../../../etc"),
        truth.replace(one.id.as_str(), "ffffffffffff-0123456789ab"),
        truth.replace(one.version.id.as_str(), "--upload-pack=touch"),
        "{".repeat(1000),
        "\u{1b}[2J".to_owned(),
        " ".repeat(70_000),
    ];
    for lie in lies {
        fs::write(&file, &lie).unwrap();
        let live = ground.live(&ground.transport()).await;
        assert_eq!(live.good, vec![], "{lie:.60}");
        let told = live.lacks.join("\n");
        assert!(told.contains("state.json") && told.contains("move it away"), "{told}");
        let change = ground.between(Some(&one), Some(&one));
        let blind = ground.transport();
        let error = blind.promote(&ground.target, &change, &scope("r2")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Broken);
    }
    fs::write(&file, truth).unwrap();
    assert!(ground.live(&transport).await.is_good(&one));
    // A listed version without its files is no way back.
    fs::remove_dir_all(ground.release(&one)).unwrap();
    let live = ground.live(&transport).await;
    assert!(!live.good[0].present && live.last_good_not_live().is_none());
}

#[tokio::test]
async fn a_live_path_that_is_not_ours_is_refused_with_a_way_out() {
    let ground = Ground::new();
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    let change = ground.change(&transport, None, Some(&v1));
    type Make = fn(&Path);
    let make: [(Make, &str); 3] = [
        (
            |path| fs::create_dir(path).unwrap(),
            "is a plain directory: `deploy-cli adopt` takes it over",
        ),
        (|path| fs::write(path, "x").unwrap(), "is a file: move it away"),
        (|path| std::os::unix::fs::symlink("/etc", path).unwrap(), "is a link to \"/etc\""),
    ];
    for (make, words) in make {
        make(&ground.path());
        let lacks = ground.live(&ground.transport()).await.lacks;
        assert!(lacks.len() == 1 && lacks[0].contains(words), "{lacks:?}");
        transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap();
        let error = transport.promote(&ground.target, &change, &scope("r1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{}", error.cause());
        let kind = fs::symlink_metadata(ground.path()).unwrap().file_type();
        if kind.is_dir() {
            assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 0, "nothing is put into it");
            fs::remove_dir(ground.path()).unwrap();
        } else {
            fs::remove_file(ground.path()).unwrap();
        }
    }
    std::os::unix::fs::symlink("../../etc", ground.cache().join("live")).unwrap();
    let live = ground.live(&ground.transport()).await;
    assert_eq!(live.serving, None);
    assert!(live.lacks.iter().any(|lack| lack.contains("is not ours")), "{:?}", live.lacks);
}

#[tokio::test]
async fn a_fetch_that_is_stopped_leaves_nothing_that_counts() {
    let (ground, transport, one) = deployed().await;
    ground.write("a.txt", "two\n");
    let v2 = ground.commit("v2");
    let slow = deploy_ssh::BuildStep {
        name: "slow".into(),
        command: "sleep 60".into(),
        timeout: Duration::from_secs(1),
    };
    let slow = ground.transport().build_steps(vec![slow]);
    let change = ground.change(&slow, Some(&one), Some(&v2));
    let error = slow.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{}", error.cause());
    let live = ground.live(&slow).await;
    assert_eq!((live.release(), live.good.len()), (Some(&one), 1));
    slow.finalize(&ground.target, &Closing::default(), &scope("r2")).await.unwrap();
    ground.deploy(&transport, &v2, "r3").await.unwrap();
    assert_eq!(fs::read_dir(ground.cache().join("releases")).unwrap().count(), 2);
}

#[tokio::test]
async fn of_two_runs_that_start_at_once_one_gets_the_target() {
    let ground = Ground::new();
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    for round in 0..5 {
        let (left, right) = (ground.transport(), ground.transport());
        let change = ground.change(&left, None, Some(&v1));
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let (a, b) = (scope(&a), scope(&b));
        let (one, other) = tokio::join!(
            left.fetch(&ground.target, &change, &a),
            right.fetch(&ground.target, &change, &b)
        );
        let errors: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::Claimed, "{}", errors[0].cause());
        for (transport, scope) in [(&left, &a), (&right, &b)] {
            transport.finalize(&ground.target, &Closing::default(), scope).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_large_file_arrives() {
    let ground = Ground::new();
    ground.shell("head -c 314572800 /dev/urandom > large.bin");
    ground.git(&["config", "core.compression", "0"]);
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    ground.deploy(&transport, &v1, "r1").await.unwrap();
    let same = Command::new("cmp")
        .arg(ground.repo().join("large.bin"))
        .arg(ground.path().join("large.bin"))
        .status()
        .unwrap();
    assert!(same.success());
}

#[tokio::test]
async fn going_back_to_nothing_leaves_alone_what_is_not_ours() {
    let (ground, transport, one) = deployed().await;
    fs::remove_file(ground.path()).unwrap();
    fs::write(ground.path(), "somebody else's").unwrap();
    let nothing = ground.between(Some(&one), None);
    transport.promote(&ground.target, &nothing, &scope("r2")).await.unwrap();
    assert_eq!(fs::read_to_string(ground.path()).unwrap(), "somebody else's");
    assert!(!ground.cache().join("live").exists());
}

#[tokio::test]
async fn what_a_run_writes_can_be_read_again_however_long_its_names_are() {
    let (ground, transport, mut live) = deployed().await;
    let scope = |number: usize| {
        let who = "\u{1}".repeat(50_000);
        deploy_core::backend::Scope { who, ..scope(&format!("long-{number}")) }
    };
    for number in 0..33 {
        let mut version = ground.commit(&format!("n{number}"));
        version.name = Some("n".repeat(1024));
        let change = ground.change(&transport, Some(&live), Some(&version));
        let scope = scope(number);
        transport.fetch(&ground.target, &change, &scope).await.unwrap();
        transport.promote(&ground.target, &change, &scope).await.unwrap();
        let closing = Closing { good: change.to.clone(), back: change.back.clone() };
        transport.finalize(&ground.target, &closing, &scope).await.unwrap();
        live = change.to.unwrap();
    }
    let told = ground.live(&ground.transport()).await;
    assert_eq!((told.lacks.join("\n").as_str(), told.claim.is_none()), ("", true));
    assert!(told.is_good(&live) && told.good.len() > 5);
    let mut version = ground.commit("too long");
    version.name = Some("n".repeat(1025));
    let error = transport.release(&ground.target, &version).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
}
