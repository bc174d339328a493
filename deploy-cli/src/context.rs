//! What every command starts from: the command line, the terminal, the repository, the
//! configuration.

use std::{path::PathBuf, sync::Arc};

use deploy_core::{plan::Noun, record::RunId};

use crate::{
    args::GlobalArgs,
    config::{self, GroupSection, Loaded, Wanted},
    error::CommandError,
    observers::Touched,
    repo::Repo,
    report::quoted,
    state::StateDir,
    ui::Ui,
    who,
    wire::Customize,
};

/// What every command starts from.
#[derive(Clone)]
pub struct Context {
    /// What holds for all commands.
    pub global: GlobalArgs,
    /// The terminal.
    pub ui: Ui,
    /// Where the person stands.
    pub cwd: PathBuf,
    /// What a site adds to the pipeline.
    pub(crate) customize: Arc<Customize>,
    /// Whether any target was touched.
    pub(crate) touched: Touched,
}

/// A repository with its configuration, for one environment.
#[derive(Debug, Clone)]
pub struct Project {
    /// The repository.
    pub repo: Repo,
    /// The configuration.
    pub loaded: Loaded,
    /// Where its runs live.
    pub state: StateDir,
    /// Who runs the command.
    pub who: String,
    /// The part of a command line that means this very project: ` --env beta`, or nothing.
    pub options: String,
}

impl Context {
    /// Finds the repository and reads its configuration.
    ///
    /// # Errors
    /// Refused when there is no repository, or the configuration is wrong.
    pub fn project(&self) -> Result<Project, CommandError> {
        let repo = Repo::find(&self.cwd)?;
        let loaded = config::load(&self.wanted(&repo))?;
        let config = &loaded.config;
        let environment = loaded.environment.as_ref();
        let state = StateDir::new(config.state_dir.as_deref(), &repo, &config.app, environment);
        let who = who::who(self.global.as_who.as_deref());
        let mut options = environment.map_or(String::new(), |env| format!(" --env {env}"));
        if let Some(file) = &self.global.config {
            options.push_str(&format!(" --config {}", quoted(&file.to_string_lossy())));
        }
        Ok(Project { repo, loaded, state, who, options })
    }

    /// Where the configuration of `repo` is looked for.
    pub(crate) fn wanted(&self, repo: &Repo) -> Wanted {
        Wanted {
            file: self.global.config.clone(),
            environment: self.global.env.clone(),
            cwd: self.cwd.clone(),
            top: Some(repo.top.clone()),
            system: Some(PathBuf::from("/etc/deploy/deploy.toml")),
        }
    }

    /// An id for a run that starts now, or for a command that only asks.
    pub fn run_id(&self) -> RunId {
        let now = jiff::Timestamp::now();
        // The fraction of the second, so that runs of the same second sort by time too. A clash is
        // refused when the run's directory is made.
        let fraction = u64::from(now.subsec_nanosecond().unsigned_abs()) * 0x1_0000 / 1_000_000_000;
        let salt = u16::try_from(fraction).unwrap_or_default();
        RunId::at(now, salt)
    }
}

impl Project {
    /// What its targets are called.
    pub fn noun(&self) -> Noun {
        let of = |group: &GroupSection| match group.clusters.is_empty() {
            true => Noun::Host,
            false => Noun::Cluster,
        };
        Noun::of(self.loaded.config.group.iter().map(of))
    }

    /// `app` or `app in beta`.
    pub fn name(&self) -> String {
        let app = &self.loaded.config.app;
        self.loaded.environment.as_ref().map_or(app.to_string(), |env| format!("{app} in {env}"))
    }
}
