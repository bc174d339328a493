//! Checks that ask what only a real host knows: NRPE's commands, the journal, logs that rotate.

use std::fs;

use crate::stage::Stage;

const ONE_HOST: &str = "[[group]]\nname = \"all\"\nhosts = [\"h1\"]\n";

/// The example's server, which prints this line when it starts.
fn server_that_says(line: &str) -> String {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ssh-service/server.py");
    let text = fs::read_to_string(example).unwrap();
    let said = format!("    server.load()\n    print({line:?}, flush=True)\n");
    assert!(text.contains("    server.load()\n"), "the example has changed");
    text.replacen("    server.load()\n", &said, 1)
}

/// NRPE as Debian's package has it, one file that includes a directory; and a plugin.
const NRPE: &str = r#"
mkdir -p /etc/nagios/nrpe.d
echo include_dir=/etc/nagios/nrpe.d/ > /etc/nagios/nrpe.cfg
cat > /etc/nagios/nrpe.d/mockbase.cfg <<'END'
# what the monitoring asks
command[check_version]=/usr/local/bin/check_version --at-most $ARG1$
command[check_secret]=true
END
cat > /usr/local/bin/check_version <<'END'
#!/bin/sh
version=$(cat /srv/deployment/mockbase/deploy/VERSION)
[ "$version" -le "$2" ] && { echo "VERSION OK - $version | version=$version"; exit 0; }
[ "$version" -le 2 ] && { echo "VERSION CRITICAL - $version"; exit 2; }
echo "VERSION WARNING - $version"; exit 1
END
chmod 755 /usr/local/bin/check_version
"#;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_command_that_nrpe_knows_says_whether_the_version_stays() {
    let stage = Stage::new("checks-nrpe", 1);
    stage.configure(&format!(
        "[[check]]\nname = \"nrpe\"\nnrpe = \"check_version\"\nargs = [\"1\"]\n{ONE_HOST}"
    ));
    let v1 = stage.good(1);
    // Nothing is defined yet: then nothing is touched either.
    stage.deploy(&v1).exits(1).says("NRPE knows no command check_version there");
    assert_eq!(stage.live("h1"), None);
    stage.on("h1", NRPE);
    stage.deploy(&v1).exits(0);
    stage.all_serve(&["h1"], 1);
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(3).says("check_version is CRITICAL").says("VERSION CRITICAL - 2");
    stage.all_serve(&["h1"], 1);
    let v3 = stage.good(3);
    stage.deploy(&v3).exits(3).says("check_version is WARNING");
    stage.reconfigure("args = [\"1\"]", "args = [\"1\"]\nwarning = \"ok\"");
    let v4 = stage.good(4);
    stage.deploy(&v4).exits(0).says("check_version is WARNING: VERSION WARNING - 4");
    stage.all_serve(&["h1"], 4);
    stage.reconfigure("\"check_version\"", "\"check_versoin\"");
    let v5 = stage.good(5);
    stage.deploy(&v5).exits(1).says("defined there: check_secret, check_version");
    stage.all_serve(&["h1"], 4);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_line_in_the_journal_brings_the_old_version_back() {
    let stage = Stage::new("checks-journal", 1);
    stage.configure(
        "[[check]]\nname = \"ready\"\ntimeout = \"3s\"\n\
         log = { journal = \"mockbase\", must_match = \"^serving version [0-9]+$\" }\n\
         [[check]]\nname = \"silent\"\n\
         log = { journal = \"mockbase\", must_not_match = \"(ERROR|Traceback)\", watch = \"1s\" }\n\
         [[group]]\nname = \"all\"\nhosts = [\"h1\"]\nsoak = \"2s\"\ninterval = \"1s\"\n",
    );
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.with_server(2, &server_that_says("ERROR: no shard 9"));
    stage
        .deploy(&v2)
        .exits(3)
        .says("the journal of mockbase has lines with (ERROR|Traceback) since the restart")
        .says("ERROR: no shard 9");
    stage.all_serve(&["h1"], 1);
    // What the version before said is not held against the next one, nor for it.
    let v3 = stage.good(3);
    stage.deploy(&v3).exits(0);
    stage.all_serve(&["h1"], 3);
    let mute = server_that_says("nothing").replace("serving version", "now at");
    let v4 = stage.with_server(4, &mute);
    stage
        .deploy(&v4)
        .exits(3)
        .says("no line with ^serving version [0-9]+$ in the journal of mockbase since the restart");
    stage.all_serve(&["h1"], 3);
    // Who may not read the journal finds that out before anything is switched.
    stage.on("h1", "gpasswd -d deploy systemd-journal");
    let v5 = stage.good(5);
    stage
        .deploy(&v5)
        .exits(1)
        .says("deploy may not read the journal")
        .says("usermod --append --groups systemd-journal deploy");
    stage.all_serve(&["h1"], 3);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_log_is_read_on_when_it_rotates_in_the_middle_of_a_deploy() {
    let stage = Stage::new("checks-rotation", 1);
    stage.configure(&format!(
        "[[check]]\nname = \"silent\"\n\
         log = {{ file = \"/var/log/mockbase/main.log\", must_not_match = \"^ERROR\" }}\n{ONE_HOST}"
    ));
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(1).says("there is no file /var/log/mockbase/main.log");
    stage.on(
        "h1",
        "install -d -m 750 -o mockbase -g adm /var/log/mockbase; \
         echo 'ERROR of yesterday' > /var/log/mockbase/main.log",
    );
    stage.deploy(&v1).exits(1).says("deploy may not read /var/log/mockbase/main.log");
    stage.on("h1", "chmod 755 /var/log/mockbase");
    stage.deploy(&v1).exits(0);
    // With each start the log rotates; version 2 complains just before.
    stage.on(
        "h1",
        r#"cat > /usr/local/bin/rotate <<'END'
#!/bin/sh
cd /var/log/mockbase
read -r v < /srv/deployment/mockbase/deploy/VERSION
[ "$v" != 2 ] || echo "ERROR of version $v" >> main.log
mv main.log main.log.1
echo begun > main.log
END
chmod 755 /usr/local/bin/rotate
mkdir -p /etc/systemd/system/mockbase.service.d
printf '[Service]\nExecStartPre=+/usr/local/bin/rotate\n' > /etc/systemd/system/mockbase.service.d/rotate.conf
systemctl daemon-reload"#,
    );
    let v2 = stage.good(2);
    stage
        .deploy(&v2)
        .exits(3)
        .says("/var/log/mockbase/main.log has lines with ^ERROR since the restart")
        .says("ERROR of version 2")
        .never_says("ERROR of yesterday");
    stage.all_serve(&["h1"], 1);
    let v3 = stage.good(3);
    stage.deploy(&v3).exits(0);
    stage.all_serve(&["h1"], 3);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn an_old_process_that_still_answers_is_found_by_its_version() {
    let stage = Stage::new("checks-version", 1);
    let tagged = |number: u32| {
        stage.version(number, |repository| {
            let tag = format!("release/2015-06-10/{number}\n");
            fs::write(repository.join("VERSION"), tag).unwrap();
        })
    };
    stage.configure(&format!(
        "[[check]]\nname = \"version\"\nhttp = \"http://localhost:1134/_info\"\ntimeout = \"4s\"\n\
         json = {{ \"/name\" = \"mockbase\", \"/version\" = \"{{version}}\" }}\n{ONE_HOST}"
    ));
    let v1 = tagged(1);
    stage.deploy(&v1).exits(0);
    // A restart that restarts nothing.
    stage.reconfigure("sudo = true", "method = \"command\"\ncommand = \"true\"");
    let v2 = tagged(2);
    stage.deploy(&v2).exits(3).says(&format!("/version is \"{v1}\", not \"{v2}\""));
    assert_eq!((stage.live("h1"), stage.answers("h1")), (Some(v1.clone()), Some(v1)));
    stage.reconfigure("method = \"command\"\ncommand = \"true\"", "sudo = true");
    stage.git(&["commit", "-q", "-a", "-m", "restarts again"]);
    let v3 = tagged(3);
    stage.deploy(&v3).exits(0);
    assert_eq!(stage.answers("h1"), Some(v3));
}
