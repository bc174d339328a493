//! Where the contents of pointers lie on this machine, and how those that are missing come there.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use deploy_core::backend::{BackendError, ErrorKind};

use super::pointer::{Keeper, Pointer};
use crate::git::{
    command::{self, Git},
    oid::Oid,
};

/// Options of rsync that a `.gitfat` may ask for: those that name no program and no file.
const HARMLESS: [&str; 14] = [
    "--compress",
    "--copy-links",
    "--copy-unsafe-links",
    "--ipv4",
    "--ipv6",
    "--no-owner",
    "--no-group",
    "--no-perms",
    "--progress",
    "--quiet",
    "--verbose",
    "-L",
    "-v",
    "-z",
];

/// The local store of one keeper in one repository.
#[derive(Debug)]
pub(super) struct Store {
    keeper: Keeper,
    git: Git,
    /// Where contents may lie; what is fetched goes to the first.
    places: Vec<PathBuf>,
}

impl Store {
    pub(super) async fn open(git: &Git, keeper: Keeper) -> Result<Self, BackendError> {
        let attempted = format!("find the files of {}", keeper.name());
        let line = async |of| -> Result<PathBuf, BackendError> {
            Ok(git.dir().join(git.line(&attempted, &["rev-parse", of]).await?))
        };
        let (common, own) = (line("--git-common-dir").await?, line("--git-dir").await?);
        let mut places = Vec::new();
        match keeper {
            Keeper::Lfs => {
                let ask = ["config", "--type=path", "--get", "lfs.storage"];
                let storage = git.ask(&attempted, &ask).await?;
                let storage = String::from_utf8_lossy(&storage.stdout).trim_end().to_owned();
                let storage = if storage.is_empty() { "lfs" } else { &storage };
                places.push(common.join(storage).join("objects"));
            }
            Keeper::Fat => {
                places.push(common.join("fat/objects"));
                places.push(own.join("fat/objects"));
            }
        }
        places.dedup();
        Ok(Self { keeper, git: git.clone(), places })
    }

    /// The file that holds a content, if it is here.
    pub(super) fn find(&self, pointer: &Pointer) -> Option<PathBuf> {
        let digest = &pointer.digest;
        let name = match self.keeper {
            Keeper::Lfs => Path::new(&digest[..2]).join(&digest[2..4]).join(digest),
            Keeper::Fat => PathBuf::from(digest),
        };
        let whole = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == pointer.size)
        };
        self.places.iter().map(|place| place.join(&name)).find(whole)
    }

    /// What a person types to bring what `commit` lacks.
    pub(super) fn command(&self, remote: &str, commit: &Oid) -> String {
        match self.keeper {
            Keeper::Lfs => format!("git lfs fetch {remote} {commit}"),
            Keeper::Fat => "git fat pull".to_owned(),
        }
    }

    /// Brings `missing`, as far as their server has them.
    ///
    /// # Errors
    /// `Rejected` when it cannot be asked, with the command to try by hand.
    pub(super) async fn fetch(
        &self,
        commit: &Oid,
        missing: &[&Pointer],
    ) -> Result<(), BackendError> {
        match self.keeper {
            Keeper::Lfs => self.fetch_lfs(commit).await,
            Keeper::Fat => self.fetch_fat(commit, missing).await,
        }
    }

    async fn fetch_lfs(&self, commit: &Oid) -> Result<(), BackendError> {
        let attempted = format!("fetch the Git LFS files of {}", commit.short());
        let remote = remote(&self.git).await?;
        let mut command = self.git.command();
        // Whatever part of the files this checkout is configured to hold: targets get all.
        command.args(["lfs", "fetch", "--include=", "--exclude=", &remote, commit.as_str()]);
        let answer = command::run(command, None, &attempted).await?;
        if answer.stderr.contains("'lfs' is not a git command") {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("git-lfs is not installed on this machine")
                .with_hint("install it (Debian: `apt-get install git-lfs`)"));
        }
        let by_hand = format!("by hand: `{}`", self.command(&remote, commit));
        answer.require(&attempted).map(drop).map_err(|error| error.with_hint(by_hand))
    }

    async fn fetch_fat(&self, commit: &Oid, missing: &[&Pointer]) -> Result<(), BackendError> {
        let attempted = format!("fetch the git-fat files of {}", commit.short());
        let refuse = |why: String| {
            BackendError::new(ErrorKind::Rejected, attempted.clone())
                .with_source(why)
                .with_hint("by hand: `git fat pull`")
        };
        let place = &self.places[0];
        std::fs::create_dir_all(place)
            .map_err(|error| refuse(format!("{}: {error}", place.display())))?;
        let words = RsyncStore::of(&self.git, commit, &attempted).await?.words().map_err(refuse)?;
        let mut rsync = tokio::process::Command::new("rsync");
        rsync
            .args(["--times", "--ignore-existing", "--from0", "--files-from=-"])
            .args(words)
            .arg(format!("{}/", place.display()))
            .current_dir(self.git.dir())
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut names = Vec::new();
        for pointer in missing {
            names.extend(pointer.digest.as_bytes());
            names.push(0);
        }
        let answer = command::run_program("rsync", rsync, Some(&names), &attempted).await?;
        if answer.ok {
            return Ok(());
        }
        let words = answer.stderr.lines().next().unwrap_or("it said nothing").to_owned();
        Err(refuse(format!("rsync: {words}")).with_evidence(answer.stderr))
    }
}

/// The remote that files are fetched from, as tags are pushed to: `origin`, or the only one.
pub(super) async fn remote(git: &Git) -> Result<String, BackendError> {
    let remotes = git.line("list the remotes", &["remote"]).await?;
    let mut names = remotes.lines();
    let first = names.next().unwrap_or("origin");
    let is_origin = remotes.lines().any(|name| name == "origin");
    Ok(if is_origin { "origin" } else { first }.to_owned())
}

/// Where git-fat keeps contents for everybody, as the `.gitfat` of a commit says. Somebody's words.
#[derive(Debug, Default)]
struct RsyncStore {
    remote: String,
    port: Option<String>,
    user: Option<String>,
    options: Option<String>,
}

impl RsyncStore {
    async fn of(git: &Git, commit: &Oid, attempted: &str) -> Result<Self, BackendError> {
        let blob = format!("{commit}:.gitfat");
        let args = ["config", "-z", "--blob", &blob, "--get-regexp", r"^rsync\."];
        let answer = git.ask(attempted, &args).await?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let mut store = Self::default();
        for (key, value) in text.split('\0').filter_map(|entry| entry.split_once('\n')) {
            let value = value.to_owned();
            match key {
                "rsync.remote" => store.remote = value,
                "rsync.sshport" => store.port = Some(value),
                "rsync.sshuser" => store.user = Some(value),
                "rsync.options" => store.options = Some(value),
                _ => {}
            }
        }
        Ok(store)
    }

    /// The words for rsync, up to its destination. Nothing in a `.gitfat` may run a program here.
    fn words(self) -> Result<Vec<String>, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.remote.is_empty() {
            return Err("the version has no `.gitfat` that names a remote".to_owned());
        }
        let mut words = Vec::new();
        for option in self.options.iter().flat_map(|options| options.split_whitespace()) {
            if !HARMLESS.contains(&option) {
                return Err(format!("its `.gitfat` asks for the option {option:?} of rsync"));
            }
            words.push(option.to_owned());
        }
        let mut shell = String::from("ssh -oBatchMode=yes");
        if let Some(port) = self.port {
            let port: u16 = port.parse().map_err(|_| format!("its `.gitfat` has port {port:?}"))?;
            shell.push_str(&format!(" -p {port}"));
        }
        if let Some(user) = self.user {
            if user.starts_with('-') || user.is_empty() || !user.chars().all(plain) {
                return Err(format!("its `.gitfat` has the user {user:?}"));
            }
            shell.push_str(&format!(" -l {user}"));
        }
        let from = format!("{}/", self.remote.trim_end_matches('/'));
        words.extend(["--rsh".to_owned(), shell, "--".to_owned(), from]);
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(port: &str, user: &str, options: &str) -> RsyncStore {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RsyncStore {
            remote: "-e evil".into(),
            port: some(port),
            user: some(user),
            options: some(options),
        }
    }

    #[test]
    fn a_gitfat_runs_nothing_here() {
        let words = store("2222", "fat", "--copy-links -v").words().unwrap();
        let expected =
            ["--copy-links", "-v", "--rsh", "ssh -oBatchMode=yes -p 2222 -l fat", "--", "-e evil/"];
        assert_eq!(words, expected);
        for (port, user, options) in [
            ("", "", "-e sh"),
            ("", "", "--rsync-path=x"),
            ("22 -oProxyCommand=x", "", ""),
            ("", "-oProxyCommand=x", ""),
            ("", "a b", ""),
        ] {
            assert!(store(port, user, options).words().is_err(), "{port:?} {user:?} {options:?}");
        }
        assert!(RsyncStore::default().words().unwrap_err().contains("no `.gitfat`"));
    }
}
