//! The transport over a real sshd, whole and cut off.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;
#[path = "support/sshd.rs"]
mod sshd;

use std::{fs, time::Duration};

use deploy_core::{
    backend::{Closing, ErrorKind, Transport},
    model::Release,
};
use deploy_ssh::{BuildStep, RunProcess, SshTransport, session::Sessions};
use ground::{Ground, scope};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use sshd::{Sshd, one_host, target};

fn ground() -> Ground {
    let mut ground = Ground::new();
    ground.target = target("h1");
    ground
}

fn transport(ground: &Ground, sessions: &Sessions) -> SshTransport {
    let process = RunProcess::current().unwrap();
    SshTransport::new(sessions.clone(), ground.repo(), ground.layout(), process)
}

/// Cuts every connection.
fn cut(sshd: &Sshd) {
    for servant in sshd.servants() {
        let _ = kill(servant, Signal::SIGKILL);
    }
}

#[tokio::test]
async fn versions_go_to_a_host_and_back_over_one_connection() {
    let (sshd, _client, sessions) = one_host("");
    let ground = ground();
    let transport = transport(&ground, &sessions);
    let mut releases: Vec<Release> = Vec::new();
    for name in ["v1", "v2"] {
        ground.write("a.txt", name);
        let version = ground.commit(name);
        releases.push(ground.deploy(&transport, &version, name).await.unwrap());
        assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), name);
    }
    let back = ground.between(Some(&releases[1]), Some(&releases[0]));
    transport.promote(&ground.target, &back, &scope("r3")).await.unwrap();
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "v1");
    assert_eq!(sshd.logins(), 1);
    sessions.close().await;
}

#[tokio::test]
async fn a_fetch_that_is_cut_off_is_done_again_by_the_next() {
    let (sshd, _client, sessions) = one_host("");
    let ground = ground();
    ground.write("a.txt", "one");
    let plain = transport(&ground, &sessions);
    let one = ground.deploy(&plain, &ground.commit("v1"), "r1").await.unwrap();
    ground.shell("head -c 62914560 /dev/urandom > large.bin");
    let v2 = ground.commit("v2");
    let once = ground.srv().join("built once");
    let step = BuildStep {
        name: "build".into(),
        // The first time it hangs until it is cut off; it must not outlive that.
        command: format!("test -e '{0}' || {{ : > '{0}'; sleep 600; }}", once.display()),
        timeout: Duration::from_secs(60),
    };
    let built = transport(&ground, &sessions).build_steps(vec![step]);
    let change = ground.change(&built, Some(&one), Some(&v2));
    let scope = scope("r2");

    // While the objects arrive.
    let packs = ground.cache().join("repo.git/objects/pack");
    let (result, ()) = tokio::join!(built.fetch(&ground.target, &change, &scope), async {
        for _ in 0..5000 {
            let arriving = fs::read_dir(&packs)
                .unwrap()
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("tmp_pack"));
            if arriving {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cut(&sshd);
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(ground.live(&built).await.release(), Some(&one));

    // While it is built.
    let (result, ()) = tokio::join!(built.fetch(&ground.target, &change, &scope), async {
        for _ in 0..30_000 {
            if once.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cut(&sshd);
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Lost);
    let error = built.promote(&ground.target, &change, &scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.cause());

    built.fetch(&ground.target, &change, &scope).await.unwrap();
    built.promote(&ground.target, &change, &scope).await.unwrap();
    let closing = Closing { good: change.to.clone(), back: change.back.clone() };
    built.finalize(&ground.target, &closing, &scope).await.unwrap();
    let live = ground.live(&built).await;
    assert_eq!(live.release(), change.to.as_ref());
    assert!(live.claim.is_none());
    let left: Vec<_> = fs::read_dir(&packs).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("pack-")), "{left:?}");
    sessions.close().await;
}

#[tokio::test]
async fn a_switch_that_is_cut_off_is_waited_for_or_ended_and_never_guessed() {
    let (sshd, _client, sessions) = one_host("");
    let ground = ground();
    let transport = transport(&ground, &sessions);
    // Comparing it before the way back takes long enough to be caught at it.
    ground.write("large.bin", vec![7; 200 << 20]);
    let one = ground.deploy(&transport, &ground.commit("v1"), "r1").await.unwrap();
    ground.write("a.txt", "two");
    let two = ground.deploy(&transport, &ground.commit("v2"), "r2").await.unwrap();
    // By size and time it would take no time at all.
    fs::remove_dir_all(ground.cache().join("indexes")).unwrap();
    let back = ground.between(Some(&two), Some(&one));
    let scope = scope("r3");
    let at_work = ground.cache().join(".at-work");
    let fresh = SshTransport::new(
        sessions.clone(),
        ground.repo(),
        ground.layout(),
        RunProcess::current().unwrap(),
    );
    let (result, group) = tokio::join!(fresh.promote(&ground.target, &back, &scope), async {
        for _ in 0..30_000 {
            let words = fs::read_to_string(&at_work).unwrap_or_default();
            if let [_, group, _, "switch"] = words.split_whitespace().collect::<Vec<_>>()[..] {
                let group = Pid::from_raw(group.parse::<i32>().unwrap());
                killpg(group, Signal::SIGSTOP).unwrap();
                cut(&sshd);
                return group;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("no switch was seen at work");
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Lost);
    let link = fs::read_link(ground.cache().join("live")).unwrap();
    assert!(link.ends_with(two.id.as_str()), "{}", link.display());
    let error = fresh.live(&ground.target, &scope).await.unwrap_err();
    assert!(error.cause().contains("still at work"), "{}", error.cause());
    // Others are told what is live by now.
    assert_eq!(ground.live(&fresh).await.release(), Some(&two));

    fresh.promote(&ground.target, &back, &scope).await.unwrap();
    assert!(killpg(group, None).is_err(), "the one that was cut off is ended");
    assert_eq!(fresh.live(&ground.target, &scope).await.unwrap().release(), Some(&one));
    sessions.close().await;
}
