//! What is rendered for one target: first with the names of secrets, then with the secrets.

use std::collections::BTreeSet;

use deploy_core::{
    backend::BackendError,
    model::{Target, Version},
};
use minijinja::Value;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    Edition, Fault, FileGroup, Mode, Secrets, Template, Templates,
    edition::LONGEST,
    secret::{self, Name, Nameless, Uses},
};
use crate::layout::Layout;

/// How much may be rendered for one target.
const MOST: usize = 4 << 20;
/// What stands for a release's id, which is known only when all is rendered.
const NO_ID: &str = "__release__";

/// What is rendered for one target, with names in the places of its secrets. Fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendering {
    /// The files, by destination.
    pub files: Vec<PlannedFile>,
    /// The secrets that are written.
    pub secrets: BTreeSet<Name>,
    /// Of all that is rendered: the same digest, the same files but for secrets. Lower-case hex.
    pub digest: String,
}

/// A file that is to be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedFile {
    pub source: String,
    pub destination: String,
    pub mode: Mode,
    pub group: FileGroup,
    /// Its text, with names in the places of secrets.
    pub text: String,
    /// The secrets that are written to it.
    pub secrets: BTreeSet<Name>,
}

impl Templates {
    /// Renders what `target` gets of `edition`, as far as it can be known without its secrets.
    ///
    /// # Errors
    /// When git fails. That a template cannot be rendered is an answer.
    pub(crate) async fn plan(
        &self,
        edition: &Edition,
        target: &Target,
        layout: &Layout,
    ) -> Result<Result<Rendering, Fault>, BackendError> {
        let mut files = Vec::new();
        for template in self.files_of(target) {
            match self.plan_file(edition, target, layout, template).await? {
                Ok(file) => files.push(file),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        files.sort_by(|a: &PlannedFile, b| a.destination.cmp(&b.destination));
        if files.iter().map(|file| file.text.len()).sum::<usize>() > MOST {
            return Ok(Err(Fault::new(target.to_string(), "its files are larger than 4 MiB")));
        }
        let secrets = files.iter().flat_map(|file| file.secrets.clone()).collect();
        Ok(Ok(Rendering { digest: digest(&files), files, secrets }))
    }

    async fn plan_file(
        &self,
        edition: &Edition,
        target: &Target,
        layout: &Layout,
        template: &Template,
    ) -> Result<Result<PlannedFile, Fault>, BackendError> {
        let uses = std::sync::Arc::<std::sync::Mutex<Uses>>::default();
        let secret = self.secrets_file.is_some().then(|| Nameless::value(&uses));
        let release = format!("{}/releases/{NO_ID}", layout.cache());
        let context = self.context(target, &edition.version, layout.path(), &release, secret);
        let source = template.source();
        let text = match edition.render(source, &context).await? {
            Ok(text) => text,
            Err(error) => return Ok(Err(edition.fault(&error, source, &context))),
        };
        let refuse = |problem: String| Ok(Err(Fault::new(source, problem)));
        let uses = std::mem::take(&mut *uses.lock().unwrap_or_else(|lock| lock.into_inner()));
        let secrets = match uses.written() {
            Ok(secrets) => secrets,
            Err(problem) => return refuse(problem),
        };
        let (mode, group) = match template.access(!secrets.is_empty(), layout.known_service_user())
        {
            Ok(access) => access,
            Err(problem) => return refuse(problem),
        };
        if text.len() > LONGEST {
            return refuse("what it becomes is larger than 1 MiB".to_owned());
        }
        Ok(Ok(PlannedFile {
            source: source.to_owned(),
            destination: template.destination().to_owned(),
            mode,
            group,
            text,
            secrets,
        }))
    }

    /// Renders the files of `rendering` for the release that lies at `release`, secrets and all, in
    /// the same order.
    ///
    /// # Errors
    /// When git fails. That a template cannot be rendered is an answer.
    pub(crate) async fn finish(
        &self,
        rendering: &Rendering,
        edition: &Edition,
        target: &Target,
        (path, release): (&str, &str),
        secrets: Option<&Secrets>,
    ) -> Result<Result<Vec<String>, Fault>, BackendError> {
        let mut texts = Vec::new();
        for file in &rendering.files {
            let secret = secrets.map(Secrets::value);
            let context = self.context(target, &edition.version, path, release, secret);
            let text = match edition.render(&file.source, &context).await? {
                Ok(text) if text.len() > 2 * LONGEST => {
                    let problem = "what it becomes is too large".to_owned();
                    return Ok(Err(Fault::new(file.source.as_str(), problem)));
                }
                Ok(text) => text,
                Err(error) if file.secrets.is_empty() => {
                    return Ok(Err(edition.fault(&error, &file.source, &context)));
                }
                Err(error) => return Ok(Err(Fault::with_secrets(&error, &file.source))),
            };
            texts.push(text);
        }
        Ok(Ok(texts))
    }

    /// What templates may name: the target's variables, `deploy`, and `secret` where there are any.
    fn context(
        &self,
        target: &Target,
        version: &Version,
        path: &str,
        release: &str,
        secret: Option<Value>,
    ) -> Value {
        let place = self.places.get(target);
        let mut deploy = json!({
            "app": self.app.as_str(),
            "host": target.as_str(),
            "version": version.name.as_deref().unwrap_or(version.id.as_str()),
            "commit": version.id.as_str(),
            "live_path": path,
            "release_path": release,
        });
        if let Some(environment) = &self.environment {
            deploy["environment"] = environment.as_str().into();
        }
        if let Some(place) = place {
            deploy["group"] = place.group.as_str().into();
        }
        let variables = place.iter().flat_map(|place| place.variables.iter());
        let variables = variables.map(|(name, value)| (name.clone(), Value::from_serialize(value)));
        let ours = [("deploy".to_owned(), Value::from_serialize(deploy))];
        let secret = secret.map(|secret| ("secret".to_owned(), secret));
        variables.chain(ours).chain(secret).collect()
    }
}

impl Rendering {
    /// What of it decides what is served, with the secrets of this generation; `None` where nothing
    /// is rendered.
    pub(crate) fn decides(&self, generation: u32) -> Option<String> {
        match (self.files.is_empty(), self.secrets.is_empty()) {
            (true, _) => None,
            (false, true) => Some(self.digest.clone()),
            (false, false) => Some(format!("{} {generation}", self.digest)),
        }
    }
}

fn digest(files: &[PlannedFile]) -> String {
    let decides: Vec<_> = files
        .iter()
        .map(|file| {
            json!({
                "destination": file.destination,
                "mode": file.mode.to_string(),
                "group": file.group.to_string(),
                "text": file.text,
            })
        })
        .collect();
    secret::hex(&Sha256::digest(json!(decides).to_string()))
}
