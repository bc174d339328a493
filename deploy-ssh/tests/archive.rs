//! Releases that a command builds here, and that are unpacked where there may be no git.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;
#[path = "support/sshd.rs"]
mod sshd;

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use deploy_core::{
    backend::{Closing, ErrorKind, Transport},
    model::{Release, Version},
};
use deploy_ssh::{ArchiveOptions, FetchMethod, RunProcess, SshTransport, session::Sessions};
use ground::{Ground, scope, tree};
use tar::{EntryType, Header};

/// Puts the files of `app/` into the archive, beside what the build itself made.
const BUILD: &str = "mkdir -p app/bin && printf '#!/bin/sh\\necho %s\\n' \"$DEPLOY_VERSION\" > \
    app/bin/run && chmod 755 app/bin/run && tar -C app -czf \"$DEPLOY_ARCHIVE\" .";

fn options(command: &str) -> FetchMethod {
    FetchMethod::Archive(ArchiveOptions {
        command: command.to_owned(),
        timeout: Duration::from_secs(60),
    })
}

/// A transport that keeps its archives below the ground.
fn transport(ground: &Ground, command: &str) -> SshTransport {
    let cache = ground.srv().join("cache");
    fs::create_dir_all(&cache).unwrap();
    ground.transport().fetch_by(options(command)).cache_in(&cache)
}

async fn deploy(
    ground: &Ground,
    transport: &SshTransport,
    version: &Version,
    run: &str,
) -> Release {
    transport.admit(version).await.unwrap();
    ground.deploy(transport, version, run).await.unwrap()
}

fn spoil(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, "spoilt").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

/// Two versions, the second of which is live.
struct Two {
    ground: Ground,
    one: Release,
    two: Release,
}

impl Two {
    async fn deployed() -> Self {
        let ground = Ground::new();
        ground.write("source.c", "not served");
        ground.write("app/a b.txt", "one\n");
        ground.write("app/sub/same\\x2d.txt", "same\n");
        ground.write("app/gone/x", "gone\n");
        symlink("../a b.txt", ground.repo().join("app/sub/link")).unwrap();
        let v1 = ground.commit("v1");
        let first = transport(&ground, BUILD);
        let one = deploy(&ground, &first, &v1, "r1").await;
        ground.write("app/a b.txt", "two\n");
        ground.git(&["rm", "-q", "-r", "app/gone"]);
        let v2 = ground.commit("v2");
        let two = deploy(&ground, &first, &v2, "r2").await;
        Self { ground, one, two }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.ground.path().join(file)).unwrap()
    }
}

#[tokio::test]
async fn an_archive_is_built_brought_and_gone_back_from() {
    let Two { ground, one, two } = Two::deployed().await;
    assert_eq!(
        tree(&ground.release(&one)),
        [
            "./a b.txt 444",
            "./bin 755",
            "./bin/run 555",
            "./gone 755",
            "./gone/x 444",
            "./sub 755",
            "./sub/link -> ../a b.txt",
            "./sub/same\\x2d.txt 444",
        ]
    );
    let files = tree(&ground.release(&two));
    assert!(!files.iter().any(|file| file.contains("gone")), "{files:?}");
    assert!(!ground.cache().join("repo.git").exists(), "git has no part in it");
    let live = ground.live(&ground.transport()).await;
    assert_eq!((live.release(), live.last_good_not_live()), (Some(&two), Some(&one)));

    let back = transport(&ground, BUILD);
    let change = ground.between(Some(&two), Some(&one));
    back.fetch(&ground.target, &change, &scope("r3")).await.unwrap();
    back.promote(&ground.target, &change, &scope("r3")).await.unwrap();
    let run = Command::new(ground.path().join("bin/run")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "v1\n");
}

#[tokio::test]
async fn a_version_is_built_once_and_a_release_is_named_by_its_files() {
    let ground = Ground::new();
    ground.write("app/a.txt", "one\n");
    let v1 = ground.commit("v1");
    let counted = format!("echo built >> '{}'; {BUILD}", ground.srv().join("log").display());
    let id = async |transport: &SshTransport| {
        transport.admit(&v1).await.unwrap();
        transport.release(&ground.target, &v1).unwrap().id
    };
    let built = || fs::read_to_string(ground.srv().join("log")).unwrap().lines().count();
    let first = transport(&ground, &counted);
    let error = first.release(&ground.target, &v1).unwrap_err();
    assert!(error.cause().contains("its archive is not built"), "{}", error.cause());
    let one = id(&first).await;
    assert_eq!(id(&first).await, one);
    assert_eq!((id(&transport(&ground, &counted)).await, built()), (one.clone(), 1));
    // Built again by another command: the same files are the same release, whatever their dates.
    let dated = format!("{BUILD} --mtime=@77");
    assert_eq!(id(&transport(&ground, &dated)).await, one);
    let other = format!("echo more > app/more.txt; {BUILD}");
    assert_ne!(id(&transport(&ground, &other)).await, one);
    let modes = format!("chmod 755 app/a.txt; {BUILD}");
    assert_ne!(id(&transport(&ground, &modes)).await, one);
    assert_ne!(ground.transport().release(&ground.target, &v1).unwrap().id, one);
    // What is not committed has no part in it.
    ground.write("app/a.txt", "edited\n");
    let again = ground.transport().fetch_by(options(&counted));
    assert_eq!((id(&again).await, built()), (one, 2));
}

#[tokio::test]
async fn what_is_on_the_target_is_only_built_upon_as_far_as_it_is_true() {
    let two = Two::deployed().await;
    let ground = &two.ground;
    // Somebody edits the live release: a file, its mode, a link, a directory, something new.
    let dir = ground.release(&two.two);
    spoil(&dir.join("sub/same\\x2d.txt"));
    fs::set_permissions(dir.join("bin/run"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(dir.join("junk\nx"), "junk").unwrap();
    fs::create_dir_all(dir.join("x\n../junk")).unwrap();
    ground.write("app/new.txt", "new\n");
    let v3 = ground.commit("v3");
    let three = deploy(ground, &transport(ground, BUILD), &v3, "r3").await;
    assert_eq!(
        tree(&ground.release(&three)),
        [
            "./a b.txt 444",
            "./bin 755",
            "./bin/run 555",
            "./new.txt 444",
            "./sub 755",
            "./sub/link -> ../a b.txt",
            "./sub/same\\x2d.txt 444",
        ]
    );
    assert_eq!(
        (two.read("sub/same\\x2d.txt"), two.read("a b.txt")),
        ("same\n".into(), "two\n".into())
    );
}

#[tokio::test]
async fn a_damaged_release_is_mended_from_the_archive_that_was_kept() {
    let two = Two::deployed().await;
    let (ground, one) = (&two.ground, &two.one);
    let damages: [fn(&Path); 8] = [
        |dir| spoil(&dir.join("sub/same\\x2d.txt")),
        |dir| fs::remove_dir_all(dir.join("gone")).unwrap(),
        |dir| {
            fs::remove_file(dir.join("sub/link")).unwrap();
            symlink("/etc/passwd", dir.join("sub/link")).unwrap();
        },
        |dir| fs::set_permissions(dir.join("bin/run"), PermissionsExt::from_mode(0o444)).unwrap(),
        |dir| fs::set_permissions(dir.join("a b.txt"), PermissionsExt::from_mode(0o555)).unwrap(),
        |dir| {
            fs::rename(dir.join("sub"), dir.with_file_name("elsewhere")).unwrap();
            symlink(dir.with_file_name("elsewhere"), dir.join("sub")).unwrap();
        },
        |dir| {
            fs::remove_file(dir.join("a b.txt")).unwrap();
            fs::create_dir(dir.join("a b.txt")).unwrap();
        },
        |dir| {
            let manifests = dir.parent().unwrap().with_file_name("manifests");
            spoil(&manifests.join(dir.file_name().unwrap()));
        },
    ];
    let whole = tree(&ground.release(one));
    for (n, damage) in damages.into_iter().enumerate() {
        damage_and_go(ground, &two.two, one, damage, n).await;
        assert_eq!(tree(&ground.release(one)), whole, "{n}");
        // And back to the other, for the next round.
        let change = ground.between(Some(one), Some(&two.two));
        let transport = transport(ground, BUILD);
        transport.promote(&ground.target, &change, &scope("forth")).await.unwrap();
        let _ = fs::remove_dir_all(ground.release(one).with_file_name("elsewhere"));
    }
    assert_eq!(
        fs::read_to_string(ground.release(one).join("sub/same\\x2d.txt")).unwrap(),
        "same\n"
    );

    // Without the archive there is no mending, and nothing is switched.
    spoil(&ground.release(one).join("a b.txt"));
    fs::remove_dir_all(ground.srv().join("cache")).unwrap();
    let change = ground.between(Some(&two.two), Some(one));
    let blind = transport(ground, BUILD);
    let error = blind.promote(&ground.target, &change, &scope("forth")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.cause());
    assert_eq!(error.hint(), Some("deploy the version anew"));
    assert_eq!(two.read("a b.txt"), "two\n");
}

async fn damage_and_go(ground: &Ground, from: &Release, to: &Release, damage: fn(&Path), n: usize) {
    damage(&ground.release(to));
    let change = ground.between(Some(from), Some(to));
    let transport = transport(ground, BUILD);
    let done = transport.promote(&ground.target, &change, &scope("forth")).await;
    done.unwrap_or_else(|e| panic!("{n}: {e}: {} {:?}", e.cause(), e.evidence()));
}

#[tokio::test]
async fn a_command_that_fails_hangs_or_writes_nonsense_touches_no_target() {
    let ground = Ground::new();
    ground.write("app/a.txt", "one");
    let v1 = ground.commit("v1");
    let tar = "tar -cf x.tar app && head -c 700 x.tar > \"$DEPLOY_ARCHIVE\"";
    let whole =
        "tar -cf x.tar app && head -c $(($(wc -c < x.tar) - 8192)) x.tar > \"$DEPLOY_ARCHIVE\"";
    let gzip = "tar -czf x app && head -c $(($(wc -c < x) - 9)) x > \"$DEPLOY_ARCHIVE\"";
    for (command, kind, words) in [
        ("echo why; exit 3", ErrorKind::Rejected, "exit status 3"),
        ("kill -9 $$", ErrorKind::Rejected, "killed by a signal"),
        ("sleep 600 & sleep 600", ErrorKind::TimedOut, "not done within 2s"),
        ("true", ErrorKind::Rejected, "No such file"),
        ("mkdir \"$DEPLOY_ARCHIVE\"", ErrorKind::Rejected, "it is not a file"),
        (": > \"$DEPLOY_ARCHIVE\"", ErrorKind::Rejected, "it is empty"),
        ("echo hello > \"$DEPLOY_ARCHIVE\"", ErrorKind::Rejected, "cannot be read as a tar"),
        ("tar -cf \"$DEPLOY_ARCHIVE\" -T /dev/null", ErrorKind::Rejected, "nothing in it"),
        ("tar -cJf \"$DEPLOY_ARCHIVE\" app", ErrorKind::Rejected, "xz"),
        (tar, ErrorKind::Rejected, "tar"),
        (whole, ErrorKind::Rejected, "it is cut off"),
        (gzip, ErrorKind::Rejected, "cannot be read as a tar"),
    ] {
        let method = FetchMethod::Archive(ArchiveOptions {
            command: command.to_owned(),
            timeout: Duration::from_secs(2),
        });
        let transport = ground.transport().fetch_by(method);
        let error = transport.admit(&v1).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{command}: {}", error.cause());
        assert!(error.cause().contains(words), "{command}: {}", error.cause());
        if command.starts_with("echo why") {
            assert_eq!(error.evidence(), Some("why\n"));
        }
        assert!(transport.release(&ground.target, &v1).is_err());
    }
    assert!(!ground.cache().exists());
}

#[tokio::test]
async fn archives_of_each_kind_arrive() {
    for command in [
        "tar -cf \"$DEPLOY_ARCHIVE\" app",
        "tar -cf - app | gzip > \"$DEPLOY_ARCHIVE\"",
        "tar -cf - app | zstd -q -o \"$DEPLOY_ARCHIVE\"",
        "tar --format=posix -cf \"$DEPLOY_ARCHIVE\" ./app",
        "tar --format=v7 -cf \"$DEPLOY_ARCHIVE\" app/./a.txt app/hard app/run",
    ] {
        let ground = Ground::new();
        ground.write("app/a.txt", "one");
        ground.write("app/run", "run");
        let long = format!("app/{}", "long/".repeat(40));
        ground.write(&format!("{long}x"), "x");
        let v1 = ground.commit("v1");
        let latin = "touch \"app/$(printf 'caf\\351')\"";
        let command = format!("ln app/a.txt app/hard; chmod 755 app/run; {latin}; {command}");
        let told = Arc::new(Mutex::new(Vec::new()));
        let hear = told.clone();
        let transport = transport(&ground, &format!("echo hello; {command}"))
            .tell(Arc::new(move |line: &str| hear.lock().unwrap().push(line.to_owned())));
        deploy(&ground, &transport, &v1, "r1").await;
        for (file, content) in [("a.txt", "one"), ("hard", "one"), ("run", "run")] {
            let path = ground.path().join("app").join(file);
            assert_eq!(fs::read_to_string(&path).unwrap(), content, "{command}");
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if file == "run" { 0o555 } else { 0o444 }, "{command} {file}");
        }
        if !command.contains("v7") {
            assert!(ground.path().join(long).join("x").exists());
            let latin = std::ffi::OsStr::from_bytes(b"app/caf\xe9");
            assert!(ground.path().join(latin).exists(), "{command}");
        }
        let told = told.lock().unwrap();
        assert!(told[0].starts_with("building v1: ") && told[1] == "  | hello", "{told:?}");
    }
}

/// A tar archive of raw entries.
fn archive(entries: &[(&str, EntryType, u32, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, mode, link) in entries {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn hostile_archives_are_refused_here() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let ground = Ground::new();
    ground.write("a.txt", "one");
    let v1 = ground.commit("v1");
    let path = ground.srv().join("hostile.tar");
    let command = format!("cp '{}' \"$DEPLOY_ARCHIVE\"", path.display());
    for (entries, words) in [
        (&[("/etc/passwd", Regular, 0o644, "")][..], "absolute"),
        (&[("../x", Regular, 0o644, "")], "leads out"),
        (&[("a/../../x", Regular, 0o644, "")], "leads out"),
        (&[("a/..", Directory, 0o755, "")], "leads out"),
        (&[("x", Symlink, 0o777, "/etc/passwd")], "leads out"),
        (&[("a/x", Symlink, 0o777, "../../etc")], "leads out"),
        (&[("x", Symlink, 0o777, "y/../..")], "leads through"),
        (&[("x", Symlink, 0o777, "d"), ("x/y", Regular, 0o644, "")], "below what is no directory"),
        (&[("x", Regular, 0o644, ""), ("x/y", Regular, 0o644, "")], "below what is no directory"),
        (&[("x", Regular, 0o644, ""), ("./x", Regular, 0o644, "")], "twice"),
        (&[("x", Link, 0o644, "/etc/passwd")], "absolute"),
        (&[("x", Link, 0o644, "../../x")], "leads out"),
        (&[("x", Link, 0o644, "y")], "hard link"),
        (&[("x", Char, 0o644, "")], "device"),
        (&[("x", Block, 0o644, "")], "device"),
        (&[("x", Fifo, 0o644, "")], "pipe"),
        (&[("x", Regular, 0o4755, "")], "setuid"),
        (&[("x", Regular, 0o2755, "")], "setuid or setgid"),
        (&[("x\ny", Regular, 0o644, "")], "control character"),
        (&[("x\u{1b}[2J", Regular, 0o644, "")], "control character"),
        (&[(".deploy-release", Regular, 0o644, "")], "the tool needs"),
        (&[("./.deploy-building", Regular, 0o644, "")], "the tool needs"),
        (&[("log", Symlink, 0o777, "x")], "shared directory"),
        (&[("log", Regular, 0o644, "")], "shared directory"),
    ] {
        fs::write(&path, archive(entries)).unwrap();
        let transport = ground.transport_of(ground.layout().share(["log/a"]).unwrap());
        let error = transport.fetch_by(options(&command)).admit(&v1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.cause().contains(words), "{words}: {}", error.cause());
    }
    assert!(!ground.cache().exists());
}

#[tokio::test]
async fn shared_directories_are_left_out_of_an_archive() {
    let ground = Ground::new();
    ground.write("app/log/x", "x");
    ground.write("app/data/a", "a");
    ground.write("app/data/up/b", "b");
    let layout = ground.layout().share(["log", "data/up"]).unwrap();
    let transport = ground.transport_of(layout).fetch_by(options(BUILD));
    let one = deploy(&ground, &transport, &ground.commit("v1"), "r1").await;
    fs::write(ground.path().join("log/app.log"), "kept").unwrap();
    ground.write("app/data/a", "aa");
    let two = deploy(&ground, &transport, &ground.commit("v2"), "r2").await;
    assert_eq!(
        tree(&ground.release(&two)),
        [
            "./bin 755",
            "./bin/run 555",
            "./data 755",
            "./data/a 444",
            "./data/up -> ../../../shared/data/up",
            "./log -> ../../shared/log",
        ]
    );
    assert_eq!(fs::read_to_string(ground.path().join("log/app.log")).unwrap(), "kept");
    let back = ground.between(Some(&two), Some(&one));
    ground.transport().promote(&ground.target, &back, &scope("r3")).await.unwrap();
    assert_eq!(fs::read_to_string(ground.path().join("data/a")).unwrap(), "a");
}

#[tokio::test]
async fn git_and_archive_follow_each_other_and_the_way_back_leads_to_either() {
    let ground = Ground::new();
    ground.write("app/a.txt", "one");
    let v1 = ground.commit("v1");
    let git = ground.transport();
    let one = ground.deploy(&git, &v1, "r1").await.unwrap();
    let archives = transport(&ground, BUILD);
    let two = deploy(&ground, &archives, &v1, "r2").await;
    assert_ne!(one, two);
    assert!(ground.path().join("a.txt").exists());
    let back = ground.between(Some(&two), Some(&one));
    archives.fetch(&ground.target, &back, &scope("r3")).await.unwrap();
    archives.promote(&ground.target, &back, &scope("r3")).await.unwrap();
    archives.finalize(&ground.target, &Closing::default(), &scope("r3")).await.unwrap();
    assert!(ground.path().join("app/a.txt").exists());
    let forth = ground.between(Some(&one), Some(&two));
    let git = ground.transport();
    git.fetch(&ground.target, &forth, &scope("r4")).await.unwrap();
    git.promote(&ground.target, &forth, &scope("r4")).await.unwrap();
    assert!(ground.path().join("a.txt").exists());
}

/// A directory with the commands of busybox and nothing else; but dash, since busybox as a shell
/// finds its commands without any directory.
fn busybox(dir: &Path) {
    let list = Command::new("busybox").arg("--list").output();
    let list = list.expect("needs busybox: `cargo xtask test` installs it");
    let which = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    let busybox = String::from_utf8(which.stdout).unwrap();
    for name in String::from_utf8(list.stdout).unwrap().lines() {
        symlink(if name == "sh" { "/bin/dash" } else { busybox.trim() }, dir.join(name)).unwrap();
    }
    assert!(Path::new("/bin/dash").exists(), "needs dash: `cargo xtask test` installs it");
}

#[tokio::test]
async fn a_host_with_busybox_and_without_git_gets_archives() {
    let bin = tempfile::tempdir().unwrap();
    busybox(bin.path());
    // What is asked of it: everything but gzip the second time.
    for has_gzip in [true, false] {
        if !has_gzip {
            fs::remove_file(bin.path().join("gzip")).unwrap();
        }
        let (_sshd, _client, sessions) =
            sshd::one_host(&format!("SetEnv PATH={}", bin.path().display()));
        let mut ground = Ground::new();
        ground.target = sshd::target("h1");
        ground.write("app/a b.txt", "one\n");
        ground.write("app/sub/same.txt", vec![7; 300_000]);
        let v1 = ground.commit("v1");
        let git = over(&ground, &sessions);
        let lacks = ground.live(&git).await.lacks.join("\n");
        assert!(lacks.contains("git: install it"), "{lacks}");
        let transport = over(&ground, &sessions).fetch_by(options(BUILD)).cache_in(&ground.srv());
        let one = deploy(&ground, &transport, &v1, "r1").await;
        ground.write("app/a b.txt", "two\n");
        let v2 = ground.commit("v2");
        let two = deploy(&ground, &transport, &v2, "r2").await;
        spoil(&ground.release(&one).join("sub/same.txt"));
        let back = ground.between(Some(&two), Some(&one));
        let later = over(&ground, &sessions).fetch_by(options(BUILD)).cache_in(&ground.srv());
        later.promote(&ground.target, &back, &scope("r3")).await.unwrap();
        let size = fs::metadata(ground.path().join("sub/same.txt")).unwrap().len();
        assert_eq!(size, 300_000);
        assert_eq!(fs::read_to_string(ground.path().join("a b.txt")).unwrap(), "one\n");
        sessions.close().await;
    }
    fs::remove_file(bin.path().join("sha256sum")).unwrap();
    let (_sshd, _client, sessions) =
        sshd::one_host(&format!("SetEnv PATH={}", bin.path().display()));
    let mut ground = Ground::new();
    ground.target = sshd::target("h1");
    let live = ground.live(&over(&ground, &sessions).fetch_by(options(BUILD))).await;
    assert!(live.lacks.join("\n").contains("sha256sum"), "{:?}", live.lacks);
    sessions.close().await;
}

fn over(ground: &Ground, sessions: &Sessions) -> SshTransport {
    let process = RunProcess::current().unwrap();
    SshTransport::new(sessions.clone(), ground.repo(), ground.layout(), process)
}
