//! Strings that are not ours reach hosts, shells and terminals, and do nothing there.

use std::fs;

use crate::{ran::Ran, stage::Stage};

/// Clears the screen, sets its title, turns the text.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{200b}";

#[track_caller]
fn harmless(ran: Ran) -> Ran {
    for c in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\u{200b}'] {
        let printed = ran.stdout.contains(c) || ran.stderr.contains(c);
        assert!(!printed, "{c:?} was printed:\n{ran:?}");
    }
    ran
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn names_of_files_tags_branches_and_paths_are_only_names() {
    let stage = Stage::new("cli-names", 1);
    let live = "/srv/deployment/my $(touch ${HOME}/owned4713)'s `id` \"base\"/-deploy";
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let toml = format!(
        "app = \"mockbase\"\n[version]\nscheme = \"any\"\n[ssh]\nuser = \"deploy\"\n\
         [layout]\npath = {live:?}\n\
         shared = [\"$(touch owned4713)\", \"it's a 'log'\"]\n\
         [restart]\nmethod = \"command\"\ncommand = \"true\"\n\
         [[group]]\nname = \"default\"\nhosts = [\"h1\"]\n\
         [[check]]\nname = \"$(touch owned4713)\"\n\
         command = 'test -f \"$DEPLOY_LIVE_PATH/VERSION\" && test -n \"$DEPLOY_VERSION\"'\n"
    );
    fs::write(stage.repository().join("deploy.toml"), toml).unwrap();
    let names = ["a b", "it's \"q\"", "$(touch ${HOME})", "`id`", "new\nline", "-rf", "*", HOSTILE];
    stage.version(1, |repository| {
        for name in names {
            fs::write(repository.join(name.replace('/', "_")), name).unwrap();
        }
    });
    for name in ["$(touch${IFS}owned4713)", "'\"`touch${IFS}owned4713`;true", "x\u{202e}\u{200b}"] {
        let branch = format!("branch{name}");
        stage.git(&["branch", "-f", &branch, "HEAD"]);
        stage.git(&["tag", "-a", "-m", &format!("a {HOSTILE} tag"), "--", name]);
        stage.git(&["push", "-q", "origin", &format!("refs/tags/{name}")]);
        stage.git(&["push", "-q", "origin", &format!("refs/heads/{branch}")]);
        harmless(stage.deploy_cli(&["plan", "--", name])).exits(0);
        for version in [name, &branch] {
            let words = ["deploy", "--yes", "--redeploy", "--", version];
            harmless(stage.deploy_cli(&words)).exits(0);
        }
    }
    let listing = stage.on("h1", &format!("ls -A --quoting-style=c {}/", quoted(live)));
    // Beside those: server.py, deploy.toml, VERSION, two shared directories and the mark.
    assert_eq!(listing.lines().count(), names.len() + 6, "{listing}");
    let owned4713 = "find / -xdev -name owned4713 -not -path '/proc/*'";
    assert_eq!(stage.on("h1", owned4713), "");
    for directory in [stage.repository(), stage.home(), stage.root()] {
        assert!(!directory.join("owned4713").exists(), "{}", directory.display());
    }
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn what_hosts_and_others_say_does_nothing_to_the_terminal() {
    let stage = Stage::new("cli-escapes", 2);
    // A banner, a talkative login shell, a service and a check: all of them hostile.
    for host in ["h1", "h2"] {
        stage.on(
            host,
            &format!(
                "printf '%s' '{HOSTILE}' >/etc/hostile; \
                 printf 'Banner /etc/hostile\\n' >/etc/ssh/sshd_config.d/hostile.conf; \
                 printf 'cat /etc/hostile; cat /etc/hostile >&2\\n' >/home/deploy/.bashrc; \
                 cp /home/deploy/.bashrc /home/deploy/.profile; \
                 systemctl reload ssh || true"
            ),
        );
    }
    let v1 = stage.good(1);
    harmless(stage.deploy_cli(&["deploy", &v1, "--yes", "-v"])).exits(0);
    stage.all_serve(&["h1", "h2"], 1);
    let server = format!(
        "import sys\nprint('''{HOSTILE}''', flush=True)\nsys.exit('''no {HOSTILE} shard''')\n"
    );
    let v2 = stage.with_server(2, &server);
    harmless(stage.deploy_cli(&["deploy", &v2, "--yes", "-v"])).exits(3).says("h1");
    let text = fs::read_to_string(stage.repository().join("deploy.toml")).unwrap();
    let check = "[[check]]\nname = \"own\"\ntimeout = \"5s\"\n\
        command = \"grep -q 1 $DEPLOY_RELEASE_PATH/VERSION || \
        { cat /etc/hostile; cat /etc/hostile >&2; exit 1; }\"\n";
    fs::write(stage.repository().join("deploy.toml"), format!("{text}{check}")).unwrap();
    let v3 = stage.good(3);
    let words = ["deploy", &v3, "--yes", "-v", "-m", HOSTILE];
    harmless(stage.deploy_cli(&words)).exits(3).says("own").says("\\x1b[2J");
    stage.all_serve(&["h1", "h2"], 1);
    for words in [&["show"][..], &["history"], &["status"], &["versions"], &["show", "--json"]] {
        harmless(stage.deploy_cli(words)).exits(0);
    }
    harmless(stage.deploy_cli(&["lock", "-m", HOSTILE])).exits(0);
    harmless(stage.deploy(&v3)).exits(5);
    harmless(stage.deploy_cli(&["unlock"])).exits(0);
}
