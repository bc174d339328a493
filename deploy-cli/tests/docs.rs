//! The documentation names only commands and options that exist.

use std::{fs, path::Path};

use clap::{Parser, error::ErrorKind};
use deploy_cli::args::Cli;

/// The command lines of `deploy-cli` in a page: in fenced blocks by line, elsewhere in code spans.
fn command_lines(page: &str) -> Vec<String> {
    let (mut lines, mut fenced) = (Vec::new(), false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let line = line.trim_start().trim_start_matches("$ ");
            lines.extend(line.starts_with("deploy-cli ").then(|| line.to_owned()));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            lines.extend(spans.filter(|span| span.starts_with("deploy-cli ")).map(str::to_owned));
        }
    }
    lines
}

/// What a shell would make of it: the words before a comment, a pipe or another command.
fn words(line: &str) -> Option<Vec<String>> {
    let ends = |word: &str| {
        matches!(word, "|" | ">" | "<" | "&&" | "||" | ";" | "2>&1") || word.starts_with('#')
    };
    let words = shlex::split(line)?;
    Some(words.into_iter().take_while(|word| !ends(word)).collect())
}

/// Why a command line is wrong; `None` when it is not, or stands for several (`…`, `[…]`).
fn wrong(line: &str) -> Option<String> {
    if line.contains(['…', '[', '<']) || line.contains("...") {
        return None;
    }
    let Some(words) = words(line) else { return Some("cannot be split into words".to_owned()) };
    match Cli::try_parse_from(words) {
        Ok(_) => None,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn every_command_line_in_the_documentation_parses() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = ["README.md", "examples/ssh-service/README.md", "examples/k8s-service/README.md"];
    let mut pages: Vec<_> = pages.map(|page| top.join(page)).into();
    for entry in fs::read_dir(top.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        pages.extend(path.extension().is_some_and(|kind| kind == "md").then_some(path));
    }
    let (mut seen, mut bad) = (0, Vec::new());
    for page in pages {
        for line in command_lines(&fs::read_to_string(&page).unwrap()) {
            seen += 1;
            let name = page.strip_prefix(top).unwrap().display().to_string();
            bad.extend(wrong(&line).map(|why| format!("{name}: {line}\n{why}")));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(seen > 20, "the pages were read: {seen} command lines");
}

#[test]
fn what_does_not_exist_is_found() {
    assert!(wrong("deploy-cli deploy v1 --yes | tee log").is_none());
    assert!(wrong("deploy-cli deploy --no-such-option").is_some());
    assert!(wrong("deploy-cli fly").is_some());
    let page = "see `deploy-cli fly`\n```sh\n$ deploy-cli deploy v2   # the second\n```\n";
    assert_eq!(command_lines(page), ["deploy-cli fly", "deploy-cli deploy v2   # the second"]);
}
