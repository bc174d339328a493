//! What a fetch takes over from releases that are there, and what it does not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;
#[path = "support/sshd.rs"]
mod sshd;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use deploy_core::{
    backend::Transport,
    model::{Release, Version},
};
use deploy_ssh::{RunProcess, SshTransport};
use ground::{Ground, git, scope, tree};

/// A repository whose versions differ in a few of their files.
struct Story {
    ground: Ground,
    versions: Vec<Version>,
}

impl Story {
    fn new(versions: usize) -> Self {
        let ground = Ground::new();
        // What works in a release of the same id, wherever that lies, keeps it from being pruned.
        ground.write("own.txt", ground.srv().display().to_string());
        for n in 0..40 {
            ground.write(&format!("lib/m{}/same {n}.txt", n % 4), format!("{n}\n").repeat(50));
        }
        ground.write("bin/run", "#!/bin/sh\n");
        chmod(&ground.repo().join("bin/run"), 0o755);
        ground.write("log/.keep", "");
        symlink("bin/run", ground.repo().join("start")).unwrap();
        let versions = (0..versions).map(|n| {
            ground.write("a.txt", format!("version {n}\n"));
            ground.write("etc/b c.txt", format!("{n}\n").repeat(n + 1));
            // Directories come and go; a file becomes a link, and a link a directory.
            ground.write(&format!("new {n}/deep/er/x"), "x");
            if n > 0 {
                let old = ground.repo().join(format!("new {}", n - 1));
                fs::remove_dir_all(old).unwrap();
            }
            let odd = ground.repo().join("odd");
            let _ = fs::remove_file(&odd);
            let _ = fs::remove_dir_all(&odd);
            match n % 3 {
                0 => fs::write(&odd, "a file").unwrap(),
                1 => symlink("a.txt", &odd).unwrap(),
                _ => ground.write("odd/inside", "a directory"),
            }
            chmod(&ground.repo().join("a.txt"), if n % 2 == 0 { 0o644 } else { 0o755 });
            ground.commit(&format!("v{n}"))
        });
        let versions = versions.collect();
        Self { ground, versions }
    }

    fn transport(&self, keep: usize) -> SshTransport {
        self.ground.transport_of(self.ground.layout().keep(keep).share(["log"]).unwrap())
    }

    /// Asserts that the release holds what its version does, and nothing else.
    fn is_exact(&self, release: &Release) {
        let commit = release.version.id.as_str();
        let listing = self.ground.git(&["ls-tree", "-r", "-z", commit]);
        let mut wanted = BTreeMap::new();
        for entry in listing.split('\0').filter(|entry| !entry.is_empty()) {
            let (meta, path) = entry.split_once('\t').unwrap();
            let words: Vec<&str> = meta.split(' ').collect();
            if !path.starts_with("log/") {
                wanted.insert(path.to_owned(), (words[0].to_owned(), words[2].to_owned()));
            }
        }
        let dir = self.ground.release(release);
        let mut found = BTreeMap::new();
        for path in files(&dir, "") {
            let file = dir.join(&path);
            let meta = fs::symlink_metadata(&file).unwrap();
            let (mode, content) = if meta.is_symlink() {
                ("120000", fs::read_link(&file).unwrap().display().to_string().into_bytes())
            } else {
                let mode = match meta.permissions().mode() & 0o7777 {
                    0o444 => "100644",
                    0o555 => "100755",
                    other => panic!("{path} has the mode {other:o}"),
                };
                (mode, fs::read(&file).unwrap())
            };
            found.insert(path, (mode.to_owned(), blob(&self.ground, &content)));
        }
        assert_eq!(found.remove("log").map(|(mode, _)| mode).as_deref(), Some("120000"));
        assert_eq!(found, wanted, "{}", release.id);
    }
}

fn blob(ground: &Ground, content: &[u8]) -> String {
    let file = ground.repo().with_file_name("blob");
    fs::write(&file, content).unwrap();
    git(&ground.repo(), &["hash-object", "--no-filters", file.to_str().unwrap()])
}

/// The files and links below `dir`, but for our mark.
fn files(dir: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir.join(name)).unwrap().flatten() {
        let path = format!("{name}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(dir, &format!("{path}/")));
        } else if path != ".deploy-release" {
            found.push(path);
        }
    }
    found
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn overwrite(path: &Path, content: &str) {
    chmod(path, 0o644);
    fs::write(path, content).unwrap();
    chmod(path, 0o444);
}

/// Everything that somebody in a hurry does to the files of a release.
fn tamper(dir: &Path) {
    overwrite(&dir.join("lib/m1/same 1.txt"), "edited, and longer or shorter");
    // As long as it was, and later.
    let same = "7\n".repeat(50).replace('7', "8");
    overwrite(&dir.join("lib/m3/same 7.txt"), &same);
    let file = fs::File::open(dir.join("lib/m3/same 7.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
    fs::remove_file(dir.join("lib/m2/same 2.txt")).unwrap();
    fs::remove_dir_all(dir.join("lib/m0")).unwrap();
    symlink("/etc", dir.join("lib/m0")).unwrap();
    fs::write(dir.join("lib/m1/added.txt"), "added").unwrap();
    fs::create_dir_all(dir.join("added/deep")).unwrap();
    fs::write(dir.join("added/deep/.gitignore"), "*").unwrap();
    chmod(&dir.join("bin/run"), 0o644);
    let _ = fs::remove_file(dir.join("log"));
    symlink("/tmp", dir.join("log")).unwrap();
}

#[tokio::test]
async fn each_version_is_exact_whatever_it_was_made_of() {
    let story = Story::new(7);
    let transport = story.transport(2);
    let mut inodes = Vec::new();
    for (n, version) in story.versions.iter().enumerate() {
        let release = story.ground.deploy(&transport, version, &format!("r{n}")).await.unwrap();
        story.is_exact(&release);
        inodes.push(fs::metadata(story.ground.release(&release)).unwrap().ino());
    }
    // The first to be pruned is v0, by v2; v3 begins with its files, v4 with those of v1, and so on.
    assert_eq!(inodes[3..], inodes[..4], "files of pruned releases are used again");
    let left = fs::read_dir(story.ground.cache().join("releases")).unwrap().count();
    assert_eq!(left, 3, "two that are kept, and one put aside");
    assert_eq!(fs::read_dir(story.ground.cache().join("indexes")).unwrap().count(), 3);
}

#[tokio::test]
async fn what_somebody_did_to_the_live_release_does_not_come_along() {
    for known in ["indexed", "not indexed", "badly indexed"] {
        let story = Story::new(2);
        let transport = story.transport(2);
        let one = story.ground.deploy(&transport, &story.versions[0], "r1").await.unwrap();
        tamper(&story.ground.release(&one));
        let index = story.ground.cache().join("indexes").join(one.id.as_str());
        match known {
            "indexed" => {}
            "not indexed" => fs::remove_file(index).unwrap(),
            _ => overwrite(&index, "nonsense"),
        }
        let two = story.ground.deploy(&transport, &story.versions[1], "r2").await.unwrap();
        story.is_exact(&two);
        // The way back is whole again before it is gone.
        let back = story.ground.between(Some(&two), Some(&one));
        let later = story.transport(2);
        later.promote(&story.ground.target, &back, &scope("r3")).await.unwrap();
        let mended = tree(&story.ground.release(&one));
        assert!(mended.contains(&"./lib/m3/same 7.txt 444".to_owned()), "{known}: {mended:?}");
        for (file, content) in [("m3/same 7.txt", "7\n"), ("m0/same 4.txt", "4\n")] {
            let file = story.ground.path().join("lib").join(file);
            assert_eq!(fs::read_to_string(file).unwrap(), content.repeat(50), "{known}");
        }
    }
}

#[tokio::test]
async fn nothing_stays_of_a_release_that_was_put_aside() {
    type Spoil = fn(&Ground, &Path, &Path);
    let spoil: [Spoil; 4] = [
        |_, release, _| tamper(release),
        // The objects that it was made of are gone from the store.
        |ground, _, _| {
            let store = ground.cache().join("repo.git");
            git(&store, &["-c", "safe.directory=*", "repack", "-a", "-d", "-q"]);
            git(&store, &["-c", "safe.directory=*", "prune", "--expire=now"]);
        },
        |_, _, index| overwrite(index, "nonsense"),
        // A fetch was killed right before it took it.
        |_, release, _| fs::write(release.join(".deploy-building"), "{").unwrap(),
    ];
    for spoil in spoil {
        let story = Story::new(4);
        let transport = story.transport(2);
        let first = story.ground.deploy(&transport, &story.versions[0], "r0").await.unwrap();
        for n in 1..3 {
            let run = format!("r{n}");
            story.ground.deploy(&transport, &story.versions[n], &run).await.unwrap();
        }
        let aside = story.ground.release(&first);
        assert!(aside.join("a.txt").exists() && !aside.join(".deploy-release").exists());
        let live = story.ground.live(&transport).await;
        assert!(live.good.iter().any(|good| good.release == first && !good.present));
        spoil(&story.ground, &aside, &story.ground.cache().join("indexes").join(first.id.as_str()));
        let last = story.ground.deploy(&transport, &story.versions[3], "r3").await.unwrap();
        story.is_exact(&last);
        assert!(!aside.exists(), "it became the new one, or is gone");
    }
}

#[tokio::test]
async fn the_release_that_was_put_aside_can_itself_come_back() {
    let story = Story::new(3);
    let transport = story.transport(2);
    for (n, version) in story.versions.iter().enumerate() {
        story.ground.deploy(&transport, version, &format!("r{n}")).await.unwrap();
    }
    let again = story.ground.deploy(&transport, &story.versions[0], "r3").await.unwrap();
    story.is_exact(&again);
    assert!(story.ground.live(&transport).await.is_good(&again));
}

#[tokio::test]
async fn a_file_counts_as_untouched_by_its_size_and_its_time() {
    let story = Story::new(2);
    let transport = story.transport(2);
    let one = story.ground.deploy(&transport, &story.versions[0], "r1").await.unwrap();
    let two = story.ground.deploy(&transport, &story.versions[1], "r2").await.unwrap();
    let file = story.ground.release(&one).join("lib/m3/same 7.txt");
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    let forged = "8\n".repeat(50);
    overwrite(&file, &forged);
    fs::File::open(&file).unwrap().set_modified(written).unwrap();
    let back = story.ground.between(Some(&two), Some(&one));
    let forth = story.ground.between(Some(&one), Some(&two));
    let promote = async |change| {
        story.transport(2).promote(&story.ground.target, change, &scope("r3")).await.unwrap();
    };
    promote(&back).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), forged, "it was not even read");
    promote(&forth).await;
    fs::remove_dir_all(story.ground.cache().join("indexes")).unwrap();
    promote(&back).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), "7\n".repeat(50), "by content all is seen");
}

#[tokio::test]
async fn what_build_steps_have_left_is_not_put_aside() {
    let story = Story::new(4);
    let step = deploy_ssh::BuildStep {
        name: "build".into(),
        command: "mkdir built && date >built/when && echo built >>a.txt".into(),
        timeout: Duration::from_secs(20),
    };
    let transport = story.transport(1).build_steps(vec![step]);
    for (n, version) in story.versions.iter().enumerate() {
        let release = story.ground.deploy(&transport, version, &format!("r{n}")).await.unwrap();
        let built = fs::read_to_string(story.ground.release(&release).join("a.txt")).unwrap();
        assert_eq!(built, format!("version {n}\nbuilt\n"));
    }
    let left = fs::read_dir(story.ground.cache().join("releases")).unwrap().count();
    assert_eq!(left, 2, "the live one and the way back");
}

/// A directory with busybox's commands, dash as `sh`, and git.
fn busybox(dir: &Path) {
    let list = Command::new("busybox").arg("--list").output();
    let list = list.expect("needs busybox: `cargo xtask test` installs it");
    let which = |name: &str| -> PathBuf {
        let said = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().into()
    };
    for name in String::from_utf8(list.stdout).unwrap().lines() {
        let program = if name == "sh" { which("dash") } else { which("busybox") };
        symlink(program, dir.join(name)).unwrap();
    }
    symlink(which("git"), dir.join("git")).unwrap();
}

#[tokio::test]
async fn busybox_does_all_of_it() {
    let bin = tempfile::tempdir().unwrap();
    busybox(bin.path());
    let (_sshd, _client, sessions) =
        sshd::one_host(&format!("SetEnv PATH={}", bin.path().display()));
    let mut story = Story::new(5);
    story.ground.target = sshd::target("h1");
    let over_ssh = || {
        let layout = story.ground.layout().keep(2).share(["log"]).unwrap();
        let process = RunProcess::current().unwrap();
        SshTransport::new(sessions.clone(), story.ground.repo(), layout, process)
    };
    let transport = over_ssh();
    for (n, version) in story.versions.iter().enumerate() {
        let release = story.ground.deploy(&transport, version, &format!("r{n}")).await.unwrap();
        story.is_exact(&release);
        tamper(&story.ground.release(&release));
    }
    let live = story.ground.live(&transport).await;
    let back = story.ground.between(live.release(), live.last_good_not_live());
    over_ssh().promote(&story.ground.target, &back, &scope("r9")).await.unwrap();
    let file = story.ground.path().join("lib/m3/same 7.txt");
    assert_eq!(fs::read_to_string(file).unwrap(), "7\n".repeat(50));
    sessions.close().await;
}
