//! Disks that are full, read-only, or share the blocks of files.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::{
    fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration,
};

use deploy_core::backend::{ErrorKind, Transport};
use deploy_ssh::{ArchiveOptions, FetchMethod};
use ground::{Ground, scope};

/// Puts the files of `app/` into the archive.
const BUILD: &str = "tar -C app -czf \"$DEPLOY_ARCHIVE\" .";

fn archive(command: &str) -> FetchMethod {
    FetchMethod::Archive(ArchiveOptions {
        command: command.to_owned(),
        timeout: Duration::from_secs(60),
    })
}

fn write_anyway(path: &Path, content: &str) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

/// A small file system of its own below the ground, gone with it.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(ground: &Ground, options: &str) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "deploy-test"]);
        Self::by(mount, ground)
    }

    /// One of 400 MB that can share the blocks of files.
    fn xfs(ground: &Ground) -> Self {
        let image = ground.repo().with_file_name("xfs.img");
        fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        let made = Command::new("mkfs.xfs").arg("-q").arg(&image).status();
        assert!(made.expect("needs mkfs.xfs: `cargo xtask test` installs it").success());
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image);
        Self::by(mount, ground)
    }

    fn by(mut mount: Command, ground: &Ground) -> Self {
        let at = ground.srv();
        assert!(mount.arg(&at).status().unwrap().success());
        Self(at)
    }

    fn used(&self) -> u64 {
        // What is not written yet is counted with room to spare.
        assert!(Command::new("sync").arg("-f").arg(&self.0).status().unwrap().success());
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        (stat.blocks() - stat.blocks_free()) * stat.fragment_size()
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(
            Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success()
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
#[ignore = "needs the fleet's rights (root, to mount file systems)"]
async fn a_full_disk_fails_that_target_cleanly() {
    let ground = Ground::new();
    let mount = Mount::new(&ground, "size=8m");
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
    ground.shell("head -c 20971520 /dev/urandom > large.bin");
    let v2 = ground.commit("v2");
    let change = ground.change(&transport, Some(&one), Some(&v2));
    let error = transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.cause(), format!("disk full on {}", ground.srv().display()));
    let live = ground.live(&transport).await;
    assert_eq!(live.release(), Some(&one));
    assert_eq!(live.lacks, Vec::<String>::new(), "what was begun was cleaned up");
    // Once there is room the same call does it.
    mount.remount("size=200m");
    transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap();

    fs::write(ground.srv().join("fill"), vec![1; 1 << 20]).unwrap();
    mount.remount("ro");
    let later = ground.transport();
    let live = later.live(&ground.target, &scope("r2")).await.unwrap();
    assert!(
        live.lacks.iter().any(|lack| lack.contains("is mounted read-only")),
        "{:?}",
        live.lacks
    );
    let error = later.promote(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert!(error.cause().contains("is mounted read-only"), "{}", error.cause());
}

#[tokio::test]
#[ignore = "needs the fleet's rights (root, to mount file systems)"]
async fn unchanged_files_share_their_blocks_on_xfs() {
    let ground = Ground::new();
    let mount = Mount::xfs(&ground);
    ground.shell("head -c 41943040 /dev/urandom > large.bin; echo one > a.txt");
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
    let before = mount.used();
    ground.write("a.txt", "two\n");
    let v2 = ground.commit("v2");
    let two = ground.deploy(&transport, &v2, "r2").await.unwrap();
    let after = mount.used();
    assert!(after.saturating_sub(before) < 10 << 20, "{before} bytes before, {after} after");
    assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "two\n");
    // A write to one changes the other as little as a copy would.
    write_anyway(&ground.release(&two).join("large.bin"), "spoilt");
    let size = fs::metadata(ground.release(&one).join("large.bin")).unwrap().len();
    assert_eq!(size, 41_943_040);
    let details = ground.live(&transport).await.details;
    assert_eq!(details, ["unchanged files share their blocks (xfs)"]);
}

#[tokio::test]
#[ignore = "needs the fleet's rights (root, to mount file systems)"]
async fn a_full_disk_fails_an_archive_cleanly() {
    let ground = Ground::new();
    let srv = ground.srv();
    let _mount = Mount::new(&ground, "size=8m");
    let noise = "head -c 6000000 /dev/urandom > app/large.bin";
    let transport = ground.transport().fetch_by(archive(&format!(
        "{BUILD}; [ $DEPLOY_VERSION = v1 ] || {{ {noise}; tar -C app -czf \"$DEPLOY_ARCHIVE\" .; }}"
    )));
    ground.write("app/a.txt", "one");
    let v1 = ground.commit("v1");
    transport.admit(&v1).await.unwrap();
    let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
    let mut fill = fs::File::create(srv.join("fill")).unwrap();
    fill.write_all(&vec![1; 4 << 20]).unwrap();
    let v2 = ground.commit("v2");
    transport.admit(&v2).await.unwrap();
    let change = ground.change(&transport, Some(&one), Some(&v2));
    let error = transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err();
    let cause = error.cause();
    fs::remove_file(srv.join("fill")).unwrap();
    drop(fill);
    let live = ground.live(&transport).await;
    let again = transport.fetch(&ground.target, &change, &scope("r2")).await;
    let left = fs::read_dir(ground.cache().join("releases")).unwrap().count();
    assert_eq!(cause, format!("disk full on {}", srv.display()));
    assert_eq!((live.release(), live.lacks.join("\n")), (Some(&one), String::new()));
    again.unwrap();
    assert_eq!(left, 2);
}
