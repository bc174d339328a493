//! Services that fail in each of the ways in which services fail.

use crate::stage::Stage;

/// A server that answers, and takes `extra` seconds to die of itself.
const DIES_AFTER_3_S: &str = "
import http.server, threading, os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{}')
threading.Timer(3, lambda: (print('out of luck', flush=True), os._exit(7))).start()
http.server.HTTPServer(('', 1134), H).serve_forever()
";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_service_that_fails_to_start_goes_back_with_evidence() {
    let stage = Stage::new("cli-nostart", 3);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.with_server(2, "import sys\nsys.exit('no configuration for shard 9')\n");
    stage.deploy(&v2).exits(3).says("h1").says("no configuration for shard 9");
    stage.all_serve(&["h1", "h2", "h3"], 1);
    stage.deploy_cli(&["history"]).exits(0).says("rolled back");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_service_that_dies_after_three_seconds_is_caught_by_staying_up() {
    let stage = Stage::new("cli-dies", 2);
    stage.reconfigure("stay_up = \"1s\"", "stay_up = \"5s\"");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.with_server(2, DIES_AFTER_3_S);
    stage.deploy(&v2).exits(3).says("h1").says("stays-up");
    stage.all_serve(&["h1", "h2"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_port_that_never_opens_fails_its_check() {
    let stage = Stage::new("cli-noport", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.reconfigure(
        "[[check]]\nname = \"answers\"",
        "[[check]]\nname = \"port\"\nport = 1134\ntimeout = \"4s\"\n[[check]]\nname = \"answers\"",
    );
    let v2 = stage.with_server(2, "import time\nwhile True: time.sleep(1)\n");
    stage.deploy(&v2).exits(3).says("h1").says("port");
    stage.all_serve(&["h1", "h2"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_check_that_hangs_is_killed_and_one_that_floods_is_bounded() {
    let stage = Stage::new("cli-flood", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let plain = std::fs::read_to_string(stage.repository().join("deploy.toml")).unwrap();
    let check = |command: &str| {
        let check =
            format!("[[check]]\nname = \"own\"\ncommand = \"{command}\"\ntimeout = \"3s\"\n");
        std::fs::write(stage.repository().join("deploy.toml"), format!("{plain}{check}")).unwrap();
    };
    check("grep -q 1 $DEPLOY_RELEASE_PATH/VERSION || sleep 4711");
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(3).says("own");
    stage.all_serve(&["h1", "h2"], 1);
    assert_eq!(stage.on("h1", "pgrep -f 'sleep 471[1]' || echo none"), "none");

    check("grep -q 1 $DEPLOY_RELEASE_PATH/VERSION || { head -c 1000000000 /dev/zero; exit 1; }");
    let v3 = stage.good(3);
    stage.deploy(&v3).exits(3).says("own");
    stage.all_serve(&["h1", "h2"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_rollback_that_fails_on_one_host_brings_back_the_others_and_names_it() {
    let stage = Stage::new("cli-rollback-fails", 4);
    stage.configure("[[group]]\nname = \"default\"\nhosts = [\"h[1-4]\"]\nbatch = \"2\"\n");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    // On h4 the new version fails; on h2 the old one cannot come back.
    let v2 = stage.good(2);
    stage.on("h4", "printf '[Service]\\nExecStartPre=/bin/sh -c \"grep -q 1 /srv/deployment/mockbase/deploy/VERSION\"\\n' > /run/one.conf; mkdir -p /etc/systemd/system/mockbase.service.d; cp /run/one.conf /etc/systemd/system/mockbase.service.d/; systemctl daemon-reload");
    stage.on("h2", "printf '[Service]\\nExecStartPre=/bin/sh -c \"grep -q 2 /srv/deployment/mockbase/deploy/VERSION\"\\n' > /run/two.conf; mkdir -p /etc/systemd/system/mockbase.service.d; cp /run/two.conf /etc/systemd/system/mockbase.service.d/; systemctl daemon-reload");
    stage.deploy(&v2).exits(4).says("h2").says("rollback");
    stage.all_serve(&["h1", "h3", "h4"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_reload_keeps_the_process_and_shows_the_new_version() {
    let stage = Stage::new("cli-reload", 1);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let pid = stage.on("h1", "systemctl show -p MainPID --value mockbase");
    for (method, number) in [("reload", 2), ("hup", 3)] {
        let text = std::fs::read_to_string(stage.repository().join("deploy.toml")).unwrap();
        let text = text
            .lines()
            .filter(|line| !line.starts_with("method"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .replace("[restart]\n", &format!("[restart]\nmethod = \"{method}\"\n"));
        std::fs::write(stage.repository().join("deploy.toml"), text).unwrap();
        let version = stage.good(number);
        stage.deploy(&version).exits(0);
        stage.all_serve(&["h1"], number);
        assert_eq!(stage.on("h1", "systemctl show -p MainPID --value mockbase"), pid, "{method}");
    }
}
