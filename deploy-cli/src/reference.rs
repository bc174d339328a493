//! The reference of the command line, made from the very definitions that parse it.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::args::{Cli, examples};

/// The reference as Markdown: what `docs/cli.md` holds.
pub fn markdown() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = String::from(
        "# Command line\n\n<!-- Made from the program itself; a test keeps \
                                 it current: `UPDATE_DOCS=1 cargo test -p deploy-cli`. -->\n\n",
    );
    about(&mut text, &cli);
    let global: Vec<&Arg> = cli.get_arguments().filter(|arg| arg.is_global_set()).collect();
    text.push_str("## Options of all commands\n\n");
    global.iter().for_each(|arg| argument(&mut text, arg));
    commands(&mut text, &cli, "");
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

/// The commands below `parent`, and those below them.
fn commands(text: &mut String, parent: &Command, path: &str) {
    let named = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
    for command in parent.get_subcommands().filter(named) {
        let path = format!("{path}{}", command.get_name());
        let _ = write!(text, "\n## {path}\n\n");
        about(text, command);
        let usage = command.clone().render_usage().to_string();
        let _ = writeln!(text, "    {}\n", usage.trim_start_matches("Usage: "));
        command
            .get_arguments()
            .filter(|arg| {
                !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version")
            })
            .for_each(|arg| argument(text, arg));
        let examples = examples(command);
        if !examples.is_empty() {
            text.truncate(text.trim_end().len());
            text.push_str("\n\nFor example:\n\n");
        }
        for example in examples {
            let _ = writeln!(text, "    {example}");
        }
        commands(text, command, &format!("{path} "));
    }
}

fn about(text: &mut String, command: &Command) {
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = writeln!(text, "{about}\n");
    }
}

fn argument(text: &mut String, argument: &Arg) {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .map_or(String::new(), |names| names.iter().map(|name| format!(" {name}")).collect());
    let name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        (Some(short), None) => format!("-{short}{value}"),
        (None, None) => format!("[{}]", value.trim()),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let default = if defaults.is_empty() {
        String::new()
    } else {
        format!(" (default: {})", defaults.join(" "))
    };
    let _ = writeln!(text, "- `{name}`: {help}{default}");
}
