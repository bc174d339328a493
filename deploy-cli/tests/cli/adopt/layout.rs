//! What other tools leave on a host.

use std::{fs, os::unix::fs::symlink};

use crate::place::Place;

/// A place with the versions 1 and 2, whose live path is `srv/LIVE`.
pub fn place(live: &str) -> Place {
    place_of(live, &[])
}

/// The same, with more files in both versions.
pub fn place_of(live: &str, files: &[(&str, &str)]) -> Place {
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
pub fn export(place: &Place, tag: &str, to: &str) {
    fs::create_dir_all(place.path(to)).unwrap();
    let to = place.path(to).display().to_string();
    place.git(&["--work-tree", &to, "checkout", "-q", "-f", tag, "--", "."]);
    place.git(&["reset", "-q"]);
}

pub fn commit(place: &Place, tag: &str) -> String {
    place.git(&["rev-parse", &format!("{tag}^{{commit}}")])
}

/// As Capistrano leaves an app: two releases, shared directories and files, a mirror, a log.
pub fn capistrano() -> Place {
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
pub fn scap() -> Place {
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
