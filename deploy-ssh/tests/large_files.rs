//! Files of Git LFS and git-fat: their contents are brought here once, and sent along.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use deploy_core::backend::{ErrorKind, Transport};
use deploy_core::model::Version;
use ground::{Ground, git, scope, tree};
use sha1::{Digest, Sha1};

fn noise(path: &Path, bytes: u64) {
    let mut noise = std::io::Read::take(fs::File::open("/dev/urandom").unwrap(), bytes);
    std::io::copy(&mut noise, &mut fs::File::create(path).unwrap()).unwrap();
}

/// A ground whose repository is a clone without the contents of its LFS files; they are at origin.
struct Lfs {
    ground: Ground,
    author: PathBuf,
    versions: Vec<Version>,
}

impl Lfs {
    /// One version for each edit.
    fn new(edits: &[&dyn Fn(&Path)]) -> Self {
        let ground = Ground::new();
        let base = ground.repo().parent().unwrap().to_owned();
        fs::remove_dir_all(ground.repo()).unwrap();
        git(&base, &["init", "-q", "--bare", "-b", "main", "origin.git"]);
        let url = format!("file://{}/origin.git", base.display());
        git(&base, &["clone", "-q", &url, "author"]);
        let author = base.join("author");
        git(&author, &["checkout", "-q", "-B", "main"]);
        git(&author, &["lfs", "install", "--local", "--skip-repo"]);
        fs::write(author.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n")
            .unwrap();
        fs::create_dir(author.join("sub")).unwrap();
        git(&base, &["clone", "-q", &url, "repo"]);
        let mut lfs = Self { ground, author, versions: Vec::new() };
        edits.iter().for_each(|edit| lfs.commit(*edit));
        lfs
    }

    fn commit(&mut self, edit: &dyn Fn(&Path)) {
        edit(&self.author);
        let name = format!("v{}", self.versions.len() + 1);
        git(&self.author, &["add", "-A"]);
        git(&self.author, &["commit", "-q", "--allow-empty", "-m", &name]);
        git(&self.author, &["lfs", "push", "origin", "main"]);
        git(&self.author, &["push", "-q", "--no-verify", "origin", "main"]);
        git(&self.ground.repo(), &["fetch", "-q", "origin"]);
        let id = self.ground.git(&["rev-parse", "origin/main"]).parse().unwrap();
        self.versions.push(Version { id, name: Some(name) });
    }

    fn take_store_away(&self) {
        let store = self.ground.repo().join("../origin.git/lfs");
        fs::rename(store, self.ground.repo().join("../away")).unwrap();
    }

    fn bring_store_back(&self) {
        let store = self.ground.repo().join("../origin.git/lfs");
        // Who looks for a file there makes a directory.
        let _ = fs::remove_dir_all(&store);
        fs::rename(self.ground.repo().join("../away"), store).unwrap();
    }

    fn same(&self, file: &str) -> bool {
        fs::read(self.author.join(file)).unwrap()
            == fs::read(self.ground.path().join(file)).unwrap()
    }
}

#[tokio::test]
async fn lfs_files_are_fetched_once_and_arrive_with_their_contents() {
    let mut lfs = Lfs::new(&[&|author| {
        noise(&author.join("large.bin"), 20 << 20);
        noise(&author.join("sub/a b.bin"), 100_000);
        fs::set_permissions(author.join("sub/a b.bin"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(author.join("empty.bin"), "").unwrap();
        fs::write(author.join("text.txt"), "plain\n").unwrap();
    }]);
    let cache = lfs.ground.srv().join("cache");
    fs::create_dir(&cache).unwrap();
    let transport = lfs.ground.transport().cache_in(&cache);
    let one = lfs.ground.deploy(&transport, &lfs.versions[0].clone(), "r1").await.unwrap();
    assert!(lfs.same("large.bin") && lfs.same("sub/a b.bin") && lfs.same("empty.bin"));
    let files = tree(&lfs.ground.release(&one));
    assert!(files.contains(&"./sub/a b.bin 555".to_owned()), "{files:?}");

    // Of the next version only what is new is read, fetched and sent: the rest need not be here.
    lfs.commit(&|author| {
        noise(&author.join("new.bin"), 50_000);
        fs::write(author.join("text.txt"), "changed\n").unwrap();
    });
    lfs.take_store_away();
    let transport = lfs.ground.transport().cache_in(&cache);
    let error = transport.admit(&lfs.versions[1]).await.unwrap_err();
    assert!(error.hint().unwrap().contains("git lfs fetch origin"), "{error:?}");
    lfs.bring_store_back();
    let two = lfs.ground.deploy(&transport, &lfs.versions[1].clone(), "r2").await.unwrap();
    assert!(lfs.same("large.bin") && lfs.same("new.bin"));
    let packs = fs::read_dir(lfs.ground.cache().join("repo.git/objects/pack")).unwrap();
    let sizes: Vec<u64> = packs.map(|pack| pack.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().sum::<u64>() < 22 << 20, "what was there was not sent again: {sizes:?}");

    // The way back needs none of the contents, and damage is mended by them.
    let back = lfs.ground.between(Some(&two), Some(&one));
    let file = lfs.ground.release(&one).join("sub/a b.bin");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "oops").unwrap();
    fs::remove_dir_all(lfs.ground.repo().join(".git/lfs")).unwrap();
    let transport = lfs.ground.transport().cache_in(&cache);
    transport.fetch(&lfs.ground.target, &back, &scope("r3")).await.unwrap();
    transport.promote(&lfs.ground.target, &back, &scope("r3")).await.unwrap();
    assert!(lfs.same("sub/a b.bin"));
}

#[tokio::test]
async fn missing_and_damaged_lfs_files_are_named_before_any_target_is_touched() {
    let lfs = Lfs::new(&[&|author| noise(&author.join("sub/a b.bin"), 1000)]);
    let version = lfs.versions[0].clone();
    lfs.take_store_away();
    let transport = lfs.ground.transport();
    let change = lfs.ground.change(&transport, None, Some(&version));
    let error = transport.fetch(&lfs.ground.target, &change, &scope("r1")).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("git lfs fetch origin {}", version.id)), "{error:?}");
    assert!(!lfs.ground.cache().exists());

    lfs.bring_store_back();
    transport.admit(&version).await.unwrap();
    let object = walk(&lfs.ground.repo().join(".git/lfs/objects"));
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&object, vec![7; 1000]).unwrap();
    let error = lfs.ground.transport().admit(&version).await.unwrap_err();
    assert!(error.cause().contains("is damaged"), "{}", error.cause());
    assert!(!lfs.ground.cache().exists());
}

/// The first file below `dir`.
fn walk(dir: &Path) -> PathBuf {
    let entry = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    if entry.is_dir() { walk(&entry) } else { entry }
}

#[tokio::test]
async fn lfs_files_of_submodules_arrive_too() {
    let lfs = Lfs::new(&[&|author| noise(&author.join("sub/x.bin"), 5000)]);
    let outer = Ground::new();
    let url = format!(
        "file://{}",
        lfs.ground.repo().join("../origin.git").canonicalize().unwrap().display()
    );
    outer.write("a.txt", "one");
    outer.git(&["submodule", "--quiet", "add", &url, "lib/data"]);
    let version = outer.commit("v1");
    let transport = outer.transport();
    outer.deploy(&transport, &version, "r1").await.unwrap();
    let arrived = fs::read(outer.path().join("lib/data/sub/x.bin")).unwrap();
    assert_eq!(arrived, fs::read(lfs.author.join("sub/x.bin")).unwrap());
}

/// A ground with one file of git-fat, whose content lies in `store`.
fn fat(options: &str) -> (Ground, PathBuf, Vec<u8>) {
    let ground = Ground::new();
    let store = ground.repo().join("../fat store");
    fs::create_dir(&store).unwrap();
    let mut content = vec![0; 40_000];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut content).unwrap();
    let digest: String = Sha1::digest(&content).iter().map(|b| format!("{b:02x}")).collect();
    fs::write(store.join(&digest), &content).unwrap();
    ground.write(".gitattributes", "*.jar filter=fat -crlf\n");
    ground.write(".gitfat", format!("[rsync]\nremote = \"{}\"\n{options}", store.display()));
    ground.write("lib/x.jar", format!("#$# git-fat {digest} {:20}\n", content.len()));
    (ground, store, content)
}

#[tokio::test]
async fn files_of_git_fat_come_from_their_rsync_store() {
    let (ground, store, content) = fat("options = --copy-links\n");
    let version = ground.commit("v1");
    ground.deploy(&ground.transport(), &version, "r1").await.unwrap();
    assert_eq!(fs::read(ground.path().join("lib/x.jar")).unwrap(), content);
    // What is here already needs no store.
    fs::remove_dir_all(store).unwrap();
    ground.write("a.txt", "two");
    let version = ground.commit("v2");
    ground.deploy(&ground.transport(), &version, "r2").await.unwrap();
    assert_eq!(fs::read(ground.path().join("lib/x.jar")).unwrap(), content);
}

#[tokio::test]
async fn a_store_of_git_fat_that_lacks_a_file_or_asks_for_programs_is_refused() {
    for (options, words) in
        [("", "rsync: "), ("options = -e \"touch owned\"\n", "asks for the option")]
    {
        let (ground, store, _) = fat(options);
        let version = ground.commit("v1");
        fs::remove_dir_all(store).unwrap();
        let transport = ground.transport();
        let error = transport.admit(&version).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.cause().contains(words), "{}", error.cause());
        assert!(error.hint().unwrap().contains("git fat pull"), "{error:?}");
        assert!(!ground.repo().join("owned").exists());
    }
}
