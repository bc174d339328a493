//! The file of a saved plan.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::{ParsePlanError, PlanFile};

/// The longest file that is read.
const LONGEST: u64 = 64 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It could not be read.
    #[error("read the saved plan {0}")]
    Unreadable(String, #[source] io::Error),
    /// It is no saved plan that can be applied.
    #[error("read the saved plan {0}")]
    Content(String, #[source] ParsePlanError),
    /// It could not be written.
    #[error("save the plan as {0}")]
    Unwritable(String, #[source] io::Error),
    /// Something else is there.
    #[error("save the plan as {0}: there is something that is no file")]
    NoFile(String),
}

/// Reads a saved plan, with the digest that names it.
///
/// # Errors
/// [`PlanFileError`] when it cannot be read, or is not as it was written.
pub fn read(path: &Path) -> Result<(PlanFile, String), PlanFileError> {
    let shown = || path.display().to_string();
    let text = read_bounded(path).map_err(|error| PlanFileError::Unreadable(shown(), error))?;
    PlanFile::parse(&text).map_err(|error| PlanFileError::Content(shown(), error))
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 MiB"));
    }
    Ok(text)
}

/// Whether a plan may be saved as `path`, as far as that can be told before there is one.
///
/// # Errors
/// [`PlanFileError`] when something that is no file is there, or the directory is not.
pub fn may_write(path: &Path) -> Result<(), PlanFileError> {
    let shown = || path.display().to_string();
    if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(PlanFileError::NoFile(shown()));
    }
    match fs::metadata(directory(path)) {
        Ok(_) => Ok(()),
        Err(error) => Err(PlanFileError::Unwritable(shown(), error)),
    }
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Writes `text` as the file `path`, whole or not at all, readable for everybody. A file that is
/// there is replaced; anything else, such as a directory or a device, is left alone.
///
/// # Errors
/// [`PlanFileError`] when it cannot be written; then what was there is there still.
pub fn write(path: &Path, text: &str) -> Result<(), PlanFileError> {
    may_write(path)?;
    replace(path, text)
        .map_err(|error| PlanFileError::Unwritable(path.display().to_string(), error))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".deploy-plan-").tempfile_in(directory(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
