//! The templates of one version, read from its tree.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::Version,
};
use minijinja::Value;

use super::{Fault, Template, Templates, engine::Engine};
use crate::{
    archive::Archive,
    git::files::{Kind, TreeFiles},
};

/// The longest template, and the longest file that one may become.
pub(super) const LONGEST: usize = 1 << 20;

/// What a release holds before anything is rendered into it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holds<'a> {
    /// The files of the version.
    Version,
    /// Those of an archive.
    Archive(&'a Archive),
    /// An archive that is not built yet.
    Unknown,
}

/// The templates of one version.
#[derive(Debug)]
pub(crate) struct Edition {
    pub(super) version: Version,
    engine: Engine,
    files: TreeFiles,
    /// What was looked for and is not in the version.
    absent: Mutex<BTreeSet<String>>,
}

impl Edition {
    /// Reads all templates, and looks whether their destinations are free.
    ///
    /// # Errors
    /// `NotFound` when a template is not in the version, `Rejected` when it cannot be one, or when
    /// the release holds something at or above its destination.
    pub(crate) async fn open(
        templates: &Templates,
        version: &Version,
        files: TreeFiles,
        holds: Holds<'_>,
    ) -> Result<Self, BackendError> {
        let edition = Self {
            version: version.clone(),
            engine: Engine::new(),
            files,
            absent: Mutex::default(),
        };
        for template in &templates.files {
            edition.refuse_taken(template, holds).await?;
            edition.read(template.source()).await?;
            if edition.engine.text(template.source()).is_none() {
                let error = BackendError::new(ErrorKind::NotFound, edition.attempted());
                return Err(error
                    .with_source(format!(
                        "the version has no file {:?}, a template",
                        template.source()
                    ))
                    .with_hint("add it to the repository, or correct `source`"));
            }
        }
        Ok(edition)
    }

    /// Renders `template`, and reads whatever else it includes.
    ///
    /// # Errors
    /// When git fails; that the template does is an answer.
    pub(super) async fn render(
        &self,
        template: &str,
        context: &Value,
    ) -> Result<Result<String, minijinja::Error>, BackendError> {
        loop {
            let rendered = self.engine.render(template, context);
            let mut is_new = false;
            for path in self.engine.wanted() {
                is_new |= self.read(&path).await?;
            }
            if !is_new {
                return Ok(rendered);
            }
        }
    }

    /// Puts what went wrong before there were secrets into words.
    pub(super) fn fault(&self, error: &minijinja::Error, template: &str, context: &Value) -> Fault {
        Fault::of(error, template, context, &self.engine)
    }

    /// Reads a file, and says whether that was the first look for it.
    async fn read(&self, path: &str) -> Result<bool, BackendError> {
        let is_first = self.engine.text(path).is_none() && {
            let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
            absent.insert(path.to_owned())
        };
        if !is_first || crate::layout::part_problem(path).is_some() {
            return Ok(false);
        }
        match self.files.text(path, LONGEST).await? {
            Some(text) => {
                self.engine.add(path, text);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// What is rendered may not take the place of what the release holds, nor go through a link.
    async fn refuse_taken(
        &self,
        template: &Template,
        holds: Holds<'_>,
    ) -> Result<(), BackendError> {
        let of = match holds {
            Holds::Version => "version",
            Holds::Archive(_) => "archive",
            Holds::Unknown => return Ok(()),
        };
        let to = template.destination();
        let ends = to.match_indices('/').map(|(at, _)| at).chain([to.len()]);
        for end in ends {
            let path = &to[..end];
            let kind = match holds {
                Holds::Archive(archive) => archive.kind(path),
                _ => self.files.kind(path).await?,
            };
            let what = match kind {
                None => return Ok(()),
                Some(Kind::Directory) if end < to.len() => continue,
                Some(Kind::Directory) => "is a directory",
                Some(Kind::File) => "is a file",
                Some(Kind::Other) => "is a symbolic link",
            };
            let error = BackendError::new(ErrorKind::Rejected, self.attempted());
            return Err(error
                .with_source(format!("{to:?} cannot be rendered: {path:?} {what} of the {of}"))
                .with_hint(match holds {
                    Holds::Archive(_) => {
                        "leave it out of the archive, or choose another `destination`"
                    }
                    _ => "remove it from the repository, or choose another `destination`",
                }));
        }
        Ok(())
    }

    /// The version whose templates they are.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    pub(crate) fn attempted(&self) -> String {
        format!("render the templates of {}", self.version)
    }
}
