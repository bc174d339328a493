//! Services that are operated, and commands that are run, on real hosts.

use nix::sys::signal::Signal;

use crate::{running::Running, stage::Stage};

/// The start of the service that runs on a host, told apart from any other.
fn invocation(stage: &Stage, host: &str) -> String {
    stage.on(host, "systemctl show -p InvocationID --value mockbase")
}

fn invocations(stage: &Stage, hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| invocation(stage, host)).collect()
}

fn state(stage: &Stage, host: &str) -> String {
    stage.on(host, "systemctl is-active mockbase || true")
}

/// h1 alone first, then the others one by one.
fn one_by_one(stage: &Stage, hosts: u16) {
    stage.configure(&format!(
        "[[group]]\nname = \"canary\"\nhosts = [\"h1\"]\n\
         [[group]]\nname = \"default\"\nhosts = [\"h[2-{hosts}]\"]\nbatch = 1\n"
    ));
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_restart_goes_host_by_host_and_stops_at_the_first_that_does_not_come_up() {
    let stage = Stage::new("cli-svc-restart", 4);
    one_by_one(&stage, 4);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let all = ["h1", "h2", "h3", "h4"];
    let before = invocations(&stage, &all);
    stage
        .deploy_cli(&["service", "restart", "--yes", "-m", "it leaks"])
        .exits(0)
        .says("restarted mockbase")
        .says("4 hosts: 4 restarted");
    let after = invocations(&stage, &all);
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{after:?}");
    stage.all_serve(&all, 1);
    stage.deploy_cli(&["history"]).exits(0).says("service restart").says("it leaks");

    // The unit cannot start on h3 any more.
    let broken = "mkdir -p /etc/systemd/system/mockbase.service.d; \
                  printf '[Service]\\nExecStartPre=/bin/sh -c \"echo no shard; exit 1\"\\n' \
                  > /etc/systemd/system/mockbase.service.d/broken.conf; systemctl daemon-reload";
    stage.on("h3", broken);
    stage
        .deploy_cli(&["service", "restart", "--yes"])
        .exits(4)
        .says("a service is left DOWN")
        .says("group default: 1 of 3 failed, 0 allowed")
        .says("no shard")
        .says("h4  not attempted")
        .says("deploy-cli service status");
    assert_eq!(invocation(&stage, "h4"), after[3], "nobody starts after the breach");
    assert_ne!(invocation(&stage, "h2"), after[1], "those before it were restarted");
    assert_eq!(state(&stage, "h3"), "failed");
    stage
        .deploy_cli(&["service", "status"])
        .exits(0)
        .says(&format!("3 hosts: mockbase active (running), serves {v1}"))
        .says("1 host: mockbase failed (failed)");
    stage.deploy_cli(&["status"]).exits(0).never_says("claimed").says("DOWN");

    // Repaired, the rest is done; with a budget one host that fails keeps nobody up.
    stage.deploy_cli(&["service", "restart", "--yes", "--hosts", "@last/failed"]).exits(4);
    stage.reconfigure("batch = 1", "batch = 1\nmax_failures = 1");
    stage.deploy_cli(&["service", "restart", "--yes"]).exits(4).says("3 restarted, 1 failed");
    assert_ne!(invocation(&stage, "h4"), after[3]);
    stage
        .on("h3", "rm /etc/systemd/system/mockbase.service.d/broken.conf; systemctl daemon-reload");
    stage.deploy_cli(&["service", "start", "--yes", "--hosts", "@last/unfinished"]).exits(0);
    stage.all_serve(&all, 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn stop_start_and_reload_do_what_they_say() {
    let stage = Stage::new("cli-svc-actions", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let all = ["h1", "h2"];
    let before = invocations(&stage, &all);
    stage.deploy_cli(&["service", "start", "--yes"]).exits(0).says("started mockbase");
    stage.deploy_cli(&["service", "reload", "--yes"]).exits(0).says("reloaded mockbase");
    assert_eq!(invocations(&stage, &all), before, "what runs is not started, and lives on");

    stage.deploy_cli(&["service", "stop", "--yes"]).exits(0).says("2 hosts: 2 stopped");
    assert_eq!(all.map(|host| state(&stage, host)), ["inactive", "inactive"]);
    stage.deploy_cli(&["service", "status"]).exits(0).says("2 hosts: mockbase inactive (dead)");
    stage.deploy_cli(&["service", "stop", "--yes"]).exits(0);
    stage
        .deploy_cli(&["service", "reload", "--yes"])
        .exits(1)
        .says("is inactive (dead): start it instead");
    assert_eq!(all.map(|host| state(&stage, host)), ["inactive", "inactive"]);
    stage.deploy_cli(&["service", "start", "--yes"]).exits(0);
    stage.all_serve(&all, 1);

    // Without the right nothing happens, and the line to grant is named.
    stage.on("h1", "rm /etc/sudoers.d/mockbase");
    let before = invocation(&stage, "h1");
    stage
        .deploy_cli(&["service", "restart", "--yes"])
        .exits(1)
        .says("deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart mockbase.service");
    assert_eq!(invocation(&stage, "h1"), before);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_restart_whose_answer_is_lost_is_made_once() {
    let stage = Stage::new("cli-svc-once", 1);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let starts = || stage.on("h1", "journalctl -u mockbase | grep -c 'serving version'");
    let before: u32 = starts().parse().unwrap();
    stage.make_start_slow("h1");
    stage.hold("h1");
    let running = stage.start(&["service", "restart", "--yes"]);
    stage.until_held("h1", &running);
    // The connection dies while the service starts; the deployer connects anew, and asks.
    stage.on("h1", "pkill -KILL -u deploy sshd; true");
    running.until_said("attempt 1 failed, again");
    stage.let_go("h1");
    running.wait().exits(0).says("restarted mockbase");
    assert_eq!(starts().parse::<u32>().unwrap(), before + 1, "started once");
    stage.all_serve(&["h1"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn status_and_commands_group_what_is_equal_and_name_who_is_silent() {
    let stage = Stage::new("cli-svc-alike", 4);
    stage.configure("[[group]]\nname = \"default\"\nhosts = [\"h[1-4]\"]\n[run]\nattempts = 1\n");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on("h2", "touch /tmp/odd");
    let odd = ["run", "--", "test ! -e /tmp/odd && echo even || { echo odd; exit 3; }"];
    let ran = stage.deploy_cli(&odd).exits(6);
    let told = "3 hosts: exit 0\n    on h1, h3, h4\n    | even\n\
                1 host: exit 3\n    on h2\n    | odd\n";
    assert!(ran.stdout.starts_with(told), "{ran}");

    stage.fleet.cut("h3").unwrap();
    stage
        .deploy_cli(&["service", "status"])
        .exits(6)
        .says(&format!("3 hosts: mockbase active (running), serves {v1}"))
        .says("    on h1, h2, h4, since ")
        .says("1 host: could not be asked: ")
        .says("    on h3");
    let ran = stage.deploy_cli(&["service", "status", "--json"]).exits(6);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["services"][0]["state"], "active");
    assert_eq!(lines[0]["services"][0]["sub"], "running");
    assert!(lines[0]["services"][0]["since"].is_string(), "{ran}");
    assert!(lines[2]["failure"].is_object(), "{ran}");
    stage
        .deploy_cli(&["run", "--", "id", "-un"])
        .exits(6)
        .says("3 hosts: exit 0")
        .says("    | deploy")
        .says("1 host: unreachable: ")
        .says("4 hosts: 3 done, 1 unreachable");
    let ran = stage.deploy_cli(&["run", "--json", "--hosts", "h[1,3]", "--", "pwd"]).exits(6);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |host: &str| lines.iter().find(|line| line["target"] == host).unwrap();
    assert_eq!((&of("h1")["status"], &of("h1")["stdout"]), (&0.into(), &"/home/deploy\n".into()));
    assert_eq!(of("h3")["end"], "unreachable");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_command_runs_beside_a_deploy_and_two_interrupts_kill_it() {
    let stage = Stage::new("cli-svc-run", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.make_start_slow("h1");
    let v2 = stage.good(2);
    stage.hold("h1");
    let deploying = stage.start(&["deploy", &v2, "--yes"]);
    stage.until_held("h1", &deploying);
    stage.deploy_cli(&["run", "--", "true"]).exits(0).says("2 hosts: exit 0");
    stage.deploy_cli(&["service", "restart", "--yes"]).exits(5).says("locked by");
    stage.let_go("h1");
    deploying.wait().exits(0);

    let command = ["run", "--timeout", "10m", "--", "touch /tmp/held; sleep 4711; echo never"];
    stage.on("h1", "rm -f /tmp/held");
    let running = stage.start(&command);
    stage.until_held("h1", &running);
    running.signal(Signal::SIGINT);
    running.until_said("Ctrl-C again");
    assert_eq!(sleeping(&stage, "h1"), "yes", "one Ctrl-C lets it end");
    running.signal(Signal::SIGINT);
    let ran: crate::ran::Ran = Running::wait(running);
    ran.exits(130).says("its process group was killed").never_says("never\n");
    assert_eq!(["h1", "h2"].map(|host| sleeping(&stage, host)), ["no", "no"]);
    stage.deploy_cli(&["history"]).exits(0).says("interrupted").says("run touch /tmp/held");
}

fn sleeping(stage: &Stage, host: &str) -> String {
    stage.on(host, "pgrep -f 'sleep 471[1]' >/dev/null && echo yes || echo no")
}
