//! `man`: manual pages.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use deploy_core::record::Exit;

use crate::{
    args::{Cli, examples},
    context::Context,
    display,
    error::CommandError,
};

/// Write manual pages into a directory: one for the program, and one for each command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// The directory; it is made where it is not there
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

/// Writes the pages from the very definitions that parse the command line.
pub(crate) fn cmd_man(context: &Context, args: &ManArgs) -> Result<Exit, CommandError> {
    let directory = context.cwd.join(&args.directory);
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let written = fs::create_dir_all(&directory).and_then(|()| write(&cli, &directory));
    let written = written.map_err(|error| {
        CommandError::because(format!("write manual pages to {}", directory.display()), error)
    })?;
    let place = directory.display().to_string();
    context.ui.line(&format!("wrote {written} manual pages to {}", display::line(&place)));
    Ok(Exit::Complete)
}

/// Writes the page of `command` and of each below it; returns how many that were.
fn write(command: &Command, directory: &Path) -> io::Result<usize> {
    let mut written = 1;
    let page = Man::new(command.clone());
    fs::write(directory.join(page.get_filename()), render(command, &page)?)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        written += write(below, directory)?;
    }
    Ok(written)
}

fn render(command: &Command, page: &Man) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    page.render_options_section(&mut out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut out)?;
    }
    let examples = examples(command);
    if !examples.is_empty() {
        let mut roff = Roff::default();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for example in examples {
            roff.text([roman(example)]);
        }
        roff.control("fi", []);
        roff.to_writer(&mut out)?;
    }
    Ok(out)
}
