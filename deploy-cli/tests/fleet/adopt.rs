//! Hosts on which other tools deployed until now, taken over while their service answers.

use std::process::Command;

use crate::stage::Stage;

const LIVE: &str = "/srv/deployment/mockbase/deploy";

/// A server that reads its version through the live path for each answer.
const READS_EACH_TIME: &str = r#"
import http.server, json, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        version = open(os.path.join(os.path.dirname(sys.argv[0]), "VERSION")).read().strip()
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"version": version}).encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 1134), H).serve_forever()
"#;

/// Asks it all the time, until `/tmp/asking` is gone; then says how often, and what went wrong.
const ASKS: &str = r#"
import os, urllib.request
asked, failed = 0, []
while os.path.exists("/tmp/asking"):
    asked += 1
    try:
        urllib.request.urlopen("http://localhost:1134/_info", timeout=5).read()
    except Exception as error:
        failed.append(str(error))
open("/tmp/asked.new", "w").write(f"{asked} {len(failed)} {failed[:3]}")
os.rename("/tmp/asked.new", "/tmp/asked")
"#;

/// Begins to ask the service on `host`.
fn begin_to_ask(stage: &Stage, host: &str) {
    stage.on(
        host,
        &format!(
            "cat >/tmp/asks.py <<'E'\n{ASKS}\nE\nrm -f /tmp/asked; touch /tmp/asking; \
             systemd-run -q --collect python3 /tmp/asks.py"
        ),
    );
}

/// Ends it. Each question was answered.
#[track_caller]
fn was_always_answered(stage: &Stage, host: &str) {
    let wait = "rm /tmp/asking; while ! [ -e /tmp/asked ]; do sleep 0.05; done; cat /tmp/asked";
    let told = stage.on(host, wait);
    let mut words = told.split(' ');
    let asked: usize = words.next().unwrap().parse().unwrap();
    println!("{host}: {told}");
    assert!(asked > 20, "{host}: {told}");
    assert_eq!(words.next(), Some("0"), "{host}: {told}");
}

/// Makes `host` able to fetch what is in the repository, as the deploy user: `/srv/mockbase.git`.
fn bring_mirror(stage: &Stage, host: &str) {
    let bundle = "git bundle create -q - --all | base64 -w0";
    let mut bundling = Command::new("sh");
    let made = bundling.args(["-c", bundle]).current_dir(stage.repository()).output().unwrap();
    let bundle = String::from_utf8(made.stdout).unwrap();
    stage.on(
        host,
        &format!(
            "echo '{bundle}' | base64 -d >/tmp/mockbase.bundle; \
             git clone -q --mirror /tmp/mockbase.bundle /srv/mockbase.git; \
             chown -R deploy /srv/mockbase.git"
        ),
    );
}

/// Runs a script as the deploy user, with the commit that is deployed as `$sha`.
fn deploys(stage: &Stage, host: &str, tag: &str, script: &str) {
    bring_mirror(stage, host);
    let sha = stage.git(&["rev-parse", &format!("{tag}^{{commit}}")]);
    let script = format!(
        "cat >/tmp/peer <<'E'\nset -e\nsha={sha}\nmkdir -p /srv/deployment/mockbase\ncd /srv/deployment/mockbase\n{script}\nE\n\
         su deploy -s /bin/sh -c 'sh /tmp/peer' && systemctl start mockbase && echo deployed"
    );
    assert_eq!(stage.on(host, &script), "deployed");
}

/// A checkout, pulled by hand.
const BY_HAND: &str = "git clone -q /srv/mockbase.git deploy; git -C deploy checkout -q $sha";

/// What Capistrano 3 does, with `set :current_directory, \"deploy\"`.
const BY_CAPISTRANO: &str = r#"
root=$PWD release=$PWD/releases/20260101120000
mkdir -p shared releases shared/log
git clone -q --mirror /srv/mockbase.git repo
mkdir -p "$release"
git -C repo archive $sha | tar -x -f - -C "$release"
echo $sha >"$release/REVISION"
rm -rf "$release/log"
ln -s "$root/shared/log" "$release/log"
ln -s "$release" releases/deploy
mv releases/deploy "$root"
echo "Branch main (at $sha) deployed as release 20260101120000 by ann" >>revisions.log
"#;

/// What Scap 3 does on a target.
const BY_SCAP: &str = r#"
cache=$PWD/deploy-cache
mkdir -p "$cache/revs"
git clone -q --mirror /srv/mockbase.git "$cache/cache"
git clone -q --shared "$cache/cache" "$cache/revs/$sha"
git -C "$cache/revs/$sha" checkout -q $sha
ln -s "$cache/revs/$sha" "$cache/.in-progress"
ln -s "$cache/revs/$sha" "$cache/current"
ln -s "$cache/current" deploy
mv -T "$cache/.in-progress" "$cache/.done"
"#;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn three_layouts_become_ours_while_the_service_answers() {
    let stage = Stage::new("adopt-three", 3);
    stage.reconfigure("shared = [\"log\"]\n", "");
    let hosts = ["h1", "h2", "h3"];
    let v1 = stage.with_server(1, READS_EACH_TIME);
    for (host, by) in hosts.into_iter().zip([BY_HAND, BY_CAPISTRANO, BY_SCAP]) {
        deploys(&stage, host, &v1, by);
    }
    let start = |host| stage.on(host, "systemctl show -P InvocationID mockbase");
    let starts = hosts.map(start);
    hosts.iter().for_each(|host| begin_to_ask(&stage, host));
    let ran = stage.deploy_cli(&["adopt", "--yes"]).exits(0);
    let ran = ran.says("h1: ").says("is a plain directory");
    ran.says("a layout of Capistrano").says("a layout of Scap").says("3 done");
    hosts.iter().for_each(|host| was_always_answered(&stage, host));
    assert_eq!(hosts.map(start), starts, "nothing was restarted");
    stage.all_serve(&hosts, 1);
    stage.deploy_cli(&["status"]).exits(0).says(&v1).never_says("claimed");

    // Only what Capistrano shared would be missed, and only until the configuration has it.
    stage.on("h2", &format!("echo old >{LIVE}/log/app.log"));
    let v2 = stage.with_server(2, READS_EACH_TIME);
    let line = "write under [layout]: shared = [\"log\"]";
    let ran = stage.deploy_cli(&["plan", &v2]).exits(0).says("h2: shared directories").says(line);
    ran.never_says("h1: shared").never_says("h3: shared").never_says("[[step]]");
    stage.deploy_cli(&["doctor"]).says("h2: shared directories").says(line);
    stage.reconfigure("keep = 3\n", "keep = 3\nshared = [\"log\"]\n");
    let v3 = stage.with_server(3, READS_EACH_TIME);
    stage.deploy_cli(&["plan", &v3]).exits(0).never_says("[layout]");
    stage.deploy(&v3).exits(0).never_says("[layout]");
    stage.all_serve(&hosts, 3);
    assert_eq!(stage.on("h2", &format!("cat {LIVE}/log/app.log")), "old");
    stage.deploy_cli(&["rollback", "--yes"]).exits(0).says(&v1);
    stage.all_serve(&hosts, 1);

    hosts.iter().for_each(|host| begin_to_ask(&stage, host));
    stage.deploy_cli(&["adopt", "--undo", "--yes"]).exits(0).says("h1: what was ours lies in");
    hosts.iter().for_each(|host| was_always_answered(&stage, host));
    stage.all_serve(&hosts, 1);
    assert_eq!(stage.on("h1", &format!("git -C {LIVE} -c safe.directory='*' status --short")), "");
    assert_eq!(
        stage.on("h2", &format!("readlink {LIVE}; ls -F /srv/deployment/mockbase/releases")),
        "/srv/deployment/mockbase/releases/20260101120000\n20260101120000/"
    );
    assert_eq!(stage.on("h3", &format!("readlink {LIVE}")), format!("{LIVE}-cache/current"));
}

/// From now on the live path is not renamed into place for as long as `/run/hold` is there.
const HOLDS_THE_LINK: &str = r#"
cp /usr/bin/mv /usr/bin/mv.real
cat >/usr/bin/mv.new <<'E'
#!/bin/sh
case "$*" in *-cache/.new/path*)
  if [ -e /run/hold ]; then : >/tmp/held; while [ -e /run/hold ]; do sleep 0.1; done; fi ;;
esac
exec /usr/bin/mv.real "$@"
E
chmod 755 /usr/bin/mv.new
mv.real -f /usr/bin/mv.new /usr/bin/mv
"#;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_deployer_that_is_killed_half_way_leaves_nothing_that_cannot_be_finished() {
    let stage = Stage::new("adopt-killed", 2);
    let v1 = stage.with_server(1, READS_EACH_TIME);
    deploys(&stage, "h1", &v1, BY_CAPISTRANO);
    deploys(&stage, "h2", &v1, BY_HAND);
    begin_to_ask(&stage, "h1");
    // The release is ours already, and the live path does not know it yet.
    stage.on("h1", HOLDS_THE_LINK);
    stage.hold("h1");
    let mut running = stage.start(&["adopt", "--yes"]);
    stage.until_held("h1", &running);
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let ran = stage.deploy_cli(&["status"]).exits(0);
    ran.says("h1: its adoption was broken off: `deploy-cli adopt` finishes it");
    stage.deploy(&v1).exits(1).says("broken off");
    // The first one waits still: the second ends it, and does not wait.
    stage.on("h1", "cp /usr/bin/mv.real /usr/bin/mv.new; mv.real -f /usr/bin/mv.new /usr/bin/mv");
    stage.deploy_cli(&["adopt", "--yes"]).exits(0).says("2 done");
    was_always_answered(&stage, "h1");
    stage.all_serve(&["h1", "h2"], 1);
    let v2 = stage.with_server(2, READS_EACH_TIME);
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn what_cannot_be_adopted_is_told_before_anything_is_touched() {
    let stage = Stage::new("adopt-rights", 2);
    let v1 = stage.with_server(1, READS_EACH_TIME);
    deploys(&stage, "h1", &v1, BY_HAND);
    stage.on(
        "h1",
        "chown root /srv/deployment/mockbase; chown -R root:root /srv/deployment/mockbase/deploy",
    );
    stage.on("h2", &format!("mkdir /srv/deployment/mockbase; ln -s /usr/share {LIVE}"));
    let ran = stage.deploy_cli(&["adopt", "--yes"]).exits(1).says("nothing was touched");
    let command = format!("sudo chown deploy /srv/deployment/mockbase {LIVE}");
    let ran = ran.says(&format!("deploy may not write to /srv/deployment/mockbase {LIVE}"));
    ran.says(&command).says("h2: cannot: ").says("(\"/usr/share\")").says("--hosts '*,!h1,!h2'");
    assert_eq!(stage.on("h1", "ls -A /srv/deployment/mockbase"), "deploy");
    assert_eq!(stage.on("h2", &format!("readlink {LIVE}")), "/usr/share");
    // What the message says is enough; the files may go on to belong to somebody else.
    stage.on("h1", command.trim_start_matches("sudo "));
    begin_to_ask(&stage, "h1");
    stage.deploy_cli(&["adopt", "--yes", "--hosts", "*,!h2"]).exits(0);
    was_always_answered(&stage, "h1");
    assert_eq!(stage.on("h1", &format!("stat -c %U {LIVE}/VERSION")), "root");
    stage.all_serve(&["h1"], 1);
    stage.fleet.cut("h2").unwrap();
    stage
        .deploy_cli(&["adopt", "--yes"])
        .exits(6)
        .says("h1: ours already")
        .says("could not be asked");
}
