//! Files whose content lies outside of git: what stands in the tree is a pointer.

use std::fmt::Write as _;

/// The longest file that can be a pointer.
pub(super) const LONGEST: u64 = 1024;

/// What manages contents outside of git: the name of its filter in `.gitattributes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keeper {
    /// Git LFS, `filter=lfs`.
    Lfs,
    /// git-fat, `filter=fat`.
    Fat,
}

impl Keeper {
    pub(super) const ALL: [Self; 2] = [Self::Lfs, Self::Fat];

    pub(super) fn filter(self) -> &'static str {
        match self {
            Self::Lfs => "lfs",
            Self::Fat => "fat",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lfs => "Git LFS",
            Self::Fat => "git-fat",
        }
    }
}

/// Names a content by its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer {
    pub keeper: Keeper,
    /// SHA-256 for Git LFS, SHA-1 for git-fat, in lower-case hexadecimal digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// Why a pointer cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its pointer needs an extension of Git LFS")]
pub(super) struct Extended;

impl Pointer {
    /// Reads a file that `.gitattributes` gives to `keeper`; `None` when it holds its content
    /// itself.
    pub(super) fn parse(keeper: Keeper, bytes: &[u8]) -> Result<Option<Self>, Extended> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
        match keeper {
            Keeper::Lfs => lfs(text),
            Keeper::Fat => Ok(fat(text)),
        }
    }

    /// A name for it that no other content has.
    pub(super) fn key(&self) -> String {
        let mut key = self.keeper.filter().to_owned();
        let _ = write!(key, "-{}", self.digest);
        key
    }
}

fn lfs(text: &str) -> Result<Option<Pointer>, Extended> {
    let mut lines = text.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let version = [
        "https://git-lfs.github.com/spec/v1",
        "https://hawser.github.com/spec/v1",
        "http://git-media.io/v/2",
    ];
    if !lines.next().is_some_and(|(key, value)| key == "version" && version.contains(&value)) {
        return Ok(None);
    }
    let (mut digest, mut size, mut is_extended) = (None, None, false);
    for (key, value) in lines {
        match key {
            "oid" => digest = value.strip_prefix("sha256:").and_then(|hex| digits(hex, 64)),
            "size" => size = value.parse().ok(),
            _ => is_extended |= key.starts_with("ext-"),
        }
    }
    let (Some(digest), Some(size)) = (digest, size) else { return Ok(None) };
    if is_extended {
        Err(Extended)
    } else {
        Ok(Some(Pointer { keeper: Keeper::Lfs, digest, size }))
    }
}

/// `#$# git-fat <sha1> <size, padded>`
fn fat(text: &str) -> Option<Pointer> {
    let mut words = text.strip_prefix("#$# git-fat ")?.split_ascii_whitespace();
    let digest = digits(words.next()?, 40)?;
    let size = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Pointer { keeper: Keeper::Fat, digest, size })
}

fn digits(hex: &str, length: usize) -> Option<String> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (hex.len() == length && hex.bytes().all(is_hex)).then(|| hex.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    const SHA1: &str = "6f4dd2a6e2bd5f5f9e0d5d2b0d4f7f0f8f6e5d4c";

    fn lfs(text: &str) -> Result<Option<Pointer>, Extended> {
        Pointer::parse(Keeper::Lfs, text.as_bytes())
    }

    #[test]
    fn pointers_are_read_as_their_tools_write_them() {
        let text = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize 12345\n"
        );
        let pointer = lfs(&text).unwrap().unwrap();
        assert_eq!((pointer.digest.as_str(), pointer.size), (SHA256, 12345));
        let text = format!("#$# git-fat {SHA1} {:20}\n", 6_449_876);
        let pointer = Pointer::parse(Keeper::Fat, text.as_bytes()).unwrap().unwrap();
        assert_eq!((pointer.digest.as_str(), pointer.size), (SHA1, 6_449_876));
        assert_eq!(pointer.key(), format!("fat-{SHA1}"));
    }

    #[test]
    fn what_is_no_pointer_is_content() {
        let long = "a".repeat(64);
        for text in [
            String::new(),
            "hello".into(),
            "version https://git-lfs.github.com/spec/v1\n".into(),
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:../{SHA256}\nsize 1\n"),
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize -1\n"),
            format!("version 2\noid sha256:{long}\nsize 1\n"),
        ] {
            assert_eq!(lfs(&text), Ok(None), "{text}");
        }
        for text in ["#$# git-fat x 1", "#$# git-fat", &format!("#$# git-fat {SHA1} 1 2")] {
            assert_eq!(Pointer::parse(Keeper::Fat, text.as_bytes()), Ok(None), "{text}");
        }
        assert_eq!(Pointer::parse(Keeper::Lfs, b"\xff\xfe"), Ok(None));
    }

    #[test]
    fn extensions_are_named_not_ignored() {
        let text = format!(
            "version https://git-lfs.github.com/spec/v1\next-0-foo sha256:{SHA256}\n\
             oid sha256:{SHA256}\nsize 1\n"
        );
        assert_eq!(lfs(&text), Err(Extended));
    }
}
