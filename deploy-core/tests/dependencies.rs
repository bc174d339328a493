//! The engine can be embedded anywhere: it brings no network, no terminal and no TLS with it.

#![expect(clippy::unwrap_used, reason = "what cannot be prepared fails the test")]

use std::process::Command;

/// What the engine itself names, and why each is there.
const DIRECT: &[&str] = &[
    "async-trait", // traits that are held as objects
    "jiff",        // when something happened
    "semver",      // the order of version tags
    "serde",       // events and plans are data
    "serde_json",  // the journal
    "sha2",        // the digest of a plan
    "strsim",      // "did you mean"
    "thiserror",
    "tokio",      // timers and tasks, without its network
    "tokio-util", // cancellation
    "tracing",
];

/// What would mean that the engine talks to a network or a terminal, or starts processes.
const FOREIGN: &[&str] = &[
    "mio",
    "socket2",
    "hyper",
    "h2",
    "reqwest",
    "curl",
    "ssh2",
    "libssh2-sys",
    "russh",
    "git2",
    "rustls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "aws-lc-rs",
    "kube",
    "clap",
    "anstream",
    "termcolor",
    "console",
    "crossterm",
    "indicatif",
    "ratatui",
    "nix",
    "rustix",
    "signal-hook",
    "figment",
    "toml",
    "tempfile",
    "dirs",
    "home",
];

/// The names in what `cargo tree` prints for the crate as it is published: no tests' needs.
fn tree(options: &[&str]) -> Vec<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--package", "deploy-core", "--edges", "normal", "--prefix", "none"]);
    let output = tree.args(["--format", "{p}", "--locked", "--all-features"]).args(options);
    let output = output.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names.retain(|name| name != "deploy-core" && !name.is_empty());
    names
}

#[test]
fn the_engine_names_only_what_it_is_known_to_need() {
    assert_eq!(tree(&["--depth", "1"]), DIRECT);
}

#[test]
fn the_engine_brings_no_network_terminal_or_tls_crate() {
    let all = tree(&[]);
    assert!(all.len() > DIRECT.len(), "the tree is whole: {all:?}");
    let foreign: Vec<_> = all.iter().filter(|name| FOREIGN.contains(&name.as_str())).collect();
    assert!(foreign.is_empty(), "{foreign:?} among {all:?}");
}
