//! Releases that are built on the deployer's machine, on hosts that have no git.

use crate::stage::Stage;

const CACHE: &str = "/srv/deployment/mockbase/deploy-cache";

/// Two hosts without git, in one group that may fail as a whole; archives are built by `command`.
fn stage(name: &str, command: &str) -> Stage {
    let stage = Stage::new(name, 2);
    for host in ["h1", "h2"] {
        stage.on(host, "rm -rf /usr/bin/git /usr/lib/git-core");
    }
    configure(&stage, command);
    stage
}

fn configure(stage: &Stage, command: &str) {
    stage.configure(&format!(
        "[fetch]\nmethod = \"archive\"\ncommand = '''{command}'''\n\
         [[group]]\nname = \"default\"\nhosts = [\"h[1-2]\"]\nmax_failures = \"100%\"\n"
    ));
}

const BUILD: &str = "mkdir -p out/data && cp server.py VERSION out && head -c 2000000 /dev/zero \
    > out/data/same.bin && echo \"$DEPLOY_VERSION $DEPLOY_COMMIT\" > out/built && \
    echo compiling && tar -C out -czf \"$DEPLOY_ARCHIVE\" .";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn archives_go_to_hosts_without_git_and_come_back_whole() {
    let stage = stage("cli-archive", BUILD);
    let v1 = stage.good(1);
    stage.deploy_cli(&["plan", &v1]).exits(0).says("building").says("compiling");
    // What the plan built is what is deployed.
    stage.deploy(&v1).exits(0).never_says("building");
    stage.all_serve(&["h1", "h2"], 1);
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(0).says("building");
    stage.all_serve(&["h1", "h2"], 2);
    let built = stage.on("h1", "cat /srv/deployment/mockbase/deploy/built");
    assert_eq!(built, format!("{v2} {}", stage.git(&["rev-parse", "HEAD"])));
    // The service runs as its own user: what is the same is shared with the release before.
    let links = stage.on("h1", "stat -c %h /srv/deployment/mockbase/deploy/data/same.bin");
    assert_eq!(links, "2");
    stage.deploy(&v2).exits(0).says("unchanged");

    // One release is damaged: the way back mends it, of the archive that was kept.
    stage.on(
        "h2",
        &format!(
            "live=$(readlink {CACHE}/live); \
             for r in {CACHE}/releases/*; do case $r in */${{live##*/}}) ;; *) \
             rm -f $r/data/same.bin; echo 9 >$r/VERSION; chmod 644 $r/server.py; echo x >$r/server.py; \
             esac; done"
        ),
    );
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_serve(&["h1", "h2"], 1);
    assert_eq!(
        stage.on("h2", "stat -c %s /srv/deployment/mockbase/deploy/data/same.bin"),
        "2000000"
    );
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn builds_that_fail_touch_no_host_and_a_full_disk_only_its_own() {
    let stage = stage("cli-archive-bad", BUILD);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    for (command, words) in [
        ("echo no such crate >&2; exit 101", "no such crate"),
        (
            "tar -czf \"$DEPLOY_ARCHIVE.all\" . && \
             head -c 500 \"$DEPLOY_ARCHIVE.all\" > \"$DEPLOY_ARCHIVE\"",
            "cannot be read",
        ),
        ("ln -s /etc/shadow x && tar -cf \"$DEPLOY_ARCHIVE\" x", "leads out of the archive"),
        ("true", "must write a tar archive"),
    ] {
        configure(&stage, command);
        let v2 = stage.good(2);
        stage.deploy(&v2).exits(1).says(words);
        stage.git(&["tag", "-d", &v2]);
        stage.git(&["push", "-q", "origin", &format!(":{v2}")]);
    }
    stage.all_serve(&["h1", "h2"], 1);

    configure(
        &stage,
        &format!(
            "head -c 7000000 /dev/urandom > noise; \
        mkdir out; cp noise out; {BUILD}"
        ),
    );
    stage.on(
        "h2",
        "cp -a /srv/deployment /root/kept; mount -t tmpfs -o size=8m tmpfs /srv/deployment; \
         cp -a /root/kept/. /srv/deployment/",
    );
    let v3 = stage.good(3);
    stage.deploy(&v3).exits(6).says("h2").says("disk full");
    stage.all_serve(&["h1"], 3);
    stage.all_serve(&["h2"], 1);
    let left = stage.on("h2", &format!("ls -A {CACHE}/releases"));
    assert_eq!(left.lines().count(), 1, "the old release and nothing else: {left}");
    stage.on("h2", "mount -o remount,size=64m /srv/deployment");
    stage.deploy(&v3).exits(0);
    stage.all_serve(&["h1", "h2"], 3);
}
