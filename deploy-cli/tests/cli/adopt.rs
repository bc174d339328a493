//! What other tools deployed, taken over and given back, on this machine.

mod dying;
mod silent;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
    $CLOCK planned: adoption of 1 host
    mockbase: adopt $PLACE/srv/deploy — 1 host

    group default: 1 host, stops at the 1st failure of 1
      local  run

    on each host:
      adopt  step adopt  adopt $PLACE/srv/deploy (within 10m)
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
    let ran = adopted(&place, "deploy", &["--undo", "--json"]).ends(0);
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert!(last["aside"]["local"].as_str().unwrap().contains("deploy-cache-undone-"), "{last}");
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
fn links_that_the_next_release_would_lack_are_told_until_the_configuration_has_them() {
    let place = capistrano();
    let (live, two) = (place.path("srv/app/current"), "release/2026-01-02/1");
    let line = "write under [layout]: shared = [\"log\", \"public/uploads\"]";
    adopted(&place, "app/current", &[]).ends(0);
    let ran = place.cli(&["plan", two]).ends(0).says("local: ").says(line);
    ran.says("config/db.yml").says("make them by a [[template]] or a [[step]]");
    let ran = place.cli(&["doctor"]).says("local: shared directories").says("cure: ");
    ran.says("to keep them, write under [layout]: shared =").says("`shared` is for directories");
    place.cli(&["deploy", two, "--yes"]).ends(0).says(line);
    assert!(!live.join("log").exists());
    // No other release has anything that it could lose.
    place.cli(&["plan", "release/2026-01-01/1", "--allow-downgrade"]).never_says("[layout]");
    place.cli(&["rollback", "--yes"]).ends(0);

    share(&place, "\"log\", \"public/uploads\"");
    place.cli(&["plan", two]).ends(0).never_says("[layout]").says("config/db.yml");
    place.cli(&["doctor"]).never_says("[layout]: shared");
    fs::write(place.path("repo/db.yml.j2"), "made\n").unwrap();
    place.configure_more("[[template]]\nsource = \"db.yml.j2\"\ndestination = \"config/db.yml\"\n");
    let three = place.version(3, "three");
    place.cli(&["plan", &three]).ends(0).never_says("[[step]]");
    place.cli(&["deploy", &three, "--yes"]).ends(0).never_says("will not have");
    assert_eq!(read(&live.join("log/app.log")), "old lines\n");
    assert_eq!(read(&live.join("config/db.yml")), "made\n");
    fs::write(live.join("public/uploads/a"), "a\n").unwrap();
    assert_eq!(read(&place.path("srv/app/shared/public/uploads/a")), "a\n");
    place.cli(&["rollback", "--yes"]).ends(0);
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
    catch_up_finds_it_and_brings_it_nowhere(&place, name);
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

/// What is adopted is the current version, and `catch-up --to` is no way to choose it elsewhere.
#[track_caller]
fn catch_up_finds_it_and_brings_it_nowhere(place: &Place, name: &str) {
    place.cli(&["catch-up"]).ends(0).says(&format!("the current version is {name}"));
    place.cli(&["catch-up", "--to", name]).ends(0).says("nothing is behind: 1 host serves it");
    // From another state directory, which does not know what was gone back to.
    let mut command = place.command(&["catch-up"]);
    let output = command.env("DEPLOY_CFG__STATE_DIR", place.path("state")).output().unwrap();
    place
        .ran(&output)
        .ends(1)
        .says(&format!("by the hosts: {name}"))
        .says("hint: an adopted version cannot be brought to other hosts; `deploy-cli deploy VERSION`")
        .never_says("choose");
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

/// A program that fails whenever `fails` says so, a condition of the shell.
fn failing(place: &Place, program: &str, fails: &str) {
    fs::create_dir_all(place.path("failing")).unwrap();
    let file = place.path("failing").join(program);
    let real = which(program);
    let text = format!(
        "#!/bin/sh\nif {fails}; then echo {program} fails >&2; exit 1; fi\nexec {real} \"$@\"\n"
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Runs the command with the programs in `directory` before all others.
fn with_programs(place: &Place, directory: &str, words: &[&str]) -> Ran {
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(words);
    command.env("PATH", format!("{}:{path}", place.path(directory).display()));
    place.ran(&command.output().unwrap())
}

fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.exists());
    found.unwrap().display().to_string()
}

#[test]
fn what_exchanges_at_once_is_tried_and_a_gap_has_to_be_allowed() {
    let place = capistrano();
    failing(&place, "perl", "true");
    let adopt =
        |words: &[&str]| with_programs(&place, "failing", &[&["adopt", "--yes"], words].concat());
    let reader = Reader::of(place.path("srv/app/current/version"));
    adopt(&[]).ends(0).says("at once, by python3");
    adopt(&["--undo"]).ends(0);
    reader.never_failed();

    failing(&place, "python3", "true");
    adopt(&[]).ends(1).says("install perl, python3 or coreutils 9.5").says("nothing was touched");
    assert!(!place.path("srv/app/current-cache").exists());
    adopt(&["--allow-gap"]).ends(0).says("for a moment the live path leads NOWHERE");
    assert_eq!(read(&place.path("srv/app/current/version")), "one\n");
    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    adopt(&["--undo"]).ends(1).says("--allow-gap");
    adopt(&["--undo", "--allow-gap"]).ends(0);
    assert_eq!(read(&place.path("srv/app/current/version")), "one\n");
}

#[test]
fn an_exchange_that_fails_in_earnest_leaves_what_was_there() {
    for (place, live) in [(capistrano(), "srv/app/current"), (scap(), "srv/app")] {
        let link = fs::read_link(place.path(live)).unwrap();
        failing(&place, "perl", "case \"$*\" in *releases*) true ;; *) false ;; esac");
        let ran = with_programs(&place, "failing", &["adopt", "--yes"]).ends(6);
        ran.says("could not be exchanged with").says("1 failed");
        assert_eq!(fs::read_link(place.path(live)).unwrap(), link);
        assert_eq!(read(&place.path(live).join("version")), "one\n");
        place.cli(&["status"]).ends(0).says("its adoption was broken off");
        // It can be given up, as well as done again.
        place.cli(&["adopt", "--undo", "--yes"]).ends(0);
        place.cli(&["status"]).ends(0).never_says("broken off");
        assert!(!place.path(live).join(".deploy-release").exists());
        place.cli(&["adopt", "--yes"]).ends(0);
    }
}

#[test]
fn what_was_found_is_told_to_programs_too() {
    let place = capistrano();
    let ran = place.cli(&["adopt", "--dry-run", "--json"]).ends(0);
    let told: serde_json::Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!((&told["target"], &told["found"]), (&"local".into(), &"capistrano".into()));
    assert_eq!(told["shared"], serde_json::json!(["log", "public/uploads"]));
    assert_eq!(told["release"]["version"]["name"], "release/2026-01-01/1");
}

#[test]
fn an_adoption_is_no_run_of_a_command() {
    let place = capistrano();
    let path = "$PLACE/srv/app/current";
    let ran = place.cli(&["adopt", "--yes"]).ends(0).never_says("run on mockbase");
    ran.says(&format!("mockbase: adopt {path} — 1 host")).says(&format!("adopt {path}: done"));
    place.cli(&["history"]).ends(0).says(&format!("adopt {path}"));
    let events = place.cli(&["show", "--json"]).ends(0).stdout;
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started = events.iter().find(|event| event["event"] == "run-started").unwrap();
    assert_eq!(started["info"]["command"], "adopt");
    let planned = events.iter().find(|event| event["event"] == "planned").unwrap();
    assert_eq!(planned["plan"]["purpose"], "adopt");
    let ran = place.cli(&["adopt", "--undo", "--yes"]).ends(0);
    ran.says(&format!("undo the adoption of {path}: done"));
}

#[test]
fn a_clean_deploy_of_the_adopted_commit_is_another_release() {
    let place = place_of("deploy", &[("settings", "as committed\n")]);
    let live = place.path("srv/deploy");
    export(&place, "release/2026-01-02/1", "srv/deploy");
    fs::write(live.join("REVISION"), commit(&place, "release/2026-01-02/1")).unwrap();
    fs::write(live.join("settings"), "by hand\n").unwrap();
    adopted(&place, "deploy", &[]).ends(0).says("not as in the commit: settings");
    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    assert_eq!(read(&live.join("settings")), "as committed\n");
    place.cli(&["rollback", "--yes"]).ends(0);
    assert_eq!(read(&live.join("settings")), "by hand\n");
}

#[test]
fn a_host_with_busybox_will_do() {
    let place = capistrano();
    let programs = place.path("busybox");
    fs::create_dir(&programs).unwrap();
    for program in ["/bin/dash", "/usr/bin/python3"] {
        let is_there = Path::new(program).exists();
        assert!(is_there, "needs {program}: `cargo xtask test` installs it");
    }
    let list = std::process::Command::new("busybox").arg("--list").output();
    let list = list.expect("needs busybox: `cargo xtask test` installs it");
    let busybox = which("busybox");
    for name in String::from_utf8(list.stdout).unwrap().lines() {
        symlink(if name == "sh" { "/bin/dash" } else { busybox.as_str() }, programs.join(name))
            .unwrap();
    }
    symlink(which("git"), programs.join("git")).unwrap();
    symlink("/usr/bin/python3", programs.join("python3")).unwrap();
    let only = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("PATH", &programs);
        place.ran(&command.output().unwrap())
    };
    let reader = Reader::of(place.path("srv/app/current/version"));
    let ran = only(&["adopt", "--yes"]).ends(0);
    ran.says("at once, by python3").says("becomes release/2026-01-01/1 (").says("public/uploads");
    let ran =
        only(&["plan", "release/2026-01-02/1"]).ends(0).says("not have any more: config/db.yml");
    ran.says("not have any more: log, public/uploads");
    only(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    only(&["rollback", "--yes"]).ends(0);
    only(&["adopt", "--undo", "--yes"]).ends(0);
    reader.never_failed();
    only(&["status"]).ends(0).says("releases/$COMMIT00\", which is not ours");
}
