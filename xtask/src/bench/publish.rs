//! Writes tables into pages, between markers.

use std::{fs, path::Path};

use crate::console::TaskError;

/// Fails unless the page at `path` has the markers called `mark`: to be asked before anything is measured.
pub(super) fn check(path: &Path, mark: &str) -> Result<(), TaskError> {
    replaced(&read(path)?, mark, "").map(drop).ok_or_else(|| no_markers(path, mark))
}

/// Puts `text` between the markers called `mark` of the page at `path`.
pub(super) fn write(path: &Path, mark: &str, text: &str) -> Result<(), TaskError> {
    let page = replaced(&read(path)?, mark, text).ok_or_else(|| no_markers(path, mark))?;
    fs::write(path, page).map_err(TaskError::io(format!("write {}", path.display())))
}

fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(TaskError::io(format!("read {}", path.display())))
}

fn no_markers(path: &Path, mark: &str) -> TaskError {
    let [begin, end] = markers(mark);
    TaskError::Bench {
        attempted: format!("write into {}", path.display()),
        said: format!("it has no lines {} and {} in this order", begin.trim(), end.trim()),
    }
}

/// The lines between which text is replaced.
fn markers(mark: &str) -> [String; 2] {
    [format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->\n")]
}

/// The page with `text` between the markers; `None` when it has none.
fn replaced(page: &str, mark: &str, text: &str) -> Option<String> {
    let [begin, end] = markers(mark);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- bench -->\n";
    const END: &str = "<!-- /bench -->\n";

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let other = "<!-- bench k8s -->\nother\n<!-- /bench k8s -->\n";
        let page = format!("# A\n\n{other}{BEGIN}old\n{END}\n# B\n");
        let once = replaced(&page, "bench", "| new |\n").unwrap();
        assert_eq!(once, format!("# A\n\n{other}{BEGIN}\n| new |\n\n{END}\n# B\n"));
        let twice = replaced(&once, "bench", "| new |").unwrap();
        assert_eq!(twice, once, "a second time changes nothing");
    }

    #[test]
    fn a_page_without_markers_is_refused() {
        for page in ["# A\n".to_owned(), format!("{END}{BEGIN}"), BEGIN.to_owned()] {
            assert_eq!(replaced(&page, "bench", "x"), None);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("page.md");
        fs::write(&path, "# A\n").unwrap();
        assert!(check(&path, "bench").is_err());
        fs::write(&path, format!("{BEGIN}{END}")).unwrap();
        check(&path, "bench").unwrap();
        write(&path, "bench", "| t |").unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("| t |"));
    }
}
