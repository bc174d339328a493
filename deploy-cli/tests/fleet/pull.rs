//! Hosts that pull from a git server with keys of their own.

use std::process::Command;

use crate::stage::Stage;

const CACHE: &str = "/srv/deployment/mockbase/deploy-cache";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn hosts_pull_with_their_own_keys_and_one_without_fails_alone() {
    // h1 is the git server; h2 and h3 pull from it.
    let stage = Stage::new("cli-pull", 3);
    stage.configure(
        "[fetch]\nmethod = \"pull\"\nurl = \"ssh://git@h1/srv/git/mockbase.git\"\n\
         [[group]]\nname = \"default\"\nhosts = [\"h[2-3]\"]\nmax_failures = \"50%\"\n",
    );
    stage.on("h1", "useradd --create-home git; install -d -m 700 -o git /home/git/.ssh; install -d -o git /srv/git");
    let public = |host: &str| {
        stage.on(
            host,
            "su deploy -c 'ssh-keygen -q -t ed25519 -N \"\" -f ~/.ssh/id_ed25519'; \
             key=$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub); \
             printf 'h1 %s\\n' \"$key\" >>/home/deploy/.ssh/known_hosts; \
             chown deploy /home/deploy/.ssh/known_hosts; cat /home/deploy/.ssh/id_ed25519.pub",
        )
    };
    let (key, other) = (public("h2"), public("h3"));
    let allow = |key: &str| {
        let file = "/home/git/.ssh/authorized_keys";
        stage.on("h1", &format!("echo '{key}' >>{file}; chown git {file}"));
    };
    allow(&key);
    // What is pushed to origin is on the server too.
    let publish = || {
        let tar = "tar -C origin.git -cf - . | base64 -w0";
        let made = Command::new("sh").args(["-c", tar]).current_dir(stage.root()).output().unwrap();
        let tar = String::from_utf8(made.stdout).unwrap();
        std::fs::write(stage.root().join("tar"), &tar).unwrap();
        for chunk in tar.as_bytes().chunks(90_000) {
            let chunk = std::str::from_utf8(chunk).unwrap();
            stage.on("h1", &format!("printf %s '{chunk}' >>/tmp/tar"));
        }
        stage.on(
            "h1",
            "rm -rf /srv/git/mockbase.git; mkdir -p /srv/git/mockbase.git; \
             base64 -d </tmp/tar | tar -C /srv/git/mockbase.git -xf -; rm /tmp/tar; \
             chown -R git /srv/git",
        );
    };
    let v1 = stage.good(1);
    publish();
    stage.deploy(&v1).exits(6).says("h3").says("no access").says("git ls-remote");
    stage.all_serve(&["h2"], 1);
    assert_eq!(stage.live("h3"), None);
    allow(&other);
    stage.deploy(&v1).exits(0);
    stage.all_serve(&["h2", "h3"], 1);

    // A version that the server has not is on no host.
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(1).says("no such commit");
    stage.all_serve(&["h2", "h3"], 1);
    publish();
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h2", "h3"], 2);
    assert_eq!(stage.on("h2", &format!("cat {CACHE}/repo.git/shallow | wc -l")), "2");

    // The server is gone, and a release is damaged: the way back needs no server.
    stage.on("h1", "systemctl stop ssh");
    stage.on(
        "h3",
        &format!(
            "live=$(readlink {CACHE}/live); for r in {CACHE}/releases/*; do case $r in \
             */${{live##*/}}) ;; *) rm $r/VERSION; echo x >$r/server.py.new; \
             mv -f $r/server.py.new $r/server.py ;; esac; done; \
             find {CACHE}/repo.git/objects -type f -delete"
        ),
    );
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_serve(&["h2", "h3"], 1);
    let v3 = stage.good(3);
    stage.deploy(&v3).exits(1).says("no route");
    stage.all_serve(&["h2", "h3"], 1);
}
