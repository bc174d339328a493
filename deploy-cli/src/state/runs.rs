//! The runs of a state directory: the one being written, and those that were.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use deploy_core::{model::Target, plan::Plan, record::RunId};

use super::{OutputDir, StateDir, held, open, output::file_name};
use crate::error::CommandError;

/// The most of one host's output that is shown.
const SHOWN: u64 = 256 * 1024;

/// The directory of a run that begins.
#[derive(Debug)]
pub struct RunDir {
    state: StateDir,
    path: PathBuf,
    /// Locked as long as the run lives, so that readers can tell a dead run from a slow one.
    journal: File,
}

impl RunDir {
    /// Makes the directory of `run`.
    ///
    /// # Errors
    /// Refused when it cannot be made, or is there already.
    pub fn make(state: &StateDir, run: &RunId) -> Result<Self, CommandError> {
        let path = state.runs().join(run.as_str());
        let make = || -> io::Result<File> {
            state.make_dir(&path)?;
            state.make_dir(&path.join("output"))?;
            let journal = open::new(&path.join("journal.jsonl"), state.file_mode())?;
            held::try_hold(&journal)?;
            Ok(journal)
        };
        let journal = make().map_err(|error| {
            CommandError::because(format!("make the run's directory {}", path.display()), error)
        })?;
        Ok(Self { state: state.clone(), path, journal })
    }

    /// The journal, to be written.
    ///
    /// # Errors
    /// Where the system has no file handle left.
    pub fn journal(&self) -> io::Result<File> {
        self.journal.try_clone()
    }

    /// Where hosts' output goes.
    pub fn output(&self) -> OutputDir {
        OutputDir::new(&self.state, self.path.join("output"))
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// A handle by which the plan is kept.
    pub fn plan_keeper(&self) -> impl Fn(&Plan) -> io::Result<()> + Send + 'static {
        let (path, mode) = (self.path.join("plan.json"), self.state.file_mode());
        move |plan| {
            let mut file = BufWriter::new(open::new(&path, mode)?);
            serde_json::to_writer_pretty(&mut file, plan)?;
            file.flush()
        }
    }
}

/// A run that was, or still is.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its id.
    pub run: RunId,
    path: PathBuf,
}

impl Past {
    /// All runs, newest first. What is no run is passed over.
    pub fn all(state: &StateDir) -> Vec<Self> {
        let directory = state.runs();
        if !fs::symlink_metadata(&directory).is_ok_and(|meta| meta.is_dir()) {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        let mut runs: Vec<Self> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| {
                let run = RunId::new(entry.file_name().into_string().ok()?).ok()?;
                Some(Self { run, path: entry.path() })
            })
            .collect();
        runs.sort_by(|a, b| b.run.cmp(&a.run));
        runs
    }

    /// The run that `named` means: its id or the beginning of one, or `last`. `options` mean the
    /// same project to a command that is hinted at.
    ///
    /// # Errors
    /// Refused when there is none, or several begin like that.
    pub fn find(state: &StateDir, named: &str, options: &str) -> Result<Self, CommandError> {
        Self::look_up(state, named, options)?.ok_or_else(|| match named {
            "last" => CommandError::refused("no run yet"),
            _ => CommandError::refused(format!("there is no run {named:?}"))
                .hint(format!("`deploy-cli history{options}` lists them")),
        })
    }

    /// The same; `None` when there is none.
    ///
    /// # Errors
    /// Refused when several begin like that.
    pub fn look_up(
        state: &StateDir,
        named: &str,
        options: &str,
    ) -> Result<Option<Self>, CommandError> {
        let mut all = Self::all(state);
        if named == "last" {
            return Ok((!all.is_empty()).then(|| all.swap_remove(0)));
        }
        let whole = all.iter().position(|past| past.run.as_str() == named);
        if let Some(at) = whole {
            return Ok(Some(all.swap_remove(at)));
        }
        all.retain(|past| past.run.as_str().starts_with(named));
        if all.len() > 1 {
            return Err(CommandError::refused(format!("several runs begin {named:?}"))
                .hint(format!("`deploy-cli history{options}` lists them")));
        }
        Ok(all.pop())
    }

    /// Its journal, to be read. Others may have written it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn journal(&self) -> io::Result<File> {
        open::read(&self.path.join("journal.jsonl"))
    }

    /// Whether its process still writes it.
    pub fn is_alive(&self) -> bool {
        self.journal().is_ok_and(|file| held::is_held(&file).unwrap_or(false))
    }

    /// What `target` wrote, its last part where that is long; empty where nothing was kept.
    pub fn output(&self, target: &Target) -> String {
        let read = || -> io::Result<String> {
            let mut file = open::read(&self.path.join("output").join(file_name(target)))?;
            let length = file.metadata()?.len();
            let skipped = length.saturating_sub(SHOWN);
            file.seek(SeekFrom::Start(skipped))?;
            let mut bytes = Vec::new();
            file.take(SHOWN).read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(if skipped > 0 { format!("… ({skipped} bytes before)\n{text}") } else { text })
        };
        read().unwrap_or_default()
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}
