//! Whether the symbolic links of an archive lead to places within it.

use std::collections::VecDeque;

use super::{
    manifest::{Entry, Manifest},
    read::Refused,
};

/// How many links may lead to each other, as for the kernel.
const MOST: usize = 40;

/// Refuses a link that leads out of the release, directly or through others.
pub(super) fn stay_inside(manifest: &Manifest) -> Result<(), Refused> {
    for (path, entry) in &manifest.0 {
        if let Entry::Link { .. } = entry
            && let Err(problem) = follow(manifest, path)
        {
            return Err(Refused::Entry { path: path.clone(), problem });
        }
    }
    Ok(())
}

/// Walks as the kernel does. A link to what is not there is allowed; beyond that nothing is known.
fn follow(manifest: &Manifest, path: &[u8]) -> Result<(), &'static str> {
    let split =
        |path: &[u8]| -> Vec<Vec<u8>> { path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect() };
    let mut left: VecDeque<Vec<u8>> = split(path).into();
    let mut at: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                if at.pop().is_none() {
                    return Err("is a link that leads out of the archive");
                }
                continue;
            }
            _ => at.push(part),
        }
        match manifest.0.get(&at.join(&b'/')) {
            Some(Entry::Directory) => {}
            Some(Entry::Link { to }) => {
                links += 1;
                if links > MOST {
                    return Err("is a link that leads to itself");
                }
                if to.first() == Some(&b'/') {
                    return Err("is a link that leads out of the archive");
                }
                at.pop();
                split(to).into_iter().rev().for_each(|part| left.push_front(part));
            }
            Some(Entry::File { .. }) | None if left.iter().any(|part| part == b"..") => {
                return Err("is a link that leads through what is not in the archive");
            }
            Some(Entry::File { .. }) | None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(links: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::default();
        for directory in ["a", "a/b", "a/b/c"] {
            manifest.0.insert(directory.into(), Entry::Directory);
        }
        for (path, to) in links {
            manifest.0.insert(path.as_bytes().to_vec(), Entry::Link { to: to.as_bytes().to_vec() });
        }
        manifest
    }

    #[test]
    fn links_within_the_archive_are_allowed() {
        for (path, to) in [("l", "a"), ("l", "missing"), ("a/b/l", "../.."), ("a/l", "../a/./b//c")]
        {
            assert!(stay_inside(&manifest(&[(path, to)])).is_ok(), "{path} -> {to}");
        }
        assert!(stay_inside(&manifest(&[("l", "a/b"), ("m", "l/../b/c")])).is_ok());
    }

    #[test]
    fn links_out_of_the_archive_are_refused_however_they_are_put() {
        for (path, to) in [
            ("l", "/etc/passwd"),
            ("l", ".."),
            ("a/l", "../.."),
            ("a/b/l", "../../../x"),
            ("l", "a/../.."),
            ("l", "missing/../.."),
            ("l", "l"),
        ] {
            assert!(stay_inside(&manifest(&[(path, to)])).is_err(), "{path} -> {to}");
        }
        // Inside by its text, outside by what it leads through.
        let through = manifest(&[("a/b/c/up", "../../.."), ("l", "a/b/c/up/..")]);
        assert!(stay_inside(&through).is_err());
    }
}
