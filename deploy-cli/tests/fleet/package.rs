//! The Debian package: what is in it, and that it works where it was installed.

use std::{fs, path::Path, process::Command};

use crate::stage::Stage;

/// What dpkg-deb says of a package.
fn dpkg_deb(option: &str, package: &Path) -> String {
    let output = Command::new("dpkg-deb").arg(option).arg(package).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What zsh shows for a TAB behind `deploy-cli roll`, with nothing but its own completion system:
/// a person's terminal is played.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty person env TERM=dumb zsh -f -i
zpty -w person 'autoload -Uz compinit && compinit -u -D; PS1=; print -r -- rea''dy'
zpty -r -m person line '*ready*'
zpty -w -n person $'deploy-cli roll\t'
zpty -r -m person line '*rollback*' && print -r -- completed
zpty -d person
"#;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn the_package_is_installed_and_works_from_its_place() {
    let stage = Stage::new("cli-package", 1);
    let program = Path::new(env!("CARGO_BIN_EXE_deploy-cli"));
    let package = xtask::package::of_debug_build(program, &stage.root()).unwrap();

    let content = dpkg_deb("--contents", &package);
    for (mode, path) in [
        ("-rwxr-xr-x 0/0", "./usr/bin/deploy-cli"),
        ("-rw-r--r-- 0/0", "./usr/share/man/man1/deploy-cli.1.gz"),
        ("-rw-r--r-- 0/0", "./usr/share/man/man1/deploy-cli-service-restart.1.gz"),
        ("-rw-r--r-- 0/0", "./usr/share/bash-completion/completions/deploy-cli"),
        ("-rw-r--r-- 0/0", "./usr/share/zsh/vendor-completions/_deploy-cli"),
        ("-rw-r--r-- 0/0", "./usr/share/fish/vendor_completions.d/deploy-cli.fish"),
        ("-rw-r--r-- 0/0", "./usr/share/doc/deploy-cli/copyright"),
        ("-rw-r--r-- 0/0", "./usr/share/doc/deploy-cli/LICENSE-APACHE"),
        ("-rw-r--r-- 0/0", "./usr/share/doc/deploy-cli/docs/configuration.md"),
        ("-rw-r--r-- 0/0", "./usr/share/doc/deploy-cli/docs/deploy.schema.json"),
        ("-rw-r--r-- 0/0", "./usr/share/doc/deploy-cli/examples/ssh-service/deploy.toml"),
        (
            "-rw-r--r-- 0/0",
            "./usr/share/doc/deploy-cli/examples/k8s-service/chart/templates/service.yaml",
        ),
    ] {
        let line = content.lines().find(|line| line.ends_with(&format!(" {path}")));
        assert!(line.is_some_and(|line| line.starts_with(mode)), "{path}: {line:?}\n{content}");
    }
    // What it needs is what a machine of the same release has, and git and ssh.
    let control = dpkg_deb("--field", &package);
    for word in ["Package: deploy-cli\n", "libc6 (>= ", "libssl", ", git", "openssh-client"] {
        assert!(control.contains(word), "{word}\n{control}");
    }

    // No file of this checkout is seen there: only what the package brings.
    let mut copy = stage.fleet.on("h1", ["sh", "-c", "cat > /tmp/deploy-cli.deb"]).unwrap();
    let copied = copy.stdin(fs::File::open(&package).unwrap()).status().unwrap();
    assert!(copied.success());
    // The index of all manual pages of the machine is no matter of this package's.
    let dpkg = "dpkg --no-triggers --force-unsafe-io";
    let installed =
        stage.on("h1", &format!("{dpkg} --install /tmp/deploy-cli.deb; dpkg -s deploy-cli"));
    assert!(installed.contains("Status: install ok installed"), "{installed}");
    let version = stage.on("h1", "command -v deploy-cli; deploy-cli --version");
    assert_eq!(version, format!("/usr/bin/deploy-cli\ndeploy-cli {}", env!("CARGO_PKG_VERSION")));
    stage.on("h1", "mkdir -p /root/app && cd /root/app && git init -q -b main && deploy-cli init");
    let checked = stage.on("h1", "cd /root/app && deploy-cli config --check 2>&1");
    assert_eq!(checked, "the configuration is right");

    let bash = "cd /root/app; . /usr/share/bash-completion/completions/deploy-cli; \
                COMP_WORDS=(deploy-cli status --hosts host1); COMP_CWORD=3; COMP_TYPE=9; \
                _clap_complete_deploy_cli deploy-cli host1 --hosts; echo \"${COMPREPLY[@]}\"";
    assert_eq!(stage.on("h1", &format!("bash -c '{bash}'")), "host1.example.org");
    let fish =
        "cd /root/app; HOME=/root fish --command 'complete --do-complete \"deploy-cli roll\"'";
    assert!(stage.on("h1", fish).starts_with("rollback\t"), "{}", stage.on("h1", fish));
    fs::write(stage.root().join("person.zsh"), ZSH).unwrap();
    let mut zsh = stage.fleet.on("h1", ["timeout", "30", "zsh", "-f"]).unwrap();
    let zsh = zsh.stdin(fs::File::open(stage.root().join("person.zsh")).unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&zsh.stdout).contains("completed"), "{zsh:?}");
    let page = stage.on("h1", "MANWIDTH=80 man --pager=cat deploy-cli-config 2>&1");
    assert!(page.contains("deploy-cli config --check"), "{page}");

    stage.on("h1", &format!("{dpkg} --purge deploy-cli"));
    let left = "find /usr -name 'deploy-cli*' -o -name _deploy-cli";
    assert_eq!(stage.on("h1", left), "");
}
