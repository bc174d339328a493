//! One target's directory: small calls that change one thing each.

use std::{
    fs,
    io::{self, ErrorKind::NotFound, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use deploy_core::{backend::Good, backend::Serving, model::ReleaseId};
use deploy_ssh::RunProcess;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What is remembered of a target.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// What was promoted last.
    pub promoted: Option<Serving>,
    /// What once finished here, newest first.
    pub good: Vec<Good>,
}

/// A run's hold on a target.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claim {
    pub run: String,
    pub who: String,
    pub since: Timestamp,
    pub process: RunProcess,
}

#[derive(Debug, Clone)]
pub struct Place(pub PathBuf);

impl Place {
    pub fn release(&self, id: &ReleaseId) -> PathBuf {
        self.0.join("releases").join(id.as_str())
    }

    /// Where a release is made. It is renamed when it is whole, so what lies here never is.
    pub fn partial(&self, id: &ReleaseId) -> PathBuf {
        self.0.join(format!("partial-{id}"))
    }

    pub fn live(&self) -> io::Result<Option<ReleaseId>> {
        let link = match fs::read_link(self.0.join("live")) {
            Err(error) if error.kind() == NotFound => return Ok(None),
            link => link?,
        };
        let name = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ReleaseId::new(name).map(Some).map_err(io::Error::other)
    }

    /// The switch: one rename.
    pub fn set_live(&self, id: Option<&ReleaseId>) -> io::Result<()> {
        let (live, next) = (self.0.join("live"), self.0.join("live.next"));
        let Some(id) = id else { return gone(fs::remove_file(live)) };
        gone(fs::remove_file(&next))?;
        symlink(Path::new("releases").join(id.as_str()), &next)?;
        fs::rename(next, live)
    }

    pub fn state(&self) -> io::Result<State> {
        Ok(read(&self.0.join("state.json"))?.unwrap_or_default())
    }

    pub fn set_state(&self, state: &State) -> io::Result<()> {
        let next = self.0.join("state.next");
        fs::write(&next, serde_json::to_vec(state)?)?;
        fs::rename(next, self.0.join("state.json"))
    }

    pub fn claim(&self) -> io::Result<Option<Claim>> {
        read(&self.0.join("claim.json"))
    }

    /// Writes a claim where there is none. It appears whole: `link` makes it, not `write`.
    pub fn make_claim(&self, claim: &Claim) -> io::Result<()> {
        fs::create_dir_all(self.0.join("releases"))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&serde_json::to_vec(claim)?)?;
        file.persist_noclobber(self.0.join("claim.json"))?;
        Ok(())
    }

    pub fn drop_claim(&self) -> io::Result<()> {
        gone(fs::remove_file(self.0.join("claim.json")))
    }
}

/// Reads a file of ours; `None` when there is none.
fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is to be removed, and is gone already, is well.
pub fn gone(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == NotFound { Ok(()) } else { Err(error) })
}
