//! The deployer's memory does not grow with what hosts say or versions hold.

use std::{
    fs::File,
    io::{self, Read},
};

use crate::stage::Stage;

/// The most that the deployer may hold, in MiB.
const MOST: u64 = 200;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_check_that_floods_a_gigabyte_fills_neither_memory_nor_disk() {
    let stage = Stage::new("cli-gigabyte", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let plain = std::fs::read_to_string(stage.repository().join("deploy.toml")).unwrap();
    let check = "[[check]]\nname = \"floods\"\ntimeout = \"300s\"\n\
        command = \"grep -q 1 $DEPLOY_RELEASE_PATH/VERSION || \
        { head -c 1000000000 /dev/zero | tr '\\\\0' x; touch /tmp/flooded; exit 1; }\"\n";
    std::fs::write(stage.repository().join("deploy.toml"), format!("{plain}{check}")).unwrap();
    let v2 = stage.good(2);
    let (ran, most) = stage.start(&["deploy", &v2, "--yes"]).weigh();
    println!("at most {most} MiB");
    let ran = ran.exits(3).says("floods");
    assert_eq!(stage.on("h1", "ls /tmp/flooded"), "/tmp/flooded", "all of it was written");
    assert!(most > 0 && most < MOST, "{most} MiB\n{ran}");
    assert!(ran.stdout.len() < 1 << 20, "{} bytes on the screen", ran.stdout.len());
    let kept = stage.kept_output("h1").len();
    println!("kept {kept} bytes of output");
    assert!(kept > 0 && kept < 100 << 20, "{kept} bytes kept");
    stage.all_serve(&["h1", "h2"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_large_file_passes_through_bounded_memory() {
    let stage = Stage::new("cli-large-file", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.version(2, |repository| {
        let mut noise = File::open("/dev/urandom").unwrap().take(300 << 20);
        let mut file = File::create(repository.join("large.bin")).unwrap();
        io::copy(&mut noise, &mut file).unwrap();
    });
    let (ran, most) = stage.start(&["deploy", &v2, "--yes"]).weigh();
    println!("at most {most} MiB");
    let ran = ran.exits(0);
    assert!(most > 0 && most < MOST, "{most} MiB\n{ran}");
    stage.all_serve(&["h1"], 2);
    let sum = "sha256sum < /srv/deployment/mockbase/deploy/large.bin";
    assert_eq!(stage.on("h1", sum), stage.on("h2", sum));
    let mut own = std::process::Command::new("sh");
    own.args(["-c", "sha256sum < large.bin"]).current_dir(stage.repository());
    let own = String::from_utf8(own.output().unwrap().stdout).unwrap();
    assert_eq!(stage.on("h1", sum), own.trim());
}
