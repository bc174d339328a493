//! From the configuration to the files that are rendered into releases.

use deploy_ssh::{SshTransport, Template, TemplateError, Templates};

use super::variables;
use crate::{
    config::{Loaded, TemplateSection},
    error::CommandError,
};

/// What keeps templates from being rendered, though everything else can be done.
#[derive(Debug, Clone)]
pub(super) struct Unrendered {
    told: String,
    hints: Vec<String>,
}

impl Unrendered {
    fn of(error: &CommandError) -> Self {
        Self { told: error.told(), hints: error.hints().to_vec() }
    }

    pub(super) fn error(&self) -> CommandError {
        let error = CommandError::refused(self.told.clone());
        self.hints.iter().fold(error, |error, hint| error.hint(hint))
    }
}

/// Lets `transport` render what the configuration says. Where the variables cannot be made sense of
/// it renders nothing, and says why: a rollback needs none.
///
/// # Errors
/// Refused when the configuration cannot be used as it is.
pub(super) fn rendering(
    loaded: &Loaded,
    transport: SshTransport,
) -> Result<(SshTransport, Option<Unrendered>), CommandError> {
    if loaded.config.template.is_empty() {
        return Ok((transport, None));
    }
    let sections = loaded.config.template.iter().enumerate();
    let files: Result<Vec<Template>, CommandError> =
        sections.map(|(index, section)| template(loaded, index, section)).collect();
    let refuse = |key: &str, error: &TemplateError| loaded.refuse(&[key], error.to_string());
    let (app, environment) = (loaded.config.app.clone(), loaded.environment.clone());
    let mut templates =
        Templates::new(app, environment, files?).map_err(|error| refuse("template", &error))?;
    if let Some(file) = &loaded.config.secrets_file {
        templates = templates.secrets_file(file).map_err(|error| refuse("secrets_file", &error))?;
    }
    let places = super::groups(loaded).and_then(|groups| variables::places(loaded, &groups));
    let places = match places {
        Ok(places) => places,
        Err(error) => return Ok((transport, Some(Unrendered::of(&error)))),
    };
    for (target, place) in places {
        templates = templates.place(target, place);
    }
    let transport = transport.templates(templates).map_err(|error| refuse("template", &error))?;
    Ok((transport, None))
}

fn template(
    loaded: &Loaded,
    index: usize,
    section: &TemplateSection,
) -> Result<Template, CommandError> {
    let index = index.to_string();
    let refuse = |key: &'static str| {
        let index = &index;
        move |error: TemplateError| loaded.refuse(&["template", index, key], error.to_string())
    };
    let mut template =
        Template::new(&section.source, &section.destination).map_err(refuse("destination"))?;
    if let Some(mode) = &section.mode {
        template = template.mode(mode).map_err(refuse("mode"))?;
    }
    if let Some(group) = &section.file_group {
        template = template.file_group(group).map_err(refuse("file_group"))?;
    }
    Ok(template.groups(section.groups.clone()))
}
