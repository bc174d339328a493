//! The bench measures what it says it does, on as few hosts as can be.

use std::{fs, path::Path};

use serde_json::Value;

/// Runs `cargo xtask bench` with this build and returns what it has written.
fn bench(words: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("figures.json");
    let mut line = vec!["xtask", "bench", "--with", env!("CARGO_BIN_EXE_deploy-cli"), "--json"];
    line.push(json.to_str().unwrap());
    line.extend(words);
    // Whether bars are met is no matter of this machine at this moment.
    let _ = xtask::run(line);
    read(&json)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("the bench has ended early")).unwrap()
}

/// What one side's runs of one kind have cost.
#[track_caller]
fn median<'a>(row: &'a Value, side: &str, what: &str) -> &'a Value {
    let series = row["series"].as_array().unwrap();
    let found = series.iter().find(|series| series["side"] == side && series["what"] == what);
    &found.unwrap_or_else(|| panic!("no {what} of {side} in {row:#}"))["median"]
}

#[track_caller]
fn number(median: &Value, figure: &str) -> f64 {
    median[figure].as_f64().unwrap_or_else(|| panic!("no {figure} in {median:#}"))
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn two_hosts_are_measured_on_both_sides() {
    let figures = bench(&["--hosts", "2", "--runs", "1"]);
    let row = &figures["rows"][0];
    println!("{row:#}");
    assert_eq!((row["hosts"].as_u64(), row["kind"].as_str()), (Some(2), Some("light")));
    let pack = number(row, "pack_bytes");
    for side in ["floor", "deploy-cli"] {
        let deploy = median(row, side, "deploy");
        for figure in ["wall_seconds", "deployer_cpu_seconds"] {
            assert!(number(deploy, figure) > 0.0, "{figure}");
        }
        // It is missing where control groups are read-only.
        assert!(deploy["hosts_cpu_seconds"].as_f64().is_none_or(|cpu| cpu > 0.0));
        assert_eq!(number(deploy, "failed_hosts"), 0.0);
        assert_eq!(number(deploy, "connections"), 2.0, "one a host");
        assert!(number(deploy, "received_by_hosts_bytes") > 2.0 * pack, "both got the change");
        assert!(number(median(row, side, "rollback"), "wall_seconds") > 0.0);
    }
    let floor = number(median(row, "floor", "deploy"), "origin_reads");
    assert_eq!(floor, 2.0, "each host of the floor reads the origin");
    let ours = median(row, "deploy-cli", "deploy");
    assert!(number(ours, "origin_reads") <= 1.0, "ours is read once at most");
    assert!(number(ours, "deployer_memory_bytes") > 1e6);
    let first = median(row, "deploy-cli", "first deploy");
    assert!(number(first, "received_by_hosts_bytes") > 2.0 * number(row, "first_pack_bytes"));
    assert_eq!(number(median(row, "deploy-cli", "plan"), "connections"), 2.0, "one a host");
    let bars = figures["bars"].as_array().unwrap();
    let lost = bars.iter().find(|bar| bar["bar"] == "2 light hosts: hosts lost").unwrap();
    assert_eq!(lost["met"], true);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn hosts_with_services_and_many_versions_are_measured() {
    let words = ["--only", "systemd", "--only", "listing", "--hosts", "1", "--runs", "1"];
    let figures = bench(&words);
    let row = &figures["rows"][0];
    println!("{figures:#}");
    for side in ["floor", "deploy-cli"] {
        assert_eq!(number(median(row, side, "deploy"), "failed_hosts"), 0.0);
    }
    let bars = figures["bars"].as_array().unwrap();
    let listing = bars.iter().find(|bar| bar["bar"] == "listing 10000 version tags").unwrap();
    assert!(number(listing, "measured") > 0.0);
}
