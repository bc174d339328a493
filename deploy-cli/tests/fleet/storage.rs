//! What lies on a host may be full, read-only, damaged, left over, or a lie.

use crate::stage::Stage;

fn lenient(stage: &Stage, hosts: u16) {
    stage.configure(&format!(
        "[[group]]\nname = \"default\"\nhosts = [\"h[1-{hosts}]\"]\nmax_failures = \"100%\"\n"
    ));
}

const CACHE: &str = "/srv/deployment/mockbase/deploy-cache";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_read_only_directory_fails_that_host_before_anything_moves() {
    let stage = Stage::new("cli-readonly", 2);
    lenient(&stage, 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on(
        "h2",
        "mount --bind /srv/deployment /srv/deployment; mount -o remount,ro,bind /srv/deployment",
    );
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(6).says("h2").says("is mounted read-only").never_says("its owner");
    stage.all_serve(&["h1"], 2);
    stage.all_serve(&["h2"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_disk_that_fills_up_during_the_fetch_fails_that_host_and_leaves_nothing() {
    let stage = Stage::new("cli-fills-up", 2);
    lenient(&stage, 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on(
        "h2",
        "cp -a /srv/deployment /root/kept; mount -t tmpfs -o size=8m tmpfs /srv/deployment; \
         cp -a /root/kept/. /srv/deployment/",
    );
    // There is room before the fetch, and not enough for pack and files.
    let v2 = stage.version(2, |repository| {
        let noise = std::fs::File::open("/dev/urandom").unwrap();
        let mut file = std::fs::File::create(repository.join("data.bin")).unwrap();
        std::io::copy(&mut std::io::Read::take(noise, 6 << 20), &mut file).unwrap();
    });
    stage.deploy(&v2).exits(6).says("h2").says("fetch").says("disk full");
    stage.all_serve(&["h1"], 2);
    stage.all_serve(&["h2"], 1);
    let left = stage.on("h2", &format!("ls -A {CACHE}/releases"));
    assert_eq!(left.lines().count(), 1, "the old release and nothing else: {left}");
    stage.on("h2", "mount -o remount,size=64m /srv/deployment");
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_corrupted_repository_heals() {
    let stage = Stage::new("cli-corrupt", 3);
    lenient(&stage, 3);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on("h2", &format!("find {CACHE}/repo.git/objects -type f -delete"));
    stage.on(
        "h3",
        &format!(
            "for f in $(find {CACHE}/repo.git/objects -type f); do chmod u+w $f; \
             printf garbage | dd of=$f conv=notrunc bs=1 seek=20 2>/dev/null; done"
        ),
    );
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2", "h3"], 2);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn what_a_crashed_run_left_is_cleaned_and_never_trusted() {
    let stage = Stage::new("cli-leftover", 1);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    // A deployer that is killed while the version arrives.
    let path = stage.repository().join("deploy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let step = "[[step]]\nname = \"slow\"\nstage = \"fetch\"\ncommand = \"sleep 5\"\n";
    std::fs::write(&path, format!("{text}{step}")).unwrap();
    let v2 = stage.good(2);
    let mut running = stage.start(&["deploy", &v2, "--yes"]);
    running.until_stage(&stage, "h1", "fetch");
    std::thread::sleep(std::time::Duration::from_secs(1));
    running.signal(nix::sys::signal::Signal::SIGKILL);
    running.wait();
    stage.all_serve(&["h1"], 1);
    stage.deploy_cli(&["status"]).exits(0).says(&v1);
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1"], 2);
    let left = stage.on("h1", &format!("ls -a {CACHE}/releases | grep -v '^[.]*$'"));
    assert_eq!(left.lines().count(), 2, "two releases and nothing else: {left}");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_lying_state_file_harms_only_its_own_host() {
    let stage = Stage::new("cli-lies", 2);
    lenient(&stage, 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on(
        "h2",
        &format!(
            "printf '{{\"good\":[{{\"release\":{{\"id\":\"../../etc\"}}}}],\"x\":\"\\033[2J\"}}' \
             > {CACHE}/state.json"
        ),
    );
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(6).says("h2").says("state.json").never_says("\u{1b}");
    stage.all_serve(&["h1"], 2);
    stage.all_serve(&["h2"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_plain_directory_in_the_live_place_is_refused_with_the_way_out() {
    let stage = Stage::new("cli-plain", 1);
    let v1 = stage.good(1);
    stage.on(
        "h1",
        "install -d -o deploy -g deploy /srv/deployment/mockbase /srv/deployment/mockbase/deploy",
    );
    stage.deploy(&v1).exits(1).says("directory").says("/srv/deployment/mockbase/deploy");
    stage.on("h1", "test -d /srv/deployment/mockbase/deploy");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn unchanged_files_are_hard_links_and_what_was_changed_by_hand_does_not_come_along() {
    let stage = Stage::new("cli-unchanged", 1);
    let live = "/srv/deployment/mockbase/deploy";
    let deploy = |number: u32| {
        let version = stage.version(number, |repository| {
            std::fs::create_dir_all(repository.join("data")).unwrap();
            for n in 0..20 {
                std::fs::write(repository.join(format!("data/{n} same.txt")), format!("{n}\n"))
                    .unwrap();
            }
            std::fs::write(repository.join(format!("data/only in {number}")), "x").unwrap();
            let _ = std::fs::remove_file(repository.join(format!("data/only in {}", number - 1)));
        });
        stage.deploy(&version).exits(0);
        stage.all_serve(&["h1"], number);
        let files = stage.on("h1", &format!("cd {live}/ && find data -type f | sort"));
        assert_eq!(files.lines().count(), 21, "{files}");
        let odd = format!(
            "cd {live}/ && for n in $(seq 0 19); do printf '%s\\n' $n | cmp - \"data/$n same.txt\"; \
             done; find . -type f ! -perm 0444 ! -perm 0555; find . -type d ! -perm 0755; \
             find . -newermt '+1 hour' -o ! -user deploy"
        );
        assert_eq!(stage.on("h1", &odd), "");
    };
    let links = || stage.on("h1", &format!("stat -c %h '{live}/data/3 same.txt'"));
    deploy(1);
    assert_eq!(links(), "1");
    deploy(2);
    assert_eq!(links(), "2", "an unchanged file is the same one");
    let tamper = "chmod u+w '3 same.txt' && echo hacked >>'3 same.txt' && rm '4 same.txt' && \
                  echo more >added && chmod +x '5 same.txt' && \
                  sed -i s/6/9/ '6 same.txt'; chmod 666 '6 same.txt'";
    stage.on("h1", &format!("cd {live}/data && {tamper}"));
    deploy(3);
    // From here on the files of a pruned release are used again; they are changed by hand, too.
    deploy(4);
    deploy(5);
    let spare =
        format!("$(for r in {CACHE}/releases/*; do [ -e $r/.deploy-release ] || echo $r; done)");
    stage.on("h1", &format!("cd {spare}/data && {tamper}"));
    let inode = stage.on("h1", &format!("stat -c %i {spare}"));
    deploy(6);
    assert_eq!(stage.on("h1", &format!("stat -L -c %i {live}")), inode, "it was used again");
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_serve(&["h1"], 5);
}
