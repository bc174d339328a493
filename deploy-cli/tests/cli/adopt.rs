//! What other tools deployed, taken over and given back, on this machine.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::place::{Place, Ran};

/// Reads a file through the live path all the time.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Reader {
    fn of(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut reads, mut failures) = (0, Vec::new());
            while !ended.load(Ordering::Relaxed) {
                reads += 1;
                thread::sleep(Duration::from_micros(20));
                match fs::read_to_string(&path) {
                    Ok(text) if !text.is_empty() => {}
                    other => failures.push(format!("{other:?}")),
                }
            }
            (reads, failures)
        });
        Self { stop, thread }
    }

    /// Every single read has found the file.
    #[track_caller]
    fn never_failed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (reads, failures) = self.thread.join().unwrap();
        assert!(reads > 100, "only {reads} reads");
        assert!(failures.is_empty(), "of {reads} reads: {failures:?}");
    }
}

/// A place with the versions 1 and 2, whose live path is `srv/LIVE`.
fn place(live: &str) -> Place {
    place_of(live, &[])
}

/// The same, with more files in both versions.
fn place_of(live: &str, files: &[(&str, &str)]) -> Place {
    let place = Place::bare();
    files.iter().for_each(|(name, text)| fs::write(place.path("repo").join(name), text).unwrap());
    place.configure("");
    place.reconfigure("/srv/deploy\"\nkeep", &format!("/srv/{live}\"\nkeep"));
    place.reconfigure("/srv/deploy/version", &format!("/srv/{live}/version"));
    fs::write(place.path("repo/.git/info/exclude"), "deploy.toml\n").unwrap();
    place.version(1, "one");
    place.version(2, "two");
    place
}

/// The files of a tag as a tool without our care lays them out.
fn export(place: &Place, tag: &str, to: &str) {
    fs::create_dir_all(place.path(to)).unwrap();
    let to = place.path(to).display().to_string();
    place.git(&["--work-tree", &to, "checkout", "-q", "-f", tag, "--", "."]);
    place.git(&["reset", "-q"]);
}

/// Shares directories. deploy.toml is no file of the app in these tests.
fn share(place: &Place, directories: &str) {
    place.reconfigure("keep = 3", &format!("keep = 3\nshared = [{directories}]"));
}

fn commit(place: &Place, tag: &str) -> String {
    place.git(&["rev-parse", &format!("{tag}^{{commit}}")])
}

/// As Capistrano leaves an app: two releases, shared directories and files, a mirror, a log.
fn capistrano() -> Place {
    let place = place("app/current");
    export(&place, "release/2026-01-01/1", "srv/app/releases/20260101120000");
    export(&place, "release/2026-01-01/1", "srv/app/releases/20251231120000");
    let live = place.path("srv/app/releases/20260101120000");
    for directory in ["shared/log", "shared/public/uploads", "shared/config", "repo"] {
        fs::create_dir_all(place.path("srv/app").join(directory)).unwrap();
    }
    fs::write(place.path("srv/app/shared/log/app.log"), "old lines\n").unwrap();
    fs::write(place.path("srv/app/shared/config/db.yml"), "secret\n").unwrap();
    fs::create_dir_all(live.join("public")).unwrap();
    fs::create_dir_all(live.join("config")).unwrap();
    symlink(place.path("srv/app/shared/log"), live.join("log")).unwrap();
    symlink("../../../shared/public/uploads", live.join("public/uploads")).unwrap();
    symlink(place.path("srv/app/shared/config/db.yml"), live.join("config/db.yml")).unwrap();
    fs::write(live.join("REVISION"), commit(&place, "release/2026-01-01/1") + "\n").unwrap();
    fs::write(place.path("srv/app/revisions.log"), "Branch main deployed\n").unwrap();
    symlink(&live, place.path("srv/app/current")).unwrap();
    place
}

/// As Scap leaves an app: revisions by commit, and links to the live one and the finished one.
fn scap() -> Place {
    let place = place("app");
    let revision = commit(&place, "release/2026-01-01/1");
    let cache = place.path("srv/app-cache");
    export(&place, "release/2026-01-01/1", &format!("srv/app-cache/revs/{revision}"));
    fs::create_dir_all(cache.join("cache")).unwrap();
    symlink(cache.join("revs").join(&revision), cache.join("current")).unwrap();
    symlink(cache.join("revs").join(&revision), cache.join(".done")).unwrap();
    symlink(cache.join("current"), place.path("srv/app")).unwrap();
    place
}

fn adopted(place: &Place, live: &str, words: &[&str]) -> Ran {
    let reader = Reader::of(place.path("srv").join(live).join("version"));
    let ran = place.cli(&[&["adopt", "--yes"], words].concat());
    reader.never_failed();
    ran
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_plain_directory_becomes_ours_and_is_given_back() {
    let place = place_of("deploy", &[("settings", "as committed\n")]);
    let live = place.path("srv/deploy");
    place.git(&["clone", "-q", "-b", "release/2026-01-01/1", "../origin.git", "../srv/deploy"]);
    fs::write(live.join("settings"), "by hand\n").unwrap();
    fs::create_dir(live.join("uploads")).unwrap();
    fs::write(live.join("uploads/a"), "a picture\n").unwrap();
    fs::create_dir(place.path("srv/elsewhere")).unwrap();
    fs::write(place.path("srv/elsewhere/key"), "key\n").unwrap();
    symlink("../elsewhere/key", live.join("key")).unwrap();
    share(&place, "\"uploads\"");
    let inode = fs::metadata(live.join("version")).unwrap().ino();

    place.cli(&["status"]).says("`deploy-cli adopt` takes it over");
    let ran = place.cli(&["adopt", "--dry-run"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r"
    local: $PLACE/srv/deploy is a plain directory
      what is live, $PLACE/srv/deploy, becomes release/2026-01-01/1 with changes ($COMMIT)
      kept as they are, though not as in the commit: settings
      it is moved into $PLACE/srv/deploy-cache at once, by perl
      links made absolute (1): key
    [0]
    ");
    assert!(fs::symlink_metadata(&live).unwrap().is_dir());
    assert!(!place.path("srv/deploy-cache").exists(), "a look leaves nothing");

    let ran = adopted(&place, "deploy", &[]).ends(0);
    insta::assert_snapshot!(ran.stdout, @r"
    local: $PLACE/srv/deploy is a plain directory
      what is live, $PLACE/srv/deploy, becomes release/2026-01-01/1 with changes ($COMMIT)
      kept as they are, though not as in the commit: settings
      it is moved into $PLACE/srv/deploy-cache at once, by perl
      links made absolute (1): key
    $CLOCK run $RUN by ann
    $CLOCK planned: run on 1 host
    run on mockbase — 1 host

    group default: 1 host, stops at the 1st failure of 1
      local  run

    on each host:
      run  step adopt  adopt $PLACE/srv/deploy (within 10m)
    $CLOCK group default: local
    $CLOCK group default: 1 of 1 done
    adopt $PLACE/srv/deploy: done  (run $RUN, $SPAN, exit 0)
      1 host: 1 done
    ");
    assert!(fs::symlink_metadata(&live).unwrap().is_symlink());
    assert_eq!(fs::metadata(live.join("version")).unwrap().ino(), inode, "moved, not copied");
    assert_eq!(read(&live.join("key")), "key\n");
    place.cli(&["status"]).ends(0).says("release/2026-01-01/1 with changes").never_says("claimed");
    place.cli(&["adopt", "--yes"]).ends(0).says("ours already");

    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    assert_eq!((place.live().as_str(), place.running().as_str()), ("two", "two"));
    assert_eq!(read(&live.join("uploads/a")), "a picture\n", "shared from where it was");
    fs::write(live.join("uploads/b"), "another\n").unwrap();
    place.cli(&["rollback", "--yes"]).ends(0).says("release/2026-01-01/1 with changes");
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    assert_eq!(read(&live.join("settings")), "by hand\n");

    let ran = adopted(&place, "deploy", &["--undo"]).ends(0);
    ran.says("becomes a plain directory again").says("deploy-cache-undone-");
    assert!(fs::symlink_metadata(&live).unwrap().is_dir());
    assert_eq!(fs::metadata(live.join("version")).unwrap().ino(), inode);
    assert_eq!(read(&live.join("uploads/b")), "another\n");
    assert!(!live.join(".deploy-release").exists());
    assert!(!place.path("srv/deploy-cache").exists());
    place.cli(&["adopt", "--undo", "--yes"]).ends(0).says("nothing to undo");
    adopted(&place, "deploy", &[]).ends(0);
}

#[test]
fn a_layout_of_capistrano_becomes_ours_and_is_given_back() {
    let place = capistrano();
    let (app, live) = (place.path("srv/app"), place.path("srv/app/current"));
    let link = fs::read_link(&live).unwrap();
    let ran = place.cli(&["adopt", "--dry-run"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    local: $PLACE/srv/app/current is a layout of Capistrano
      what is live, $PLACE/srv/app/releases/$COMMIT00, becomes release/2026-01-01/1 ($COMMIT)
      it is moved into $PLACE/srv/app/current-cache at once, by perl
      links made absolute (1): public/uploads
      older releases stay where they are: 1 in $PLACE/srv/app/releases
      links to what is shared that later releases do not get: config/db.yml
    put this into [layout] first, or later releases do not share it: shared = ["log","public/uploads"]
    [0]
    "#);
    share(&place, "\"log\", \"public/uploads\"");

    adopted(&place, "app/current", &[])
        .ends(0)
        .says("release/2026-01-01/1 (")
        .never_says("[layout]");
    assert_eq!(fs::read_link(&live).unwrap(), Path::new("current-cache/live"));
    assert!(app.join("releases/20251231120000/version").exists(), "older ones are left alone");
    for path in ["current/log/app.log", "releases/20260101120000/version", "current/config/db.yml"]
    {
        read(&app.join(path));
    }
    fs::write(live.join("public/uploads/a"), "a\n").unwrap();
    place.cli(&["plan", "release/2026-01-02/1"]).ends(0).says("release/2026-01-01/1");
    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    assert_eq!(place.running(), "two");
    assert_eq!(read(&live.join("log/app.log")), "old lines\n");
    assert_eq!(read(&live.join("public/uploads/a")), "a\n");
    place.cli(&["rollback", "--yes"]).ends(0);
    assert_eq!(place.running(), "one");

    adopted(&place, "app/current", &["--undo"]).ends(0).says("app/current-cache-undone-");
    assert_eq!(fs::read_link(&live).unwrap(), link);
    let release = app.join("releases/20260101120000");
    assert!(fs::symlink_metadata(&release).unwrap().is_dir());
    assert!(!release.join(".deploy-release").exists());
    assert_eq!(read(&live.join("log/app.log")), "old lines\n");
    assert_eq!(read(&live.join("public/uploads/a")), "a\n");
}

#[test]
fn a_layout_of_scap_becomes_ours_and_is_given_back() {
    let place = scap();
    let (cache, live) = (place.path("srv/app-cache"), place.path("srv/app"));
    let revision = commit(&place, "release/2026-01-01/1");
    let ran = adopted(&place, "app", &[]).ends(0);
    ran.says("a layout of Scap").says("becomes release/2026-01-01/1 (");
    assert_eq!(fs::read_link(&live).unwrap(), Path::new("app-cache/live"));
    read(&cache.join(".done/version"));
    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    assert_eq!(place.running(), "two");

    // Undone while something later is live: what was adopted is served again, as the plan says.
    let ran = adopted(&place, "app", &["--undo"]).ends(0);
    ran.says("live is release/2026-01-02/1: that is NOT served any more")
        .says("restart the service");
    assert_eq!(fs::read_link(&live).unwrap(), cache.join("current"));
    assert_eq!(read(&live.join("version")), "one\n");
    assert!(fs::symlink_metadata(cache.join("revs").join(revision)).unwrap().is_dir());
    let left: Vec<String> = fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("undone-"))
        .collect();
    assert!(!left.iter().any(|name| name == "releases" || name == "live"), "{left:?}");
    adopted(&place, "app", &[]).ends(0);
}

#[test]
fn a_layout_of_deployer_is_known_too() {
    let place = place("app/current");
    export(&place, "release/2026-01-01/1", "srv/app/releases/7");
    fs::create_dir_all(place.path("srv/app/.dep")).unwrap();
    symlink("releases/7", place.path("srv/app/current")).unwrap();
    // No revision is told: it is a version of its own.
    let ran = adopted(&place, "app/current", &[]).ends(0);
    ran.says("a layout of Deployer").says(", a version that the repository does not have");
    place
        .cli(&["deploy", "release/2026-01-02/1", "--yes"])
        .ends(0)
        .says("what is live on local is not known here");
    adopted(&place, "app/current", &["--undo"]).ends(0);
    assert_eq!(read(&place.path("srv/app/releases/7/version")), "one\n");
    assert_eq!(fs::read_link(place.path("srv/app/current")).unwrap(), Path::new("releases/7"));
}

#[test]
fn what_the_repository_does_not_know_can_be_gone_back_to_and_is_never_pruned() {
    let place = place("deploy");
    fs::create_dir(place.path("srv/deploy")).unwrap();
    fs::write(place.path("srv/deploy/version"), "by hand\n").unwrap();
    adopted(&place, "deploy", &[]).ends(0);
    let status = place.cli(&["status"]).ends(0).all();
    let at = status.find("adopted-").unwrap();
    let name = status[at..].split_whitespace().next().unwrap();
    for number in 3..8 {
        place.version(number, &format!("number {number}"));
    }
    for number in 1..8 {
        let tag = format!("release/2026-01-0{number}/1");
        place.cli(&["deploy", &tag, "--yes"]).ends(0);
    }
    let ran = place.cli(&["rollback", name, "--yes"]).ends(0);
    ran.says(&format!("rolled back to {name}"));
    assert_eq!((place.live().as_str(), place.running().as_str()), ("by hand", "by hand"));
    place.cli(&["rollback", "adopted-2001-01-01-0000000", "--yes"]).ends(1).says("no host has it");
    // What somebody writes there does not bring it out of order.
    place.cli(&["rollback", "--yes"]).ends(0);
    fs::write(
        place.path("srv/deploy-cache/releases").join(id_of(&place)).join("version"),
        "again\n",
    )
    .unwrap();
    place.cli(&["rollback", "--yes"]).ends(0);
    assert_eq!(place.live(), "again");
}

/// The release that was adopted.
fn id_of(place: &Place) -> String {
    let record = read(&place.path("srv/deploy-cache/adopted.json"));
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["release"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_known_is_refused_and_left_as_it_is() {
    let place = place("app");
    let path = place.path("srv/app");
    place.cli(&["adopt", "--yes"]).ends(0).says("nothing is there: `deploy` makes it");
    fs::create_dir(place.path("srv/other")).unwrap();
    for target in ["other", "gone"] {
        symlink(target, &path).unwrap();
        let ran = place.cli(&["adopt", "--yes"]).ends(1);
        ran.says("srv/app is a link t").says("nothing was touched").says("left as it is");
        assert_eq!(fs::read_link(&path).unwrap(), Path::new(target));
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, "a file\n").unwrap();
    place.cli(&["adopt", "--yes"]).ends(1).says("is a file");
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(place.path("srv/app/releases/1")).unwrap();
    symlink("releases/1", path.join("current")).unwrap();
    place.cli(&["adopt", "--yes"]).ends(1).says("what is live is $PLACE/srv/app/current");
    assert!(!place.path("srv/app-cache").exists());
    // Ours from the first deploy: there is nothing that could be brought back.
    fs::remove_dir_all(&path).unwrap();
    place.cli(&["deploy", "release/2026-01-01/1", "--yes"]).ends(0);
    place.cli(&["adopt", "--yes"]).ends(0).says("ours already");
    place.cli(&["adopt", "--undo", "--yes"]).ends(1).says("no adoption is recorded");
}

/// Programs that end the shell that calls them, before or after the Nth time that one of them runs.
fn deadly(place: &Place) {
    let directory = place.path("deadly");
    fs::create_dir(&directory).unwrap();
    for program in ["mv", "ln", "perl", "mkdir", "chmod", "rm"] {
        let real = which(program);
        let text = format!(
            "#!/bin/sh\nc={0}/count\nread -r n <$c; n=$((n - 1)); echo $n >$c\n\
             if [ $n = 0 ] && [ -e {0}/before ]; then kill -KILL $PPID; exit 1; fi\n\
             {real} \"$@\"; e=$?\n\
             if [ $n = 0 ]; then kill -KILL $PPID; fi\nexit $e\n",
            directory.display()
        );
        fs::write(directory.join(program), text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.join(program), mode).unwrap();
    }
}

fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.exists());
    found.unwrap().display().to_string()
}

/// Runs the command with the deadly programs, the `number`th of which ends it.
fn dying(place: &Place, words: &[&str], number: usize, before: bool) -> Ran {
    let directory = place.path("deadly");
    fs::write(directory.join("count"), format!("{number}\n")).unwrap();
    let _ = fs::remove_file(directory.join("before"));
    if before {
        fs::write(directory.join("before"), "").unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(words);
    command.env("PATH", format!("{}:{path}", directory.display()));
    place.ran(&command.output().unwrap())
}

/// Whatever is the last thing that a host did: the live path leads to whole files all the time, and
/// the same command again ends what was begun. Every `step`th point is tried: in turn right before
/// what is done there, and right after it.
fn dies_everywhere(make: fn() -> Place, live: &str, step: usize) {
    let (next, ended) = (AtomicUsize::new(1), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while ended.load(Ordering::Relaxed) == 0 {
                    let number = next.fetch_add(step, Ordering::Relaxed);
                    assert!(number < 100, "it never ends");
                    let before = (number / step).is_multiple_of(2);
                    if !dies_at((number, before), &make(), live) {
                        ended.fetch_max(number, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let numbers = ended.load(Ordering::Relaxed);
    assert!(numbers > 20, "only {numbers} points");
}

/// Whether one of both was still at work at that point.
fn dies_at((number, before): (usize, bool), place: &Place, live: &str) -> bool {
    deadly(place);
    let reader = Reader::of(place.path("srv").join(live).join("version"));
    let is_spared = || read(&place.path("deadly/count")).trim().parse::<i64>().unwrap() > 0;
    let died = dying(place, &["adopt", "--yes"], number, before);
    let mut spared = is_spared();
    assert!(!spared || died.code == 0, "{}", died.all());
    place.cli(&["adopt", "--yes"]).ends(0);
    place.cli(&["status"]).ends(0).never_says("claimed").never_says("broken off");
    let died = dying(place, &["adopt", "--undo", "--yes"], number, before);
    assert!(!is_spared() || died.code == 0, "{}", died.all());
    spared &= is_spared();
    place.cli(&["adopt", "--undo", "--yes"]).ends(0);
    reader.never_failed();
    assert!(!place.path("srv").join(live).join(".deploy-release").exists(), "{number}");
    !spared
}

#[test]
fn an_adoption_that_dies_at_any_point_is_finished_for_a_directory() {
    dies_everywhere(
        || {
            let place = place("deploy");
            export(&place, "release/2026-01-01/1", "srv/deploy");
            place
        },
        "deploy",
        5,
    );
}

#[test]
fn an_adoption_that_dies_at_any_point_is_finished_for_capistrano() {
    dies_everywhere(capistrano, "app/current", 2);
}

#[test]
fn an_adoption_that_dies_at_any_point_is_finished_for_scap() {
    dies_everywhere(scap, "app", 5);
}
