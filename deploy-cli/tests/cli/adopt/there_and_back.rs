//! Each layout becomes ours, is deployed to, and is given back.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use super::{
    adopted,
    layout::{capistrano, commit, export, place, place_of, scap},
    read,
};
use crate::place::Place;

/// Shares directories. deploy.toml is no file of the app in these tests.
fn share(place: &Place, directories: &str) {
    place.reconfigure("keep = 3", &format!("keep = 3\nshared = [{directories}]"));
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
    let ran = place.cli(&["plan", two]).ends(0).says(line).says(
        "local: shared directories that the next release will not have any more: log, public/uploads; ",
    );
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
