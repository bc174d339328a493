//! The repository that is deployed, the same for all who are measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{content::Dice, origin::Origin};
use crate::{console::TaskError, fleet::tool, workspace};

/// How many files the repository has, and how many bytes they hold together.
const FILES: usize = 2000;
const BYTES: usize = 20_000_000;

/// How many files a new version changes.
pub(super) const CHANGED: usize = 30;

/// How many lines of each of them.
const CHANGED_LINES: usize = 8;

/// The version that is live everywhere before a run.
pub(super) const FIRST: &str = "v1.0.0";

/// The repository, and its origin beside it.
#[derive(Debug)]
pub(super) struct Work {
    dir: PathBuf,
    /// How many of the changed versions have been published.
    published: AtomicUsize,
}

impl Work {
    /// Makes the repository with its first version and `versions` others, each made of the first.
    pub(super) fn create(dir: &Path, versions: usize) -> Result<Self, TaskError> {
        let work = Self { dir: dir.to_owned(), published: AtomicUsize::new(0) };
        let home = work.home();
        fs::create_dir_all(&home).map_err(TaskError::io("create a home"))?;
        fs::write(home.join(".gitconfig"), GIT_CONFIG).map_err(TaskError::io("configure git"))?;
        work.run(&["init", "--quiet", "--bare", "served/app.git"], dir)?;
        work.run(&["init", "--quiet", "app"], dir)?;
        work.write_files().map_err(TaskError::io("write the files"))?;
        work.commit(FIRST)?;
        for number in 1..=versions {
            work.git(&["checkout", "--quiet", "-b", &branch(number), FIRST])?;
            work.change(number).map_err(TaskError::io("change the files"))?;
            work.commit(&version(number))?;
        }
        work.git(&["checkout", "--quiet", "main"])?;
        work.found_origin()?;
        Ok(work)
    }

    /// The checkout that the deployer stands in.
    pub(super) fn checkout(&self) -> PathBuf {
        self.dir.join("app")
    }

    /// The bare repository that is the origin.
    pub(super) fn origin(&self) -> PathBuf {
        self.served().join("app.git")
    }

    /// The directory that the origin's daemon serves.
    pub(super) fn served(&self) -> PathBuf {
        self.dir.join("served")
    }

    /// The deployer's home.
    pub(super) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// A place for files.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The size in bytes of the least pack that brings `version` to who has `base`, if any.
    pub(super) fn pack_size(&self, version: &str, base: Option<&str>) -> Result<u64, TaskError> {
        let wanted = base.map_or(format!("{version}\n"), |base| format!("{version}\n^{base}\n"));
        let mut command = self.command(&["pack-objects", "--revs", "--thin", "--stdout"]);
        command.args(["--delta-base-offset", "--quiet"]).current_dir(self.checkout());
        let output = tool::feed(&mut command, &wanted)?;
        Ok(output.stdout.len().try_into().unwrap_or(u64::MAX))
    }

    /// Runs git in the checkout.
    pub(super) fn git(&self, words: &[&str]) -> Result<(), TaskError> {
        self.run(words, &self.checkout())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        // Quickly: what is made here is packed in the end, and need not outlive a power cut.
        command
            .args(["-c", "core.fsync=none", "-c", "core.looseCompression=0"])
            .args(words)
            .env("HOME", self.home());
        command
    }

    fn run(&self, words: &[&str], dir: &Path) -> Result<(), TaskError> {
        tool::run(self.command(words).current_dir(dir))?;
        Ok(())
    }

    /// Lets the origin have the next version that it did not have yet, and returns its tag.
    pub(super) fn publish_next(&self) -> Result<String, TaskError> {
        let number = self.published.fetch_add(1, Ordering::SeqCst) + 1;
        self.git(&["push", "--quiet", "origin", &branch(number), &version(number)])?;
        Ok(version(number))
    }

    /// Lets the origin forget a version that was published.
    pub(super) fn withdraw(&self, version: &str) -> Result<(), TaskError> {
        let tag = format!("refs/tags/{version}");
        self.git(&[
            "push",
            "--quiet",
            "origin",
            "--delete",
            &branch(self.published.load(Ordering::SeqCst)),
            &tag,
        ])
    }

    /// Forgets what was published, for hosts that are all new.
    pub(super) fn start_anew(&self) {
        self.published.store(0, Ordering::SeqCst);
    }

    /// Lets the origin have the first version; later it is reached through its daemon.
    fn found_origin(&self) -> Result<(), TaskError> {
        // With a bitmap, a daemon sends whole files where it could send changes.
        let gc = ["-c", "repack.writeBitmaps=false", "gc", "--quiet"];
        self.git(&gc)?;
        self.git(&["remote", "add", "origin", &self.origin().to_string_lossy()])?;
        self.git(&["push", "--quiet", "origin", "main", FIRST])?;
        self.git(&["remote", "set-url", "origin", &Origin::url()])?;
        self.run(&gc, &self.origin())
    }

    fn commit(&self, tag: &str) -> Result<(), TaskError> {
        let root = self.checkout();
        fs::write(root.join("VERSION"), format!("{tag}\n"))
            .map_err(TaskError::io("write VERSION"))?;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "-m", tag])?;
        self.git(&["tag", "-a", "-m", tag, tag])
    }

    fn write_files(&self) -> std::io::Result<()> {
        let root = self.checkout();
        let mut dice = Dice::new(20);
        // Two others are VERSION and the service.
        for number in 0..FILES - 2 {
            let path = root.join(path(number));
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            // From a tenth of the mean to nearly twice as much.
            let size = BYTES / FILES / 10 + dice.below(BYTES / FILES * 18 / 10);
            fs::write(path, dice.text(size))?;
        }
        let example = workspace::root().join("examples/ssh-service/server.py");
        let service = fs::read_to_string(example)?;
        // Two sides run their services on the same hosts.
        let service = service.replace("PORT = 1134", "PORT = int(sys.argv[1])");
        fs::write(root.join("server.py"), service)
    }

    /// Changes some lines of the files of a version; VERSION is changed beside them.
    fn change(&self, number: usize) -> std::io::Result<()> {
        let mut dice = Dice::new(u64::try_from(1000 + number).unwrap_or_default());
        let step = FILES / CHANGED;
        for index in 0..CHANGED - 1 {
            let path = self.checkout().join(path(index * step + number % step));
            let text = fs::read_to_string(&path)?;
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            for _ in 0..CHANGED_LINES {
                let at = dice.below(lines.len());
                lines[at] = dice.line();
            }
            fs::write(path, lines.join("\n") + "\n")?;
        }
        Ok(())
    }
}

/// The tag of the changed version `number`, from 1.
pub(super) fn version(number: usize) -> String {
    format!("v1.0.{number}")
}

/// The branch of the changed version `number`.
fn branch(number: usize) -> String {
    format!("change{number}")
}

/// Where the file `number` lies: ten files a directory, three levels.
fn path(number: usize) -> PathBuf {
    format!("src/part{:02}/unit{:02}/file{:04}.py", number / 100, number / 10 % 10, number).into()
}

const GIT_CONFIG: &str = "\
[user]
name = Bench
email = bench@localhost
[init]
defaultBranch = main
[gc]
auto = 0
[receive]
unpackLimit = 1
autoGC = false
";

#[cfg(test)]
mod tests {
    use super::*;

    fn output(work: &Work, words: &[&str]) -> String {
        let output =
            work.command(words).current_dir(work.checkout()).output().map(|output| output.stdout);
        String::from_utf8(output.unwrap()).unwrap()
    }

    #[test]
    fn the_work_is_what_the_bench_says_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let work = Work::create(dir.path(), 2).unwrap();
        let tree = output(&work, &["ls-tree", "-r", "--long", FIRST]);
        assert_eq!(tree.lines().count(), FILES);
        let sizes =
            tree.lines().filter_map(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
        let bytes: usize = sizes.sum();
        assert!(bytes.abs_diff(BYTES) < BYTES / 20, "{bytes}");
        for number in [1, 2] {
            let changed = output(&work, &["diff", "--name-only", FIRST, &version(number)]);
            assert_eq!(changed.lines().count(), CHANGED);
        }
        let whole = work.pack_size(FIRST, None).unwrap();
        let part = work.pack_size(&version(1), Some(FIRST)).unwrap();
        println!("packs: {whole} and {part} bytes");
        assert!(whole > 3_000_000 && part > 5_000 && part < 50_000, "{whole} {part}");
    }
}
