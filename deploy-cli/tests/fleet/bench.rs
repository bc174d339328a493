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

#[track_caller]
fn number(side: &Value, figure: &str) -> f64 {
    side["deploy"][figure].as_f64().unwrap_or_else(|| panic!("no {figure} in {side}"))
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn two_hosts_are_measured_on_both_sides() {
    let figures = bench(&["--hosts", "2", "--runs", "1"]);
    let row = &figures["rows"][0];
    assert_eq!((row["hosts"].as_u64(), row["kind"].as_str()), (Some(2), Some("light")));
    let pack = row["pack_bytes"].as_f64().unwrap();
    let sides = row["sides"].as_array().unwrap();
    let names: Vec<_> = sides.iter().filter_map(|side| side["side"].as_str()).collect();
    assert_eq!(names, ["floor", "deploy-cli"]);
    for side in sides {
        println!("{side:#}");
        for figure in ["wall_seconds", "deployer_cpu_seconds"] {
            assert!(number(side, figure) > 0.0, "{figure}");
        }
        // It is missing where control groups are read-only.
        assert!(side["deploy"]["hosts_cpu_seconds"].as_f64().is_none_or(|cpu| cpu > 0.0));
        assert_eq!(number(side, "failed_hosts"), 0.0);
        assert_eq!(number(side, "connections"), 2.0, "one a host");
        assert!(number(side, "received_by_hosts_bytes") > 2.0 * pack, "both got the change");
        assert!(side["back"]["wall_seconds"].as_f64().is_some_and(|wall| wall > 0.0));
    }
    assert_eq!(number(&sides[0], "origin_reads"), 2.0, "each host of the floor reads it");
    assert!(number(&sides[1], "origin_reads") <= 1.0, "ours is read once at most");
    assert!(number(&sides[1], "deployer_memory_bytes") > 1e6);
    let bars = figures["bars"].as_array().unwrap();
    let lost = bars.iter().find(|bar| bar["bar"] == "2 light hosts: hosts lost").unwrap();
    assert_eq!(lost["met"], true);
}
