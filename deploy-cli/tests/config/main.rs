//! Every refusal of a configuration, as a person reads it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clusters;

use std::path::Path;

use deploy_cli::{
    config::{Loaded, Wanted, load},
    error::CommandError,
};
use deploy_core::model::Environment;

/// A configuration that is right; tests break one thing of it.
const GOOD: &str = r#"app = "mockbase"
[version]
scheme = "date"
[layout]
path = "/srv/deployment/mockbase/deploy"
[[group]]
name = "canary"
hosts = ["h1"]
[[group]]
name = "default"
hosts = ["h2", "h3"]
[[check]]
name = "port"
port = 1134
"#;

fn wanted(directory: &Path, environment: Option<&str>) -> Wanted {
    Wanted {
        cwd: directory.to_owned(),
        top: Some(directory.to_owned()),
        environment: environment.map(|name| Environment::new(name).unwrap()),
        ..Wanted::default()
    }
}

fn load_text(text: &str, environment: Option<&str>) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("deploy.toml"), text).unwrap();
    load(&wanted(directory.path(), environment)).map_err(|error| {
        let error = CommandError::from(error);
        let hints: Vec<String> = error.hints().iter().map(|hint| format!(" | {hint}")).collect();
        let place = format!("{}/", directory.path().display());
        format!("{error}{}", hints.concat()).replace(&place, "")
    })
}

fn refused(text: &str) -> String {
    load_text(text, None).map(|_| ()).expect_err("it was accepted")
}

fn broken(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    refused(&GOOD.replacen(from, to, 1))
}

#[test]
fn a_right_one_is_read() {
    let loaded = load_text(GOOD, None).unwrap();
    assert_eq!(loaded.config.app.as_str(), "mockbase");
    assert_eq!((loaded.config.group.len(), loaded.config.layout.as_ref().unwrap().keep), (2, 5));
}

#[test]
fn refusals() {
    let mut all = String::new();
    for (from, to) in [
        ("hosts = [\"h2\"", "hots = [\"h2\""),
        ("scheme =", "sceme ="),
        ("\"date\"", "\"dates\""),
        ("[version]", "[versions]"),
        ("port = 1134", "port = \"http\""),
        ("port = 1134", "port = 99999"),
        ("port = 1134", "port = 0"),
        ("port = 1134", ""),
        ("port = 1134", "port = 1134\nhttp = \"http://localhost/\""),
        ("port = 1134", "port = 1134\nstatus = 200"),
        ("port = 1134", "port = 1134\ntimeout = \"soon\""),
        ("port = 1134", "port = 1134\ntimeout = 30"),
        ("port = 1134", "port = 1134\ntimeout = \"0s\""),
        ("port = 1134", "command = \" \""),
        ("port = 1134", "http = \"http://localhost/\"\nstatus = 20"),
        ("port = 1134", "service = \"a\"\nstay_up = \"30s\""),
        ("name = \"canary\"", "name = \"canary\"\ninterval = \"5s\""),
        ("[[check]]", "[[step]]\nname = \"s\"\ncommand = \"\"\nstage = \"fetch\"\n[[check]]"),
        ("[[check]]", "[restart]\nmethod = \"command\"\ncommand = \"\"\n[[check]]"),
        ("[[check]]", "[notify]\ncommand = \"\"\n[[check]]"),
        ("scheme = \"date\"", "prefix = \"release\""),
        (
            "app = \"mockbase\"",
            "app = \"mockbase\"\ndefault_environment = \"beta\"\nenvironment.beta.environment = 1",
        ),
        ("app = \"mockbase\"", "app = \"mockbase\"\nstate_dir = \"~/runs\""),
        ("port = 1134", "port = 1134\ngroup = \"canari\""),
        ("port = 1134", "port = 1134\nstage = \"restart\""),
        ("app = \"mockbase\"", ""),
        ("app = \"mockbase\"", "app = \"../etc\""),
        ("app = \"mockbase\"", "app = 3"),
        ("\"/srv/deployment/mockbase/deploy\"", "\"srv/deploy\""),
        ("path =", "keep ="),
        ("hosts = [\"h1\"]", "hosts = []"),
        ("hosts = [\"h1\"]", "hosts = [\"-oProxyCommand=x\"]"),
        ("hosts = [\"h1\"]", "hosts = [\"h[1-\"]"),
        ("\"h3\"", "\"h2\""),
        ("\"h3\"", "\"h[2-3]\""),
        ("name = \"default\"", "name = \"canary\""),
        ("name = \"default\"", "name = \"a b\""),
        ("name = \"canary\"", "name = \"canary\"\nbatch = \"0%\""),
        ("name = \"canary\"", "name = \"canary\"\nbatch = -1"),
        ("name = \"canary\"", "name = \"canary\"\nmax_failures = \"101%\""),
        ("name = \"canary\"", "name = \"canary\"\nmax_failures = 1.5"),
        ("name = \"canary\"", "name = \"canary\"\npause = \"aks\""),
        ("[[check]]", "[restart]\n[[check]]"),
        ("[[check]]", "[restart]\nmethod = \"command\"\n[[check]]"),
        ("[[check]]", "[restart]\nservice = \"a\"\nservices = [\"b\"]\n[[check]]"),
        ("[[check]]", "[[step]]\nname = \"s\"\ncommand = \"c\"\nstage = \"restart\"\n[[check]]"),
        (
            "[[check]]",
            "[[step]]\nname = \"s\"\ncommand = \"c\"\nstage = \"fetch\"\nwhere = \"once\"\n[[check]]",
        ),
        ("[[check]]", "[run]\nmax_failure = 1\n[[check]]"),
        ("[[check]]", "[run.timeouts]\nfetch = \"10\"\n[[check]]"),
        ("scheme = \"date\"", "scheme = \"date"),
        ("scheme = \"date\"", "scheme = \"date\"\nscheme = \"date\""),
        ("app = \"mockbase\"", "app = \"mockbase\"\ndefault_environment = \"beta\""),
    ] {
        all.push_str(&broken(from, to));
        all.push('\n');
    }
    insta::assert_snapshot!(all, @r#"
deploy.toml:11: [[group]] #2 hots: unknown key | did you mean `hosts`?
deploy.toml:3: version.sceme: unknown key | did you mean `scheme`?
deploy.toml:3: version.scheme: "dates" is not one of its values | did you mean `date`?
deploy.toml:2: versions: unknown key | did you mean `version`?
deploy.toml:14: [[check]] #1 port: expected a number from 0 to 65535, found string "http"
deploy.toml:14: [[check]] #1 port: expected a number from 0 to 65535, found the number `99999`
deploy.toml:14: [[check]] #1 port: 0 is no port
deploy.toml:12: [[check]] #1: needs one of port, http, command, script, service, nrpe, log, rollout or prometheus
deploy.toml:15: [[check]] #1 http: asks several things (port, http): make each a [[check]]
deploy.toml:15: [[check]] #1 status: goes with `http` only
deploy.toml:15: [[check]] #1 timeout: "soon" is not a span of time such as "120s", "5m" or "1h30m"
deploy.toml:15: [[check]] #1 timeout: expected a span of time such as "120s", found the number `30`
deploy.toml:15: [[check]] #1 timeout: "0s" is no time at all: leave the key out to have its default
deploy.toml:14: [[check]] #1 command: is empty: it could never fail
deploy.toml:15: [[check]] #1 status: no server answers that: give 100 to 599
deploy.toml:15: [[check]] #1 stay_up: could never pass: the check's `timeout` is 30s
deploy.toml:8: [[group]] #1 interval: goes with `soak` only
deploy.toml:14: [[step]] #1 command: is empty
deploy.toml:14: restart.command: is empty
deploy.toml:13: notify.command: is empty
deploy.toml:3: version.prefix: goes with scheme = "date", "semver" or "timestamp" only
deploy.toml:3: environment: cannot stand in an environment: it would do nothing
deploy.toml:2: state_dir: `~` is not expanded here: give the whole path
deploy.toml:15: [[check]] #1 group: there is no group canari | did you mean `canary`?
deploy.toml:15: [[check]] #1 stage: "restart" is not one of its values | known here: fetch, promote, check
deploy.toml: the key `app` is missing
deploy.toml:1: app: app "../etc" has a character that is not allowed
deploy.toml:1: app: expected a string, found the number `3` | put it in quotes, to have it as text
deploy.toml:5: layout.path: must be an absolute path on the hosts
deploy.toml:5: layout.keep: expected a whole number, not negative, found string "/srv/deployment/mockbase/deploy"
deploy.toml:6: [[group]] #1: group canary has no hosts: give `hosts`, `hosts_file` or `clusters`
deploy.toml:8: [[group]] #1 hosts #1: target "-oProxyCommand=x" has a character that is not allowed
deploy.toml:8: [[group]] #1 hosts #1: "h[1-" has a bracket without its partner
deploy.toml:11: [[group]] #2 hosts #2: h2 is named twice in group default
deploy.toml:11: [[group]] #2 hosts #2: h2 is named twice in group default
deploy.toml:10: [[group]] #2 name: "canary" is defined twice
deploy.toml:10: [[group]] #2 name: group "a b" has a character that is not allowed
deploy.toml:8: [[group]] #1 batch: a batch of 0 would never end: give a number from 1, a percentage, or `all`
deploy.toml:8: [[group]] #1 batch: "-1" is neither a number such as 3 nor a percentage such as "25%"
deploy.toml:8: [[group]] #1 max_failures: "101%" is more than 100 %
deploy.toml:8: [[group]] #1 max_failures: expected a number such as 3 or a percentage such as "10%", found float `1.5`
deploy.toml:8: [[group]] #1 pause: "aks" is not one of its values | known here: go, ask
deploy.toml:12: restart: needs `service`, `services` or `command`
deploy.toml:13: restart.method: `command` needs the key `command`
deploy.toml:14: restart.services: give either `service` or `services`
deploy.toml:15: [[step]] #1 stage: "restart" is not one of its values | known here: fetch, before-promote, after-check
deploy.toml:15: [[step]] #1 stage: a step of stage "fetch" builds the release itself, which must be the same everywhere: it runs on each host of all groups
deploy.toml:13: run.max_failure: unknown key | did you mean `max_failures`?
deploy.toml:13: run.timeouts.fetch: "10" is not a span of time such as "120s", "5m" or "1h30m"
deploy.toml:3: invalid basic string, expected `"`
deploy.toml:4: duplicate key
there is no environment beta: the configuration defines none | add [environment.beta], or leave --env away
"#);
}

#[test]
fn environments() {
    let text = format!(
        "{GOOD}\n[environment.beta]\ngroup = [{{ name = \"beta\", hosts = [\"b1\"] }}]\n\
         [environment.beta.ssh]\nuser = \"beta\"\n[environment.production]\n"
    );
    assert_eq!(
        refused(&text),
        "the configuration defines environments: say which | --env beta | --env production"
    );
    let beta = load_text(&text, Some("beta")).unwrap();
    assert_eq!(beta.config.group.len(), 1, "arrays are replaced");
    assert_eq!(beta.config.ssh.user.as_deref(), Some("beta"));
    let unknown = load_text(&text, Some("betta")).map(|_| ()).unwrap_err();
    assert_eq!(unknown, "there is no environment betta | did you mean `beta`?");
    let default = text.replace("app =", "default_environment = \"production\"\napp =");
    assert_eq!(load_text(&default, None).unwrap().config.group.len(), 2);
    let slip = default.replace("user =", "usr =");
    assert_eq!(
        refused(&slip),
        "deploy.toml:20: ssh.usr: unknown key | did you mean `user`?",
        "in an environment that was not asked for"
    );
    let none = load_text(GOOD, Some("beta")).map(|_| ()).unwrap_err();
    assert!(none.contains("defines none"), "{none}");
}

#[test]
fn the_file_is_looked_for_upwards_and_no_higher_than_the_repository() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::write(directory.path().join("deploy.toml"), GOOD).unwrap();
    let mut wanted = wanted(directory.path(), None);
    wanted.cwd.clone_from(&below);
    assert_eq!(load(&wanted).unwrap().file, directory.path().join("deploy.toml"));
    wanted.top = Some(directory.path().join("a"));
    assert!(load(&wanted).is_err());
    wanted.file = Some(directory.path().join("deploy.toml"));
    assert!(load(&wanted).is_ok());
}

#[test]
fn later_wins_and_each_value_says_where_it_comes_from() {
    let directory = tempfile::tempdir().unwrap();
    let system = directory.path().join("system.toml");
    std::fs::write(&system, "[ssh]\nuser = \"all\"\nmax_starts = 3\n").unwrap();
    let text = format!("{GOOD}[ssh]\nuser = \"here\"\n[environment.beta.layout]\nkeep = 7\n");
    std::fs::write(directory.path().join("deploy.toml"), text).unwrap();
    let mut wanted = wanted(directory.path(), Some("beta"));
    wanted.system = Some(system);
    let loaded = load(&wanted).unwrap();
    assert_eq!(loaded.config.ssh.user.as_deref(), Some("here"));
    assert_eq!(
        (loaded.config.ssh.max_starts, loaded.config.layout.as_ref().unwrap().keep),
        (Some(3), 7)
    );
    let place = |key: &str| {
        let settings = loaded.settings();
        let found = settings.iter().find(|setting| setting.key == key).unwrap();
        let name = found.place.to_string();
        name.rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(place("ssh.user"), "deploy.toml:16");
    assert_eq!(place("ssh.max_starts"), "system.toml:3");
    assert_eq!(place("layout.keep"), "deploy.toml:18");
    assert_eq!(place("group.1.hosts"), "deploy.toml:11");
}

#[test]
fn fetch_is_a_method_or_a_table() {
    use deploy_cli::config::FetchBy;
    let with = |fetch: &str| GOOD.replacen("[version]", &format!("{fetch}\n[version]"), 1);
    let method = |fetch: &str| load_text(&with(fetch), None).unwrap().config.fetch.method;
    assert_eq!(method(""), FetchBy::Push);
    assert_eq!(method("fetch = \"push\""), FetchBy::Push);
    assert_eq!(method("fetch = \"pull\""), FetchBy::Pull);
    assert_eq!(method("[fetch]\nmethod = \"pull\"\nurl = \"git@h:x\""), FetchBy::Pull);
    let archive = "[fetch]\nmethod = \"archive\"\ncommand = \"make\"\ntimeout = \"5m\"";
    assert_eq!(method(archive), FetchBy::Archive);
    let overlay = format!("{}[environment.beta]\nfetch = \"push\"\n", with(archive));
    let beta = load_text(&overlay, Some("beta")).unwrap();
    assert_eq!(beta.config.fetch.method, FetchBy::Push);
    let refusals: Vec<String> = [
        "fetch = \"pusch\"",
        "fetch = 3",
        "fetch = \"archive\"",
        "[fetch]\nmethod = \"archive\"\ncommand = \" \"",
        "[fetch]\ncommand = \"make\"",
        "[fetch]\nurl = \"git@h:x\"",
        "[fetch]\nmethods = \"push\"",
        "[fetch]\nmethod = \"archive\"\ncommand = \"make\"\n\
         [[step]]\nname = \"build\"\nstage = \"fetch\"\ncommand = \"make\"",
    ]
    .map(|fetch| refused(&with(fetch)))
    .into();
    insta::assert_snapshot!(refusals.join("\n"), @r#"
deploy.toml:2: fetch: "pusch" is not one of its values | did you mean `push`?
deploy.toml:2: fetch: expected a method such as "push", or a table, found the number `3`
deploy.toml:2: fetch: needs `command`: what builds the archive
deploy.toml:2: fetch: needs `command`: what builds the archive
deploy.toml:3: fetch.command: goes with method = "archive" only
deploy.toml:3: fetch.url: goes with method = "pull" only
deploy.toml:3: fetch.methods: unknown key | did you mean `method`?
deploy.toml:7: [[step]] #1 stage: an archive is complete as it was built: build in `command` of [fetch]
"#);
}

#[test]
fn what_templates_could_not_see_is_refused() {
    let template = "[[template]]\nsource = \"a.j2\"\ndestination = \"a\"\n";
    for (top, more, problem) in [
        ("", "[vars]\ndeploy = 1\n", "deploy.toml:16: vars.deploy: is what templates get"),
        ("", "[host_vars.h1]\nsecret = 1\n", "host_vars.h1.secret: is what templates get"),
        ("", "[host_vars.\"h[1\"]\na = 1\n", "has a bracket without its partner"),
        ("vars_files = [\"a.yaml\"]\n", "", "vars_files #1: is neither `.toml` nor `.json`"),
        ("vars_files = [\"{hots}.toml\"]\n", "", "may have {environment}, {group} and {host}"),
        ("vars_files = [\"~/a.toml\"]\n", "", "`~` is not expanded here"),
        (
            "secrets_file = \"/etc/s\"\n",
            "",
            "secrets_file: goes with [[template]] only | remove that line",
        ),
        ("", "[[template]]\nsource = \"a\"\n", "the key `destination` is missing"),
        ("", &format!("{template}mod = \"0444\"\n"), "did you mean `mode`?"),
        ("", &format!("{template}groups = [\"canari\"]\n"), "did you mean `canary`?"),
    ] {
        let said = refused(&format!("{top}{GOOD}{more}"));
        assert!(said.contains(problem), "{said}");
    }
    let right = "secrets_file = \"/etc/s.toml\"\nvars_files = [\"vars/{host}.toml\"]\n";
    let more =
        format!("{template}mode = \"0440\"\n[vars]\na.b = 1\n[host_vars.\"h[1-3]\"]\nc = 1\n");
    let loaded = load_text(&format!("{right}{GOOD}{more}"), None).unwrap();
    assert_eq!((loaded.config.template.len(), loaded.config.host_vars.len()), (1, 1));
}
