//! `config`: what holds, where it comes from, and whether it is right.

use crate::place::Place;

/// The lines of a table whose first words are `key`, the spaces between its columns made one.
fn lines(table: &str, key: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    table.lines().map(words).filter(|line| line.starts_with(key)).collect()
}

/// A place with two environments, `beta` with a group of its own.
fn with_environments() -> Place {
    let place = Place::new();
    place.configure(
        "[environment.beta]\ngroup = [{ name = \"beta\", hosts = [\"local\", \"b[1-3]\"] }]\n\
         [environment.beta.layout]\nkeep = 7\n[environment.production]\n",
    );
    place.reconfigure("hosts = [\"local\"]", "hosts = [\"local\"]\nbatch = 1");
    place
}

#[test]
fn every_value_says_where_it_comes_from_and_defaults_are_told() {
    let place = with_environments();
    let mut command = place.command(&["--env", "beta", "config"]);
    let output = command.env("DEPLOY_CFG__SSH__USER", "ann").output().unwrap();
    let said = place.ran(&output).ends(0).says("Runs and lock: $PLACE/repo/.git/deploy").stdout;
    let of = |key: &str| lines(&said, key);
    assert_eq!(of("environment"), ["environment --env \"beta\""]);
    assert_eq!(of("app"), ["app deploy.toml:1 \"mockbase\""]);
    assert_eq!(of("layout.keep"), ["layout.keep deploy.toml:24 [environment.beta] 7"]);
    assert_eq!(of("ssh.user"), ["ssh.user DEPLOY_CFG__SSH__USER \"ann\""]);
    assert_eq!(of("ssh.max_starts"), ["ssh.max_starts default 10"]);
    assert_eq!(of("run.timeouts.fetch"), ["run.timeouts.fetch default \"10m\""]);
    assert_eq!(of("check.0.retries"), ["check.0.retries default 0"]);
    // The base has a batch; the overlay, whose array replaces it, has none.
    assert_eq!(of("group.0.batch"), ["group.0.batch default \"all\""]);
    let taken = place.cli(&["--env", "beta", "config", "check.0.retries"]).ends(0).stdout;
    assert_eq!(taken, "0\n", "as it is listed, it can be asked for");
    // What means nothing without another key is not told.
    for key in ["notify", "group.0.interval", "check.0.redirects", "fetch.timeout"] {
        assert_eq!(of(key), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn the_first_of_several_groups_is_the_canary_and_prefixes_follow_the_scheme() {
    let place = Place::new();
    let groups = "[[group]]\nname = \"rest\"\nhosts = [\"h2\"]\n[version]\nscheme = \"semver\"\n";
    place
        .reconfigure("[version]\nscheme = \"date\"\nprefix = \"release\"\nbranch = \"main\"\n", "");
    place.configure_more(groups);
    let get = |key: &str| place.cli(&["config", key]).ends(0).stdout.trim().to_owned();
    assert_eq!((get("group.0.canary"), get("group.rest.canary")), ("true".into(), "false".into()));
    assert_eq!(get("version.prefix"), "v");
    place.configure_more("[[group]]\nname = \"last\"\nhosts = [\"h3\"]\ncanary = true\n");
    assert_eq!((get("group.0.canary"), get("group.last.canary")), ("false".into(), "true".into()));
}

#[test]
fn one_key_a_table_of_them_and_what_there_is_not() {
    let place = with_environments();
    let ran = |words: &[&str]| place.cli(&[&["--env", "beta", "config"], words].concat());
    assert_eq!(ran(&["layout.keep"]).ends(0).stdout, "7\n");
    assert_eq!(ran(&["group.beta.hosts"]).ends(0).stdout, "[\"local\",\"b[1-3]\"]\n");
    assert_eq!(ran(&["version.scheme"]).ends(0).stdout, "date\n");
    let table = "run.timeouts.connect = \"30s\"\n";
    ran(&["run.timeouts"]).ends(0).says(table).never_says("run.attempts");
    let json = ran(&["layout.keep", "--json"]).ends(0).stdout;
    let line: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&line["key"], &line["value"]), (&"layout.keep".into(), &7.into()));
    let from = line["from"].as_str().unwrap();
    assert!(from.ends_with("deploy.toml:24 [environment.beta]"), "{from}");
    ran(&["ssh.user"]).ends(1).says("ssh.user is not set, and has no default");
    ran(&["ssh.usr"]).ends(1).says("there is no key ssh.usr").says("did you mean `ssh.user`?");
    ran(&["check.0.timeuot"]).ends(1).says("did you mean `check.0.timeout`?");
    ran(&["nonsense"]).ends(1).says("there is no key nonsense");
    ran(&["layout.keep", "--check"]).ends(2);
}

#[test]
fn check_reads_all_environments_and_makes_of_them_what_a_deploy_would() {
    let place = with_environments();
    place.cli(&["config"]).ends(1).says("the configuration defines environments: say which");
    place.cli(&["config", "--check"]).ends(0).says("the configuration is right: beta, production");
    let json = place.cli(&["config", "--check", "--json"]).ends(0).stdout;
    assert_eq!(json.lines().next(), Some("{\"environment\":\"beta\",\"error\":null}"));

    // What only a deploy would have found: a name that is no unit, a file that is not there.
    place.reconfigure("[[group]]", "[ssh]\nuser = \"a\"\n[[group]]");
    place.reconfigure(
        "{ name = \"beta\", hosts = [\"local\", \"b[1-3]\"] }",
        "{ name = \"beta\", hosts_file = \"nobody\" }",
    );
    place.cli(&["config", "--check"]).ends(1).says("[[group]] #1 hosts_file: cannot be used");
    place.cli(&["--env", "production", "config", "--check"]).ends(0);
    place.reconfigure("keep = 7", "keep = 7\nshared = [\"../etc\"]");
    place.cli(&["--env", "beta", "config", "--check"]).ends(1);
    place.reconfigure("hosts_file = \"nobody\"", "hots = []");
    place
        .cli(&["config", "--check"])
        .ends(1)
        .says("[[group]] #1 hots: unknown key")
        .says("did you mean `hosts`?");
}

#[test]
fn a_wrong_key_is_answered_with_one_that_can_be_typed() {
    let place = Place::new();
    place.cli(&["config", "layout.kep"]).ends(1).says("did you mean `layout.keep`?");
    place.cli(&["config", "keep_release"]).ends(1).says("`layout.keep`");
    place.cli(&["config", "check.0.timeot"]).ends(1).says("did you mean `check.0.timeout`?");
    place.reconfigure("app =", "keep_releases = 3\napp =");
    let ran = place.cli(&["config"]).ends(1).says("keep_releases: unknown key");
    ran.says("`keep` in [layout]").never_says("known here");
}

#[test]
fn check_refuses_templates_whose_variables_cannot_be_read() {
    let place = Place::new();
    place.configure("[[template]]\nsource = \"a.j2\"\ndestination = \"a\"\n");
    place.cli(&["config", "--check"]).ends(1).says("the version has no file \"a.j2\", a template");
    std::fs::write(place.path("repo/a.j2"), "port = {{ prot }}\n").unwrap();
    place.commit(2, "two");
    place.cli(&["config", "--check"]).ends(1).says("a.j2:1: `prot` is not defined");
    let json = place.cli(&["config", "--check", "--json"]).ends(1).stdout;
    assert!(json.contains("`prot` is not defined"), "{json}");
    std::fs::write(place.path("repo/a.j2"), "port = 80\n").unwrap();
    place.commit(3, "three");
    place.cli(&["config", "--check"]).ends(0).says("the configuration is right\n");
    place.reconfigure("app =", "vars_files = [\"nothing.toml\"]\napp =");
    place.cli(&["config", "--check"]).ends(1).says("nothing.toml");
}
