//! Hosts whose version a repository of Hiera names.

use std::fs;

use crate::place::Place;

const HIERA: &str = "# beta\n\
                     profile::docker::runner::service_defs:\n  \
                       mockbase:\n    version: none   # by deploys\n    port: 1134\n";

#[test]
fn hiera_names_what_a_host_serves_and_names_it_again_after_a_rollback() {
    let place = Place::new();
    place.configure_more(
        "[values]\nbranch = \"main\"\nfile = \"hiera/beta.yaml\"\n\
         author = \"Ann <ann@example.org>\"\n\
         key = \"profile::docker::runner::service_defs.mockbase.version\"\n",
    );
    fs::create_dir(place.path("repo/hiera")).unwrap();
    fs::write(place.path("repo/hiera/beta.yaml"), HIERA).unwrap();
    let first = place.version(2, "two");
    let named = || place.git(&["--git-dir=../origin.git", "show", "main:hiera/beta.yaml"]);
    place.cli(&["deploy", &first, "--yes"]).ends(0);
    assert_eq!(
        named().trim_end(),
        HIERA.replace("none", &first).trim_end(),
        "nothing else changed"
    );

    // What the deploy wrote is on the branch, and no part of what was built before.
    place.git(&["pull", "-q", "--rebase", "origin", "main"]);
    let second = place.version(3, "three");
    place.cli(&["deploy", &second, "--yes"]).ends(0);
    assert!(named().contains(&format!("version: {second}   # by deploys")), "{}", named());
    place.cli(&["rollback", "--yes"]).ends(0);
    assert!(named().contains(&format!("version: {first}   # by deploys")), "{}", named());
    let log = place.git(&["--git-dir=../origin.git", "log", "--format=%s", "main"]);
    assert!(log.contains(&format!("local back to {first}")), "{log}");
}
