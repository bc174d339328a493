//! Checks as they are configured, and what a deployer sees of them.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use crate::place::Place;

#[test]
fn what_could_never_pass_or_fail_is_refused() {
    let mut all = String::new();
    let place = Place::new();
    for check in [
        "http = \"ftp://h/\"",
        "http = \"http://{target}/{version}\"",
        "http = \"http://h/\"\nmethod = \"DELETE\"",
        "http = \"http://h/\"\nredirects = 300",
        "http = \"http://h/\"\nbody_matches = \"\\\\d+\"",
        "http = \"http://h/\"\njson = { status = \"ok\" }",
        "http = \"http://h/\"\nheaders = { \"a b\" = \"c\" }",
        "http = \"http://h/\"\nheaders = { X = \"{env:}\" }",
        "http = \"http://h/\"\nheaders = { authorization = \"Basic abc\" }",
        "http = \"http://h/\"\nca_file = \"ca.pem\"",
        "http = \"https://h/\"\nca_file = \"ca.pem\"",
        "http = \"https://h/\"\nca_file = \"deploy.toml\"",
        "port = 1\njson = { \"/status\" = \"ok\" }",
        "port = 1\nwarning = \"ok\"",
        "nrpe = \"a]\"",
        "nrpe = \"a\"\nargs = [\"$(id)\"]",
        "nrpe = \"a\"\nwarning = \"pass\"",
        "nrpe = \"a\"\nlog = { file = \"/l\", must_match = \"x\" }",
        "log = {}",
        "log = { file = \"/l\", journal = \"u\", must_match = \"x\" }",
        "log = { file = \"/l\" }",
        "log = { file = \"/l\", must_match = \"x\", must_not_match = \"y\" }",
        "log = { file = \"/l\", must_match = \"x\", watch = \"1s\" }",
        "log = { file = \"/l\", must_not_match = \"x\", watch = \"1m\" }",
        "log = { file = \"/l\", must_match = \"x\" }\nstage = \"promote\"",
        "log = { file = \"log/l\", must_match = \"x\" }",
        "log = { journal = \"a b\", must_match = \"x\" }",
        "log = { file = \"/l\", must_match = \"(x\" }",
        "log = { file = \"/l\", must_not_match = \"\" }",
        "log = { fill = \"/l\" }",
        "nrpe = \"a\"\n[nrpe]\npaths = [\"nrpe.d\"]",
        "nrpe = \"a\"\n[nrpe]\npaths = []",
    ] {
        place.configure(&format!("[[check]]\nname = \"c\"\n{check}\n"));
        let ran = place.cli(&["plan"]).ends(1);
        all.push_str(&ran.stderr);
    }
    insta::assert_snapshot!(all, @r#"
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 http: "ftp://h/" is neither http nor https
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 http: "http://{target}/{version}" has {version}: only {target} stands for something in a URL (a brace itself is %7B or %7D)
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 method: "DELETE" is none of GET, HEAD, OPTIONS and POST
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 redirects: expected a number from 0 to 255, found the number `300`
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 body_matches: pattern "\\d+" has a backslash that not every grep reads the same: write [0-9]
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 json.status: "status" is no JSON pointer: it begins with a /, as in "/status"
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 headers.a b: "a b" cannot be the name of a header here
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 headers.X: {env:…} needs the name of a variable and a closing brace
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 headers.authorization: a secret does not belong into this file: name a variable of the deployer that has it, as in "Bearer {env:TOKEN}"
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 ca_file: goes with a URL of https only
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 ca_file: cannot read $PLACE/repo/ca.pem: No such file or directory (os error 2)
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 ca_file: $PLACE/repo/deploy.toml holds no certificate that can be read
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 json: goes with `http` only
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 warning: goes with `nrpe` only
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 nrpe: "a]" is not the name of a command in NRPE's configuration
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 args: "$(id)" holds '$', which an argument for NRPE may not
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 warning: "pass" is not one of its values
    hint: known here: ok, fail
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 log: asks several things (nrpe, log): make each a [[check]]
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log: needs `file` or `journal`
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.journal: give either `file` or `journal`
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log: needs `must_match` or `must_not_match`
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.must_not_match: make it a [[check]] of its own
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.watch: goes with `must_not_match` only
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.watch: could never pass: the check's `timeout` is 30s
    error: $PLACE/repo/deploy.toml:23: [[check]] #2 stage: a log is looked through since the restart: it goes with "check" only
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.file: "log/l" is not an absolute path of a file
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.journal: service name "a b" has a character that is not allowed
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.must_match: pattern "(x" cannot be used: unclosed group
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.must_not_match: pattern "" is empty: it matches every line
    error: $PLACE/repo/deploy.toml:22: [[check]] #2 log.fill: unknown key
    hint: did you mean `file`?
    error: $PLACE/repo/deploy.toml:24: nrpe.paths #1: must be an absolute path on the hosts
    error: $PLACE/repo/deploy.toml:24: nrpe.paths: is empty: leave the key out to have its default
    "#);
}

/// Answers every request on a port with 200 where it brings the token, else 403 with all it was
/// told.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..count]);
            let right = request.contains("authorization: Bearer hunter2\r\n")
                || request.contains("Authorization: Bearer hunter2\r\n");
            let status = if right { "200 OK" } else { "403 No" };
            let length = request.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{request}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn a_secret_of_a_header_comes_from_a_variable_and_is_kept() {
    let place = Place::bare();
    place.configure(&format!(
        "[[check]]\nname = \"info\"\nhttp = \"http://localhost:{}/\"\ntimeout = \"2s\"\n\
         headers = {{ Authorization = \"Bearer {{env:HEALTH_TOKEN}}\", X-Version = \"{{version}}\" }}\n",
        serve()
    ));
    place.version(1, "one");
    for words in [&["deploy", "--yes"][..], &["plan"], &["config", "--check"], &["doctor"]] {
        let ran = place.cli(words).ends(1);
        ran.says("headers.Authorization: the variable HEALTH_TOKEN is not set here");
    }
    assert_eq!(place.live(), "");

    let with = |token: &str, words: &[&str]| {
        let mut command = place.command(words);
        place.ran(&command.env("HEALTH_TOKEN", token).output().unwrap())
    };
    // The server repeats what it was told; the journal and all outputs keep quiet about it.
    let wrong = with("wrong-secret", &["deploy", "--yes"]).ends(3).says("Bearer ***");
    let right = with("hunter2", &["deploy", "--yes"]).ends(0);
    let config = with("hunter2", &["config"]).ends(0).says("{env:HEALTH_TOKEN}");
    for secret in ["wrong-secret", "hunter2"] {
        for ran in [&wrong, &right, &config] {
            assert!(!ran.all().contains(secret), "{}", ran.all());
        }
        let found = place.holds(&place.path("repo/.git/deploy"), secret);
        assert_eq!(found, None, "{secret}");
    }
}

#[test]
fn a_line_that_must_not_come_brings_the_old_version_back() {
    let place = Place::bare();
    let at = place.path("");
    let at = at.display();
    fs::write(place.path("app.log"), "an ERROR of yesterday\n").unwrap();
    place.configure(&format!(
        "[[check]]\nname = \"logs\"\ncommand = \"cat {at}srv/deploy/version >> {at}app.log\"\n\
         [[check]]\nname = \"silent\"\nlog = {{ file = \"{at}app.log\", must_not_match = \"^ERROR\" }}\n\
         [[check]]\nname = \"ready\"\nlog = {{ file = \"{at}app.log\", must_match = \"^(one|two)$\" }}\n"
    ));
    let first = place.version(1, "one");
    place.cli(&["deploy", &first, "--yes"]).ends(0);
    place.cli(&["deploy", &first, "--yes"]).ends(0).says("unchanged");
    let second = place.version(2, "ERROR: no shard 9 \u{1b}[2J\u{202e}");
    let ran = place.cli(&["deploy", &second, "--yes"]).ends(3);
    ran.says("$PLACE/app.log has lines with ^ERROR since the restart")
        .says("ERROR: no shard 9 \\x1b[2J\\u{202e}")
        .never_says("\u{1b}")
        .never_says("an ERROR of yesterday");
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    let third = place.version(3, "two");
    place.cli(&["deploy", &third, "--yes"]).ends(0);
    place.reconfigure("name = \"ready\"", "name = \"ready\"\ntimeout = \"1s\"");
    let fourth = place.version(4, "something else");
    let ran = place.cli(&["deploy", &fourth, "--yes"]).ends(3);
    ran.says("no line with ^(one|two)$ in $PLACE/app.log since the restart");
    assert_eq!(place.live(), "two");
}

#[test]
fn what_nrpe_knows_is_asked_and_a_warning_may_pass() {
    let place = Place::bare();
    let at = place.path("nrpe.cfg");
    let state = place.path("state");
    let definition = format!(
        "command[check_it]=read -r state <{}; echo IT is at $state%; exit $ARG1$\n",
        state.display()
    );
    fs::write(&at, definition).unwrap();
    fs::write(&state, "91\n").unwrap();
    let deploy = |number: u32, args: &str, warning: &str| {
        place.configure(&format!(
            "[[check]]\nname = \"it\"\nnrpe = \"check_it\"\nargs = {args}\nwarning = \"{warning}\"\n\
             [nrpe]\npaths = [\"{}\"]\n",
            at.display()
        ));
        let version = place.version(number, &number.to_string());
        place.cli(&["deploy", &version, "--yes"])
    };
    let ran = deploy(1, "[\"1\"]", "fail").ends(3);
    ran.says("check_it is WARNING").says("IT is at 91%");
    deploy(2, "[]", "ok").ends(1).says("wants $ARG1$").says("give it in `args`");
    let ran = deploy(3, "[\"1\"]", "ok").ends(0);
    ran.says("warning: local: check \"it\": check_it is WARNING: IT is at 91%");
    fs::write(&at, "command[check_that]=true\n").unwrap();
    let ran = deploy(4, "[\"0\"]", "fail").ends(1);
    ran.says("NRPE knows no command check_it there").says("defined there: check_that");
    assert_eq!(place.live(), "3");
}
