//! Writes tables into pages, between markers.

use std::{fs, path::Path};

use crate::console::TaskError;

const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->\n";

/// Fails unless the page at `path` has the markers: to be asked before anything is measured.
pub(super) fn check(path: &Path) -> Result<(), TaskError> {
    replaced(&read(path)?, "").map(drop).ok_or_else(|| no_markers(path))
}

/// Puts `text` between the markers of the page at `path`.
pub(super) fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    let page = replaced(&read(path)?, text).ok_or_else(|| no_markers(path))?;
    fs::write(path, page).map_err(TaskError::io(format!("write {}", path.display())))
}

fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(TaskError::io(format!("read {}", path.display())))
}

fn no_markers(path: &Path) -> TaskError {
    TaskError::Bench {
        attempted: format!("write into {}", path.display()),
        said: format!("it has no lines {} and {} in this order", BEGIN.trim(), END.trim()),
    }
}

/// The page with `text` between the markers; `None` when it has none.
fn replaced(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let page = format!("# A\n\n{BEGIN}old\n{END}\n# B\n");
        let once = replaced(&page, "| new |\n").unwrap();
        assert_eq!(once, format!("# A\n\n{BEGIN}\n| new |\n\n{END}\n# B\n"));
        assert_eq!(replaced(&once, "| new |").unwrap(), once, "a second time changes nothing");
    }

    #[test]
    fn a_page_without_markers_is_refused() {
        for page in ["# A\n".to_owned(), format!("{END}{BEGIN}"), BEGIN.to_owned()] {
            assert_eq!(replaced(&page, "x"), None);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("page.md");
        fs::write(&path, "# A\n").unwrap();
        assert!(check(&path).is_err());
        fs::write(&path, format!("{BEGIN}{END}")).unwrap();
        check(&path).unwrap();
        write(&path, "| t |").unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("| t |"));
    }
}
