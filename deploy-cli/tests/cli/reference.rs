//! The reference of the command line is what the program says.

#[test]
fn the_reference_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let now = deploy_cli::reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == now, "docs/cli.md is old: UPDATE_DOCS=1 cargo test -p deploy-cli");
}

/// Each command below `command` that is run as such, with the words that name it.
fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, Vec<String>)>) {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let path = format!("{path}{} ", below.get_name());
        found.push((path.trim_end().to_owned(), deploy_cli::args::examples(below)));
        commands(below, &path, found);
    }
}

#[test]
fn each_command_has_examples_which_are_about_it_and_parse() {
    use clap::{CommandFactory, Parser};
    let mut found = Vec::new();
    commands(&deploy_cli::args::Cli::command(), "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (command, examples) in found {
        assert!(!examples.is_empty(), "{command} has no example");
        for example in examples {
            let line = example.strip_prefix("source <(").unwrap_or(&example).replace(')', "");
            let words = shlex::split(&line).unwrap();
            let ends = |word: &String| word == ">" || word.starts_with('#');
            let words: Vec<String> = words.into_iter().take_while(|word| !ends(word)).collect();
            let parsed = deploy_cli::args::Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            let named = words[1..].join(" ");
            assert!(named.contains(&command), "{example} is not about {command}");
            assert!(example.chars().count() < 96, "{example} would be broken in two");
        }
    }
}

#[test]
fn the_definitions_hold_together() {
    use clap::CommandFactory;
    deploy_cli::args::Cli::command().debug_assert();
}
