//! What a run left, by name: `--hosts @RUN/unreachable`.

use crate::place::Place;

/// This machine, and hosts of which each is no host.
fn with_nobodies(hosts: &str) -> Place {
    let place = Place::bare();
    let group = format!("hosts = [\"local\", \"{hosts}\"]\nmax_failures = \"100%\"");
    place.configure_hosts(&group, "[ssh]\nconnect_timeout = \"2s\"\n[run]\nattempts = 1\n");
    place.version(1, "one");
    place
}

/// The id of the newest run.
fn newest(place: &Place) -> String {
    let runs = std::fs::read_dir(place.path("repo/.git/deploy/mockbase/default/runs")).unwrap();
    let names = runs.map(|run| run.unwrap().file_name().into_string().unwrap());
    names.max().unwrap()
}

#[test]
fn hosts_of_a_run_are_named_by_how_they_ended() {
    let place = with_nobodies("nowhere.invalid");
    place.cli(&["plan", "--hosts", "@last/failed"]).ends(1).says("there is no run \"last\"");
    place.cli(&["deploy"]).ends(6);
    let run = newest(&place);
    for named in ["last", &run, &run[..17]] {
        let hosts = format!("@{named}/unreachable");
        place
            .cli(&["plan", "--hosts", &hosts])
            .ends(1)
            .says("a deploy would touch none")
            .says("group default: 1 host")
            .says("nowhere.invalid  cannot be deployed to");
    }
    place
        .cli(&["deploy", "--hosts", "@last/failed"])
        .ends(1)
        .says("no host of run $RUN ended failed: 1 deployed, 1 unreachable")
        .says("@$RUN/unfinished means all that is left");
    place
        .cli(&["deploy", "--hosts", "@last/faild"])
        .ends(1)
        .says("--hosts \"@last/faild\" does not say how the hosts of that run ended")
        .says("one of deployed, unchanged, reverted, failed, unreachable");
    place.cli(&["deploy", "--hosts", "@1999/failed"]).ends(1).says("there is no run \"1999\"");
    // Every command that takes hosts takes these.
    place.cli(&["status", "--hosts", "@last/deployed"]).ends(0).says("local").never_says("nowhere");
    place.cli(&["unlock", "--hosts", "@last/deployed"]).ends(0);
    place.cli(&["deploy", "--redeploy", "--hosts", "!@last/unreachable"]).ends(0);
    place
        .cli(&["rollback", "--hosts", "@last/unfinished"])
        .ends(1)
        .says("nothing is left of run $RUN: all of its hosts serve the version");
    place.cli(&["plan", "--hosts", "@2/deployed"]).ends(1).says("several runs begin \"2\"");
}

#[test]
fn a_plan_ends_as_its_deploy_would() {
    let place = with_nobodies("nowhere.invalid");
    place.cli(&["plan"]).ends(6).says("nowhere.invalid  cannot be deployed to");
    place.cli(&["plan", "--json"]).ends(6);
    place.cli(&["plan", "-o", "../plan"]).ends(6).says("saved as ../plan");
    place.cli(&["plan", "--hosts", "local"]).ends(0);
    place.reconfigure("max_failures = \"100%\"", "max_failures = 0");
    place.git(&["commit", "-qam", "no failures"]);
    place.cli(&["plan"]).ends(1).says("1 CANNOT").says("a deploy would touch none");
    place.cli(&["deploy"]).ends(1);
    place.reconfigure("attempts = 1", "attempts = 1\nmax_failures = 0");
    place.reconfigure("max_failures = 0\n[[check]]", "max_failures = 1\n[[check]]");
    place.git(&["commit", "-qam", "no failures at all"]);
    place.cli(&["plan"]).ends(1).says("a deploy would touch none");
    place.cli(&["deploy"]).ends(1);
}

#[test]
fn a_file_of_hosts_is_not_taken_for_a_run() {
    let place = with_nobodies("nowhere.invalid");
    std::fs::create_dir(place.path("repo/last")).unwrap();
    std::fs::write(place.path("repo/last/unreachable"), "local\n").unwrap();
    place.cli(&["plan", "--hosts", "@last/unreachable"]).ends(0).never_says("nowhere");
    place.cli(&["deploy"]).ends(6);
    place
        .cli(&["plan", "--hosts", "@last/unreachable"])
        .ends(1)
        .says("is a file and a run")
        .says("`@./…` always means the file");
    place.cli(&["plan", "--hosts", "@./last/unreachable"]).ends(0).never_says("nowhere");
}

#[test]
fn a_long_list_of_what_is_left_is_named_by_its_run() {
    let place = with_nobodies("h[01-12].invalid");
    let ran = place.cli(&["deploy"]).ends(6).says("12 unreachable");
    let run = newest(&place);
    assert!(
        ran.stdout.contains("deploy release/2026-01-01/1 --hosts @$RUN/unfinished"),
        "{}",
        ran.all()
    );
    let hosts = format!("@{run}/unfinished");
    place.cli(&["deploy", "--hosts", &hosts]).ends(1).says("12 hosts: 12 unreachable");
}

#[test]
fn a_deploy_that_hosts_keep_back_says_how_to_do_without_them() {
    let place = with_nobodies("no[1-2].invalid");
    place.reconfigure("max_failures = \"100%\"", "max_failures = 0");
    place.version(2, "two");
    place
        .cli(&["deploy"])
        .ends(1)
        .says("local        not attempted")
        .says(
            "without them:        deploy-cli deploy release/2026-01-02/1 --hosts '!no1.invalid,!no2.invalid'\n",
        )
        .says("and later:           deploy-cli catch-up\n");
    place.cli(&["deploy", "release/2026-01-02/1", "--hosts", "!no1.invalid,!no2.invalid"]).ends(0);
    // Of hosts that were named, those that are left are named.
    let narrow = place.cli(&["deploy", "--redeploy", "--hosts", "local,no1.invalid"]);
    narrow
        .ends(1)
        .says("without it:          deploy-cli deploy release/2026-01-02/1 --hosts local\n");
    // Nothing would be left without it.
    place.cli(&["deploy", "--hosts", "no1.invalid"]).ends(1).never_says("without it");
}

#[test]
fn a_host_that_serves_it_already_is_not_left_to_do() {
    let place = with_nobodies("nowhere.invalid");
    place.cli(&["deploy"]).ends(6);
    place.reconfigure("max_failures = \"100%\"", "max_failures = 0");
    place
        .cli(&["deploy", "--allow-dirty"])
        .ends(1)
        .says("on it, but not done with:")
        .says("local  serves it already, not checked")
        .never_says("local            not attempted");
    let left = place.cli(&["plan", "--allow-dirty", "--hosts", "@last/unfinished"]).ends(1);
    left.says("group default: 1 host").says("nowhere.invalid  cannot");
}

#[test]
fn the_hosts_of_a_run_at_work_are_not_left_yet() {
    let place = Place::bare();
    let hold = place.path("hold");
    std::fs::write(&hold, "").unwrap();
    let at = hold.display();
    place.configure(&format!(
        "[[step]]\nname = \"waits\"\nstage = \"before-promote\"\n\
         command = \"while test -e {at}; do sleep 0.1; done\"\n"
    ));
    place.version(1, "one");
    let mut child = place.start(&["deploy"]);
    place.until("fetched", || place.said().contains("fetched on 1 host"));
    let ran = place.cli(&["status", "--hosts", "@last/unfinished"]);
    std::fs::remove_file(hold).unwrap();
    child.wait().unwrap();
    ran.ends(1).says("run $RUN is still at work").says("show --follow $RUN");
}
