//! `tag`: the next version.

use clap::Args;
use deploy_core::{
    model::{SemverPart, VersionRef},
    record::Exit,
};

use crate::{config::SchemeName, context::Context, display, error::CommandError, wire};

/// Make and push the next version tag
///
/// With date tags it is today's next number; with semantic versions say which part is incremented.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli tag                       # today's next number
  deploy-cli tag --minor -m 'faster search' HEAD~1")]
pub struct TagArgs {
    /// The commit that gets the tag
    #[arg(default_value = "HEAD")]
    commit: String,
    /// Increment the major version
    #[arg(long, group = "part")]
    major: bool,
    /// Increment the minor version
    #[arg(long, group = "part")]
    minor: bool,
    /// Increment the patch version, or end a pre-release
    #[arg(long, group = "part")]
    patch: bool,
    /// What the tag says; the commit's subject if not given
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Allow modified files; they are not part of the version
    #[arg(long)]
    allow_dirty: bool,
}

/// Makes the next tag and pushes it.
pub(crate) async fn cmd_tag(context: &Context, args: &TagArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let part = part(args, project.loaded.config.version.scheme)?;
    let source = wire::git_source(&project, args.allow_dirty);
    let today = jiff::Zoned::now().date();
    let name = source.next_tag(today, part).await?;
    let message = match &args.message {
        Some(message) => message.clone(),
        None => project.repo.subject(&args.commit).unwrap_or_else(|| name.clone()),
    };
    let at = VersionRef::Named(args.commit.clone());
    let version = source.publish_tag(&name, &at, &message).await?;
    if context.global.json {
        let line = serde_json::json!({ "tag": name, "commit": version.id });
        context.ui.line(&line.to_string());
    } else {
        let shown = display::line(&name);
        let pushed = match project.repo.has_remote() {
            true => format!(", and pushed it to {}", display::line(&source.options().remote)),
            false => String::new(),
        };
        context.ui.prose(&format!("tagged {} as {shown}{pushed}", version.id.short()));
        if pushed.is_empty() {
            let note = "note: it is not pushed, since this repository has no remote";
            context.ui.prose(&context.ui.paint(context.ui.note(), note));
        }
        context.ui.prose(&format!("next: deploy-cli deploy{} {shown}", project.options));
    }
    Ok(Exit::Complete)
}

fn part(args: &TagArgs, scheme: SchemeName) -> Result<SemverPart, CommandError> {
    let part = match (args.major, args.minor, args.patch) {
        (true, ..) => Some(SemverPart::Major),
        (_, true, _) => Some(SemverPart::Minor),
        (.., true) => Some(SemverPart::Patch),
        _ => None,
    };
    match (scheme, part) {
        (SchemeName::Semver, None) => Err(CommandError::usage("say which part is incremented")
            .hint("--major, --minor or --patch")),
        (SchemeName::Date, Some(_)) => {
            Err(CommandError::usage("date tags have no major, minor or patch"))
        }
        (_, part) => Ok(part.unwrap_or(SemverPart::Patch)),
    }
}
