//! Files that are rendered into releases: planned, deployed, gone back to, refused.

use std::fs;

use crate::place::Place;

const TEMPLATE: &str = "[[template]]\nsource = \"templates/app.conf.j2\"\n\
                        destination = \"conf/app.conf\"\n";

/// A place whose version has a template, and whose configuration begins with `first` and ends with
/// `more`.
fn place(template: &str, first: &str, more: &str) -> Place {
    let place = Place::bare();
    place.configure(&format!("{TEMPLATE}{more}"));
    prepend(&place, first);
    fs::create_dir(place.path("repo/templates")).unwrap();
    fs::write(place.path("repo/templates/app.conf.j2"), template).unwrap();
    place.version(1, "one");
    place
}

fn prepend(place: &Place, first: &str) {
    let file = place.path("repo/deploy.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{first}{text}")).unwrap();
}

fn reconfigure(place: &Place, from: &str, to: &str) {
    let file = place.path("repo/deploy.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
    place.git(&["commit", "-qam", "another configuration"]);
}

fn rendered(place: &Place) -> String {
    fs::read_to_string(place.path("srv/deploy/conf/app.conf")).unwrap_or_default()
}

#[test]
fn a_new_value_alone_is_planned_deployed_and_gone_back_from() {
    let template = "port = {{ port }}\nname = {{ deploy.host }}\n";
    let place = place(template, "", "[vars]\nport = 80\n");
    let ran = place.cli(&["plan"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    deploy mockbase: release/2026-01-01/1 ($COMMIT) — 1 of 1 host to change

    group default: 1 host, stops at the 1st failure of 1
      local  nothing → release/2026-01-01/1  no way back: first deploy

    conf/app.conf on local:
      new file, mode 0444
      @@ -0,0 +1,2 @@
      +port = 80
      +name = local

    on each host:
      restart                 run cp $PLACE/srv/deploy/version $PLACE/running
      check    check answers  `read -r v < $PLACE/running && test "$v" != broken` succeeds (within 20s)
    warning: no way back: first deploy on local
    [0]
    "#);
    place.cli(&["deploy"]).ends(0);
    assert_eq!(rendered(&place), "port = 80\nname = local\n");
    place.cli(&["deploy"]).ends(0).says("1 unchanged");

    reconfigure(&place, "port = 80", "port = 81");
    let tag = "release/2026-01-01/1";
    let ran = place.cli(&["plan", tag]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    deploy mockbase: release/2026-01-01/1 ($COMMIT) — 1 of 1 host to change

    group default: 1 host, stops at the 1st failure of 1
      local  release/2026-01-01/1 (made anew: another configuration of it)

    conf/app.conf on local:
      @@ -1,2 +1,2 @@
      -port = 80
      +port = 81
       name = local

    on each host:
      restart                 run cp $PLACE/srv/deploy/version $PLACE/running
      check    check answers  `read -r v < $PLACE/running && test "$v" != broken` succeeds (within 20s)
    [0]
    "#);
    let ran = place.cli(&["plan", tag, "--json"]).ends(0);
    let plan: serde_json::Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(plan["diffs"][0]["file"], "conf/app.conf");
    assert_eq!(plan["diffs"][0]["targets"], serde_json::json!(["local"]));
    let diff = plan["diffs"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("-port = 80\n+port = 81\n"), "{diff}");
    place.cli(&["deploy", tag]).ends(0).says("1 deployed");
    assert_eq!(rendered(&place), "port = 81\nname = local\n");

    place.cli(&["plan", "previous"]).ends(0).says("-port = 81").says("+port = 80");
    place.cli(&["rollback"]).ends(0);
    assert_eq!(rendered(&place), "port = 80\nname = local\n");
    assert_eq!(place.live(), "one");
}

#[test]
fn variables_come_from_groups_files_and_hosts_and_later_wins() {
    let template = "{{ a }} {{ b }} {{ c }} {{ d }} {{ t.x }} {{ t.y }}\n";
    let place = place(
        template,
        "vars_files = [\"common.toml\", \"{environment}.json\", \"none/{host}.toml\"]\n\
         default_environment = \"beta\"\n",
        "[vars]\na = 1\nb = 1\nc = 1\nd = 1\nt = { x = 1, y = 1 }\n\
         [host_vars.local]\nd = 5\n[environment.beta.vars]\na = 2\nt = { x = 2 }\n",
    );
    let group = "hosts = [\"local\"]";
    reconfigure(&place, group, &format!("{group}\nvars = {{ b = 3, c = 3, d = 3 }}"));
    fs::write(place.path("repo/common.toml"), "c = 4\nd = 4\n[t]\ny = 4\n").unwrap();
    fs::write(place.path("repo/beta.json"), "{\"d\": 4.5}").unwrap();
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    assert_eq!(rendered(&place), "2 3 4 5 2 4\n");
    // Another value by a variable, as of any key.
    let mut command = place.command(&["deploy"]);
    let output = command.env("DEPLOY_CFG__VARS__A", "9").output().unwrap();
    place.ran(&output).ends(0).says("1 deployed");
    assert_eq!(rendered(&place), "9 3 4 5 2 4\n");
    // A file that is not there refuses a deploy, but not what needs none.
    fs::remove_file(place.path("repo/common.toml")).unwrap();
    place.git(&["commit", "-qam", "no variables"]);
    let tag = "release/2026-01-02/1";
    place.cli(&["deploy", tag]).ends(1).says("vars_files").says("common.toml");
    place.cli(&["status"]).ends(0).says(tag);
    place.cli(&["rollback"]).ends(0);
    assert_eq!(rendered(&place), "2 3 4 5 2 4\n");
}

#[test]
fn secrets_are_masked_and_what_they_lack_is_told_beforehand() {
    let template = "token = {{ secret.token }}\n";
    let place = place(template, "", "");
    let secrets = place.path("secrets.toml");
    prepend(&place, &format!("secrets_file = \"{}\"\n", secrets.display()));
    place.git(&["commit", "-qam", "secrets"]);
    let ran = place.cli(&["deploy", "release/2026-01-01/1"]).ends(1);
    ran.says("local: ").says("its secrets: $PLACE/secrets.toml is not there: write it, for ");
    assert_eq!(place.live(), "");
    fs::write(&secrets, "tokn = \"hunter2\"\n").unwrap();
    let ran = place.cli(&["plan", "release/2026-01-01/1"]).ends(1);
    let lacks = "the secret token, which templates/app.conf.j2 writes, is missing: put it into \
                 $PLACE/secrets.toml there";
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    ran.says(lacks);
    fs::write(&secrets, "token = \"hunter2\"\n").unwrap();
    let ran = place.cli(&["plan", "release/2026-01-01/1"]).ends(0);
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    ran.says("+token = __secret.token__");
    place.cli(&["deploy", "release/2026-01-01/1"]).ends(0);
    assert_eq!(rendered(&place), "token = hunter2\n");
    // Another secret is another release, by itself.
    fs::write(&secrets, "token = \"hunter3\"\n").unwrap();
    let tag = "release/2026-01-01/1";
    place.cli(&["plan", tag]).ends(0).says("its secrets have changed on the host");
    place.cli(&["deploy", tag]).ends(0).says("1 deployed");
    assert_eq!(rendered(&place), "token = hunter3\n");
    place.cli(&["deploy", tag]).ends(0).says("1 unchanged");
    assert_eq!(elsewhere(&place, "hunter[23]"), Vec::<String>::new(), "a secret lies elsewhere");
}

/// The files, but for those that are to hold secrets, in which something matches `pattern`.
fn elsewhere(place: &Place, pattern: &str) -> Vec<String> {
    let found = std::process::Command::new("grep")
        .args(["-rlE", pattern, "."])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let odd = |path: &&str| !path.ends_with("/conf/app.conf") && *path != "./secrets.toml";
    found.lines().filter(odd).map(str::to_owned).collect()
}

#[test]
fn a_secret_that_a_check_or_a_step_says_is_masked() {
    let template = "{{ secret.db.password }} {{ secret.db.password|urlencode }}\n";
    let live = "$DEPLOY_RELEASE_PATH/conf/app.conf";
    let more = format!(
        "[[step]]\nname = \"talks\"\nstage = \"before-promote\"\n\
         command = 'cat {live}; printf hunt; sleep 0.3; echo er+2; cat {live} >&2'\n\
         [[check]]\nname = \"tells\"\ncommand = 'cat {live}; grep . {live} >&2; false'\n"
    );
    let place = place(template, "", &more);
    let secrets = place.path("secrets.toml");
    prepend(&place, &format!("secrets_file = \"{}\"\n", secrets.display()));
    fs::write(&secrets, "[db]\npassword = \"hunter+2\"\n").unwrap();
    place.git(&["commit", "-qam", "secrets"]);
    let ran = place.cli(&["deploy", "-v", "release/2026-01-01/1"]);
    assert!(!ran.all().contains("hunter"), "{}", ran.all());
    let shown = "__secret.db.password__ __secret.db.password__";
    let ran = ran.says(shown);
    assert_ne!(ran.code, 0, "the check fails");
    place.cli(&["show", "--host", "local"]).says(shown).never_says("hunter");
    assert!(place.holds(&place.path("repo/.git/deploy"), shown).is_some(), "kept as it was shown");
    assert_eq!(elsewhere(&place, "hunter"), Vec::<String>::new(), "a secret lies elsewhere");
}

#[test]
fn a_template_that_fails_refuses_before_anything_is_touched() {
    let place = place("a\nport = {{ prot }}\n", "", "[vars]\nport = 80\n");
    let ran = place.cli(&["deploy"]).ends(1);
    insta::assert_snapshot!(ran.all(), @r#"
    error: render the templates of release/2026-01-01/1
      cause: templates/app.conf.j2:2: `prot` is not defined (for local)
    hint: did you mean `port`?
    [1]
    "#);
    assert_eq!(place.live(), "");
    place.cli(&["history"]).ends(0).says("no run yet");
    fs::write(place.path("repo/templates/app.conf.j2"), "ok\n").unwrap();
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    // Back to a version that cannot be rendered now, and is not there: that host says why.
    let ran = place.cli(&["rollback", "release/2026-01-01/1"]);
    assert_ne!(ran.code, 0);
    ran.says("`prot` is not defined").says("it is not there (keep = 3)");
}

#[test]
fn back_to_a_version_that_lacks_a_template_says_why_that_cannot_be() {
    let place = Place::new();
    place.configure(TEMPLATE);
    fs::create_dir(place.path("repo/templates")).unwrap();
    fs::write(place.path("repo/templates/app.conf.j2"), "ok\n").unwrap();
    place.git(&["add", "."]);
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    let ran = place.cli(&["rollback", "release/2026-01-01/1"]);
    assert_ne!(ran.code, 0);
    let why = "it is not there (keep = 3), and cannot be made anew: the version has no file \
               \"templates/app.conf.j2\"";
    ran.says(why).says("choose a version that is still there").never_says("correct `source`");
}

#[test]
fn doctor_finds_what_templates_lack() {
    let place = place("token = {{ secret.token }}\n", "", "");
    let secrets = place.path("secrets.toml");
    prepend(&place, &format!("secrets_file = \"{}\"\n", secrets.display()));
    place.version(2, "two");
    place.cli(&["doctor"]).ends(1).says("local: its secrets: $PLACE/secrets.toml is not there");
    fs::write(&secrets, "tokn = \"hunter2\"\n").unwrap();
    let lacks = "local: the secret token, which templates/app.conf.j2 writes, is missing";
    place.cli(&["doctor"]).ends(1).says(lacks).never_says("hunter2");
    fs::write(&secrets, "token = \"hunter2\"\n").unwrap();
    let well = "those of release/2026-01-02/1 can be rendered";
    place.cli(&["doctor", "-v"]).ends(0).says(well).never_says("hunter2");

    fs::write(place.path("repo/templates/app.conf.j2"), "{{ prot }}\n").unwrap();
    place.version(3, "three");
    let ran = place.cli(&["doctor"]).ends(1).says("render the templates of release/2026-01-03/1");
    ran.says("templates/app.conf.j2:1: `prot` is not defined");
    fs::remove_file(place.path("repo/templates/app.conf.j2")).unwrap();
    place.version(4, "four");
    let ran = place.cli(&["doctor"]).ends(1);
    ran.says("the version has no file \"templates/app.conf.j2\", a template")
        .says("cure: add it to the repository");
    assert_eq!(place.live(), "", "nothing was brought anywhere");
}

#[test]
fn variables_for_a_host_that_is_nowhere_are_refused() {
    let place = place(
        "{{ a }}\n",
        "default_environment = \"production\"\n",
        "[vars]\na = 1\n[host_vars.locl]\na = 2\n[host_vars.\"web[1-3]\"]\na = 3\n\
         [environment.production]\n\
         [environment.beta]\ngroup = [{ name = \"b\", hosts = [\"local\"], hosts_file = \"web\" }]\n",
    );
    fs::write(place.path("repo/web"), "web[3-9]\n").unwrap();
    place.version(2, "two");
    for words in [&["deploy"][..], &["plan"], &["config", "--check"], &["doctor"]] {
        let ran = place.cli(words).ends(1).says("host_vars.locl: is no host of any environment");
        ran.says("did you mean `local`?");
    }
    assert_eq!(place.live(), "");
    // What needs no variables works all the same.
    place.cli(&["status"]).ends(0);
    reconfigure(&place, "[host_vars.locl]", "[host_vars.local]");
    place.cli(&["deploy", "release/2026-01-02/1"]).ends(0);
    assert_eq!(rendered(&place), "2\n");
    reconfigure(&place, "web[1-3]", "web[1-2]");
    let ran = place.cli(&["plan"]).ends(1);
    ran.says("host_vars.web[1-2]: is no host of any environment");
}
