//! What would stop a deploy is found before it, and nothing is changed by looking.

use std::fs;

use crate::{
    place::Place,
    sshd::{Client, Sshd, make_key},
};

/// A place whose one host is reached over `client`'s configuration.
fn over_ssh(client: &Client) -> Place {
    let place = Place::new();
    let config = client.path("config").display().to_string();
    place.configure_hosts("hosts = [\"h1\"]", &format!("[ssh]\nconfig = \"{config}\""));
    place.git(&["commit", "-qam", "over ssh"]);
    place.git(&["push", "-q", "origin", "main"]);
    place
}

#[test]
fn where_all_is_well_nothing_is_said_and_nothing_is_made() {
    let place = Place::new();
    let ran = place.cli(&["doctor"]).ends(0).says("nothing would stop a deploy");
    assert!(ran.stderr.is_empty(), "{}", ran.all());
    assert!(!ran.all().contains("problem"), "{}", ran.all());
    assert_eq!(fs::read_dir(place.path("srv")).unwrap().count(), 0);
    assert!(!place.path("repo/.git/deploy").exists());
    place
        .cli(&["doctor", "-v"])
        .ends(0)
        .says("the newest version is release/2026-01-01/1")
        .says("local: tools, live path and rights are there")
        .says("nobody holds the lock");
    // After a deploy it is the same, and the journal of that run is the only one.
    place.cli(&["deploy"]).ends(0);
    place.cli(&["doctor"]).ends(0).says("nothing would stop a deploy");
    assert_eq!(place.cli(&["history", "--json"]).stdout.lines().count(), 1);
}

#[test]
fn what_is_wrong_here_is_told_with_its_cure() {
    let place = Place::new();
    fs::write(place.path("repo/version"), "changed\n").unwrap();
    place.cli(&["lock", "-m", "the database moves"]).ends(0);
    place.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    fs::remove_dir_all(place.path("origin.git")).unwrap();
    let ran = place.cli(&["doctor"]).ends(1);
    ran.says("tracked files are modified: \"version\"")
        .says("cure: git stash")
        .says("the database moves")
        .says("cure: deploy-cli unlock")
        .says("the branch origin/main is not known here")
        .says("the remote origin does not answer")
        .says("see that `git ls-remote origin` works");
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_first_thing_to_cure() {
    let place = Place::new();
    place.reconfigure("keep = 3", "kep = 3");
    place.cli(&["doctor"]).ends(1).says("problem").says("kep").says("did you mean");
    fs::remove_file(place.path("repo/deploy.toml")).unwrap();
    place.cli(&["doctor"]).ends(1).says("`deploy-cli init` writes one");
    place.configure("[environment.beta]");
    place.cli(&["doctor", "--env", "gamma"]).ends(1).says("beta");
    place.cli(&["doctor", "--hosts", ""]).ends(1);
}

#[test]
fn what_is_in_the_way_on_a_host_is_told_and_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path("srv/deploy")).unwrap();
    let ran = place.cli(&["doctor"]).ends(1).says("local: $PLACE/srv/deploy is a plain directory");
    ran.says("why: a deploy would refuse the host before it begins")
        .says("cure: `deploy-cli adopt` takes it over");
    assert!(place.path("srv/deploy").is_dir());
    let json = place.cli(&["doctor", "--json"]).ends(1).stdout;
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let problem = lines.iter().find(|line| line["grade"] == "problem").unwrap();
    assert_eq!(problem["hosts"][0], "local");
    let sum = lines.last().unwrap();
    assert_eq!((&sum["problems"], &sum["exit"]), (&1.into(), &1.into()));
    // The cure that was told is one.
    place.cli(&["adopt", "--yes"]).ends(0);
    let ran = place.cli(&["doctor"]).ends(0).says("nothing would stop a deploy");
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.all());
}

#[test]
fn a_fetch_by_pull_needs_an_origin_that_the_host_can_read() {
    let place = Place::new();
    let url = place.path("origin.git").display().to_string();
    place.configure(&format!("[fetch]\nmethod = \"pull\"\nurl = \"{url}\""));
    place.git(&["commit", "-qam", "pull"]);
    place.git(&["push", "-q", "origin", "main"]);
    place.cli(&["doctor", "-v"]).ends(0).says("origin.git can be read from there");
    fs::rename(place.path("origin.git"), place.path("gone.git")).unwrap();
    let ran = place.cli(&["doctor"]).ends(1).says("origin.git cannot be read from there");
    ran.says("each host pulls the version by itself");
}

#[test]
fn over_ssh_keys_and_host_keys_are_looked_at() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    client.host("h1", sshd.port, "");
    let place = over_ssh(&client);
    let ran = place.cli(&["doctor"]).ends(1).says("h1: its host key is not known");
    ran.says("SHA256:").says("ssh-keyscan -H -p").says("a deploy could not log in there");
    client.know(&format!("[127.0.0.1]:{} {}", sshd.port, sshd.host_key()));
    place.cli(&["doctor"]).ends(0).says("nothing would stop a deploy");
    assert_eq!(sshd.logins(), 1, "one connection a host");

    fs::remove_file(client.path("id")).unwrap();
    fs::remove_file(client.path("id.pub")).unwrap();
    make_key(&client.path("id"), "a passphrase");
    let ran = place.cli(&["doctor"]).ends(1).says("is encrypted, and not in the agent");
    ran.says("cure: ssh-add").says("there is no key to offer to h1").says("was refused the login");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_host_that_is_silent_is_not_asked_and_that_alone_ends_with_6() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    client.trust("h1", &sshd, "");
    let place = over_ssh(&client);
    drop(sshd);
    let ran = place.cli(&["doctor"]).ends(6).says("not asked  h1: cannot connect");
    ran.says("a deploy could not ask it either").says("1 not asked");
}

#[test]
fn a_check_over_http_is_asked_by_the_host_where_sshd_forbids_forwarding() {
    for (options, told) in
        [("", "can be asked from there"), ("AllowTcpForwarding no", "can be asked there")]
    {
        let client = Client::new();
        let sshd = Sshd::start(&client, options);
        client.trust("h1", &sshd, "");
        let place = over_ssh(&client);
        let check = "[[check]]\nname = \"web\"\nhttp = \"http://localhost:1/\"\n[ssh]";
        place.reconfigure("[ssh]", check);
        place.git(&["commit", "-qam", "check"]);
        place.git(&["push", "-q", "origin", "main"]);
        let ran = place.cli(&["doctor", "-v"]).ends(0);
        ran.says(&format!("h1: http://localhost:1/ {told}"));
    }
}
