//! What of a version's tree arrives on a target, and what is refused.

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::{fs, process::Command, time::Duration};

use deploy_core::backend::{ErrorKind, Transport};
use deploy_ssh::BuildStep;
use ground::{Ground, git, scope, tree};

#[tokio::test]
async fn strange_names_and_attributes_arrive_as_they_are() {
    let ground = Ground::new();
    for name in [
        "a b",
        "quo'te\"s",
        "$(touch x)",
        "new\nline",
        "-rf",
        "--",
        "\u{1b}[2J",
        "tab\t",
        "a\\b",
        "*",
        "~",
        "caf\u{e9}",
        "%s",
        "sub dir/-x",
        ".gitignore",
        "#x",
    ] {
        ground.write(name, format!("{name}\r\n$Id$\n"));
    }
    ground.write(".gitattributes", "* text=auto eol=crlf ident filter=evil export-subst\n");
    ground.git(&["config", "core.safecrlf", "false"]);
    ground.git(&["-c", "core.attributesFile=/dev/null", "add", "-A", "-f"]);
    let version = ground.commit("v1");
    let transport = ground.transport();
    let release = ground.deploy(&transport, &version, "r1").await.unwrap();
    let listing = ground.git(&["ls-tree", "-r", "-z", "HEAD"]);
    let mut files = 0;
    for entry in listing.split('\0').filter(|entry| !entry.is_empty()) {
        let (meta, path) = entry.split_once('\t').unwrap();
        let oid = meta.split(' ').nth(2).unwrap();
        let file = ground.release(&release).join(path);
        let hashed = Command::new("git")
            .args(["hash-object", "--no-filters", "--"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&hashed.stdout).trim(), oid, "{path:?}");
        files += 1;
    }
    assert_eq!(files, 17);
    let again = ground.between(None, Some(&release));
    transport.fetch(&ground.target, &again, &scope("r2")).await.unwrap();
}

#[tokio::test]
async fn submodules_arrive_within_the_tree() {
    let ground = Ground::new();
    let sources = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let dir = sources.path().join(name);
        fs::create_dir(&dir).unwrap();
        git(&dir, &["init", "-q", "-b", "main", "."]);
        fs::write(dir.join("file"), name).unwrap();
        git(&dir, &["add", "-A"]);
        git(&dir, &["commit", "-q", "-m", name]);
        dir
    };
    let (inner, outer) = (make("inner"), make("outer"));
    git(&outer, &["submodule", "--quiet", "add", inner.to_str().unwrap(), "in ner"]);
    git(&outer, &["commit", "-q", "-m", "nested"]);
    ground.write("a.txt", "one");
    ground.git(&["submodule", "--quiet", "add", outer.to_str().unwrap(), "lib/out er"]);
    ground.git(&["submodule", "--quiet", "update", "--init", "--recursive"]);
    let v1 = ground.commit("v1");
    let transport = ground.transport();
    ground.deploy(&transport, &v1, "r1").await.unwrap();
    let read = |path: &str| fs::read_to_string(ground.path().join(path)).unwrap();
    assert_eq!(read("lib/out er/file"), "outer");
    assert_eq!(read("lib/out er/in ner/file"), "inner");

    fs::write(ground.repo().join("lib/out er/file"), "newer").unwrap();
    git(&ground.repo().join("lib/out er"), &["commit", "-qam", "newer"]);
    let v2 = ground.commit("v2");
    ground.deploy(&transport, &v2, "r2").await.unwrap();
    assert_eq!(read("lib/out er/file"), "newer");
    // A second deployer's transport knows nothing, and reckons from what the target has.
    let v3 = {
        ground.write("b.txt", "three");
        ground.commit("v3")
    };
    ground.deploy(&ground.transport(), &v3, "r3").await.unwrap();
    assert_eq!(
        (read("b.txt").as_str(), read("lib/out er/in ner/file").as_str()),
        ("three", "inner")
    );

    fs::remove_dir_all(ground.repo().join(".git/modules")).unwrap();
    let error = ground.transport().admit(&v3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.hint(), Some("git submodule update --init --recursive"));
}

#[tokio::test]
async fn a_committed_link_at_a_shared_destination_is_refused_untouched() {
    for (link, shared) in [("log", "log"), ("data", "data/up/loads"), ("a/b", "a/b/c")] {
        let ground = Ground::new();
        ground.write("a/keep", "");
        std::os::unix::fs::symlink("/etc", ground.repo().join(link)).unwrap();
        let version = ground.commit("v1");
        let transport = ground.transport_of(ground.layout().share([shared]).unwrap());
        let change = ground.change(&transport, None, Some(&version));
        let error = transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.cause().contains("symbolic link"), "{}", error.cause());
        assert!(!ground.cache().exists(), "{link}: something was touched");
    }
}

#[tokio::test]
async fn unchanged_files_are_hard_links_only_where_nobody_can_write_through_them() {
    use std::os::unix::fs::MetadataExt;

    let is_root = nix::unistd::geteuid().is_root();
    let whoami = Command::new("id").arg("-un").output().unwrap();
    let whoami = String::from_utf8_lossy(&whoami.stdout).trim().to_owned();
    let step = BuildStep {
        name: "build".into(),
        command: "true".into(),
        timeout: Duration::from_secs(20),
    };
    let cases = [
        ("daemon", vec![], !is_root, if is_root { "are copied: root, who" } else { "hard links" }),
        ("daemon", vec![step], false, "written anew: build steps"),
        (whoami.as_str(), vec![], false, "who deploys, could write"),
        ("root", vec![], false, "are copied: "),
        ("", vec![], false, "service_user is not set"),
    ];
    for (service, steps, is_linked, told) in cases {
        let ground = Ground::new();
        ground.write("same.txt", "same");
        ground.write("bin/gone", "gone");
        ground.write("log/x", "x");
        ground.write("changed.txt", "one");
        let v1 = ground.commit("v1");
        let layout = ground.layout().share(["log"]).unwrap();
        let layout = if service.is_empty() { layout } else { layout.service_user(service) };
        let transport = ground.transport_of(layout).build_steps(steps);
        let one = ground.deploy(&transport, &v1, "r1").await.unwrap();
        ground.write("changed.txt", "two");
        ground.git(&["rm", "-q", "bin/gone"]);
        let v2 = ground.commit("v2");
        let two = ground.deploy(&transport, &v2, "r2").await.unwrap();
        let links = |file: &str| fs::metadata(ground.release(&two).join(file)).unwrap().nlink();
        assert_eq!(links("same.txt"), if is_linked { 2 } else { 1 }, "{service}");
        assert_eq!(links("changed.txt"), 1);
        assert_eq!(
            tree(&ground.release(&two)),
            ["./changed.txt 444", "./log -> ../../shared/log", "./same.txt 444"]
        );
        assert_eq!(fs::read_to_string(ground.release(&one).join("changed.txt")).unwrap(), "one");
        assert_eq!(fs::read_to_string(ground.release(&one).join("bin/gone")).unwrap(), "gone");
        let live = ground.live(&transport).await;
        assert!(live.details.concat().contains(told), "{told}: {:?}", live.details);
        assert_eq!(live.notes, Vec::<String>::new(), "nothing that a person has to know");
    }
}

#[tokio::test]
async fn trees_that_would_not_arrive_as_they_are_meant_are_refused() {
    let ground = Ground::new();
    ground.write(".deploy-release", "forged");
    let own = ground.commit("v1");
    ground.git(&["rm", "-q", ".deploy-release"]);
    ground.write("sub/.gitattributes", "*.bin filter=lfs\n");
    let unused = ground.commit("v2");
    // As far as it looks like a pointer and is none, it is a file like others.
    ground.write("sub/c.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    let nearly = ground.commit("v3");
    let oid = "0".repeat(64);
    ground.write(
        "sub/a b.bin",
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1\n"),
    );
    let lfs = ground.commit("v4");
    let transport = ground.transport();
    transport.admit(&unused).await.unwrap();
    transport.admit(&nearly).await.unwrap();
    for (version, words) in [(own, ".deploy-release"), (lfs, "git lfs fetch origin")] {
        let change = ground.change(&transport, None, Some(&version));
        let error = transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        let told = format!("{} {}", error.cause(), error.hint().unwrap_or_default());
        assert!(told.contains(words), "{told}");
        assert!(!ground.cache().exists());
    }
}

#[tokio::test]
async fn shallow_partial_and_sha256_repositories_are_deployed_from() {
    for kind in ["--depth=1", "--filter=blob:none", "--object-format=sha256"] {
        let ground = Ground::new();
        if kind.contains("sha256") {
            fs::remove_dir_all(ground.repo().join(".git")).unwrap();
            ground.git(&["init", "-q", "-b", "main", kind, "."]);
        }
        for name in ["one", "two"] {
            ground.write("a.txt", name);
            ground.write("dir/same.txt", "same");
            ground.commit(name);
        }
        if !kind.contains("sha256") {
            ground.git(&["config", "uploadpack.allowFilter", "true"]);
            let from = format!("file://{}", ground.repo().display());
            let clone = tempfile::tempdir().unwrap();
            git(clone.path(), &["clone", "-q", kind, &from, "repo"]);
            let old = ground.repo().with_file_name("origin");
            fs::rename(ground.repo(), &old).unwrap();
            let moved = Command::new("mv")
                .arg(clone.path().join("repo"))
                .arg(ground.repo())
                .status()
                .unwrap();
            assert!(moved.success());
            ground.git(&["remote", "set-url", "origin", &format!("file://{}", old.display())]);
        }
        let transport = ground.transport();
        let two = ground.commit("two again");
        let released = ground.deploy(&transport, &two, "r1").await;
        released.unwrap_or_else(|e| panic!("{kind}: {e}: {} {:?}", e.cause(), e.evidence()));
        assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "two", "{kind}");
        ground.write("a.txt", "three");
        let three = ground.commit("three");
        ground.deploy(&transport, &three, "r2").await.unwrap();
        assert_eq!(fs::read_to_string(ground.path().join("a.txt")).unwrap(), "three", "{kind}");
        assert_eq!(fs::read_to_string(ground.path().join("dir/same.txt")).unwrap(), "same");
    }
}
