//! `completions`: what shells need to complete command lines.

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;
use deploy_core::record::Exit;

use crate::{completion, context::Context, error::CommandError};

/// Print the completions for a shell
///
/// They ask this program for commands, options, versions, hosts, environments, runs and keys of the
/// configuration, as far as they are known here: no host is asked, and nothing is fetched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(deploy-cli completions bash)                                   # in ~/.bashrc
  source <(deploy-cli completions zsh)                                    # in ~/.zshrc
  deploy-cli completions fish > ~/.config/fish/completions/deploy-cli.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// A shell whose completions can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// Where zsh runs the script for the first TAB, instead of sourcing it, that TAB is to be answered.
const ZSH_AUTOLOAD: &str =
    "[[ $funcstack[1] == _deploy-cli ]] && _clap_dynamic_completer_deploy_cli \"$@\" || true";

/// Prints the script by which the shell asks this program.
pub(crate) fn cmd_completions(
    context: &Context,
    args: &CompletionsArgs,
) -> Result<Exit, CommandError> {
    let name = args.shell.name();
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(|| CommandError::refused("unknown shell"))?;
    let program = completion::PROGRAM;
    shell
        .write_registration(completion::VARIABLE, program, program, program, &mut script)
        .map_err(|error| {
            CommandError::because(format!("write the completions of {name}"), error)
        })?;
    context.ui.line(String::from_utf8_lossy(&script).trim_end());
    if args.shell == Shell::Zsh {
        context.ui.line(ZSH_AUTOLOAD);
    }
    Ok(Exit::Complete)
}
