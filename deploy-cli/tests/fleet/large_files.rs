//! Files whose contents lie outside of git, on hosts that know nothing of that.

use std::{fs, path::Path, process::Command};

use crate::stage::Stage;

fn noise(path: &Path, bytes: u64) {
    let noise = fs::File::open("/dev/urandom").unwrap();
    let mut noise = std::io::Read::take(noise, bytes);
    std::io::copy(&mut noise, &mut fs::File::create(path).unwrap()).unwrap();
}

fn sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

const LIVE: &str = "/srv/deployment/mockbase/deploy";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn hosts_without_git_lfs_get_the_contents_of_lfs_files() {
    let stage = Stage::new("cli-lfs", 2);
    for host in ["h1", "h2"] {
        stage.on(host, "rm -f /usr/bin/git-lfs /usr/bin/rsync");
    }
    stage.git(&["lfs", "install", "--local"]);
    let attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n";
    fs::write(stage.repository().join(".gitattributes"), attributes).unwrap();
    noise(&stage.repository().join("model.bin"), 3 << 20);
    let model = sum(&stage.repository().join("model.bin"));
    let v1 = stage.good(1);
    // Another deployer's checkout has pointers only.
    stage.git(&["lfs", "push", "origin", "main"]);
    let sum_of = |host: &str, file: &str| {
        stage.on(host, &format!("sha256sum {LIVE}/{file}"))[..64].to_owned()
    };
    let clone = stage.root().join("clone");
    let words = ["clone", "-q", "-c", "filter.lfs.smudge=cat", "origin.git", "clone"];
    let made = Command::new("git").args(words).current_dir(stage.root()).status().unwrap();
    assert!(made.success() && fs::metadata(clone.join("model.bin")).unwrap().len() < 1024);
    stage.deploy_cli_in(&clone, &["deploy", &v1, "--yes", "--allow-dirty"]).exits(0);
    stage.all_serve(&["h1", "h2"], 1);
    assert_eq!([sum_of("h1", "model.bin"), sum_of("h2", "model.bin")], [model.clone(), model]);

    noise(&stage.repository().join("model.bin"), 2 << 20);
    let v2 = stage.good(2);
    stage.git(&["lfs", "push", "origin", "main"]);
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
    assert_eq!(sum_of("h2", "model.bin"), sum(&stage.repository().join("model.bin")));
    // Without the contents there is no deploy, and nothing is touched.
    noise(&stage.repository().join("model.bin"), 1 << 20);
    let v3 = stage.good(3);
    let store = stage.root().join("origin.git/lfs");
    if store.exists() {
        fs::remove_dir_all(store).unwrap();
    }
    let fetched = Command::new("git").args(["fetch", "-q", "--tags"]).current_dir(&clone).status();
    assert!(fetched.unwrap().success());
    let ran = stage.deploy_cli_in(&clone, &["deploy", &v3, "--yes", "--allow-dirty"]);
    ran.exits(1).says("git lfs fetch origin");
    stage.all_serve(&["h1", "h2"], 2);
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_serve(&["h1", "h2"], 1);
}
