//! The git repository that the values of clusters live in.

use std::time::Duration;

use deploy_core::backend::{BackendError, ErrorKind, Scope, Stream};

use super::{
    Edit, Publish, Published, ValueKey, ValuesOptions, Wish, message,
    mirror::{Mirror, Turn},
    push::Pushed,
};

/// How often it is looked whether a change was taken.
const LOOK: Duration = Duration::from_secs(2);
/// How often a push is tried while others push.
const ROUNDS: usize = 2;
/// How many closed reviews of the same change are passed over.
const REVIEWS: u32 = 100;
/// How old an answer may be where nothing is changed by it: many targets ask at once.
const LATELY: Duration = Duration::from_secs(5);

/// The repository that values live in. Changes one value at a time, in commits of its own.
#[derive(Debug)]
pub struct ValuesRepository {
    options: ValuesOptions,
    mirror: Mirror,
}

/// What is in a file of a commit, and where.
struct Seen {
    tip: String,
    text: String,
    edit: Edit,
}

/// What was pushed.
enum Sent {
    Nothing,
    Pushed { id: String, before: String },
    ForReview { before: String },
    Overtaken { before: String },
}

impl ValuesRepository {
    /// The repository that `options` name. Asks nobody yet.
    pub fn new(options: ValuesOptions) -> Self {
        Self { mirror: Mirror::new(&options), options }
    }

    /// What is at `key` in `file` now, in the branch as the remote has had it within the last seconds.
    ///
    /// # Errors
    /// When the remote cannot be asked, the file is not there, or the key is not one word in it.
    pub async fn value(
        &self,
        file: &str,
        key: &ValueKey,
        scope: &Scope,
    ) -> Result<String, BackendError> {
        let attempted = format!("read {key} in {file}");
        let mut turn = self.mirror.turn(scope, &attempted).await?;
        let tip = turn.lately(LATELY).await?;
        let text = turn.read(&tip, file).await?;
        Ok(find(&text, file, key, &attempted)?.value)
    }

    /// The first that `find` finds in the messages of the commits that changed `file` and have `words`,
    /// newest first.
    ///
    /// # Errors
    /// When the remote cannot be asked.
    pub(super) async fn find_message<T>(
        &self,
        (file, words): (&str, &str),
        find: impl Fn(&str) -> Option<T>,
        scope: &Scope,
    ) -> Result<Option<T>, BackendError> {
        let attempted = format!("look for {words:?} in what was committed to {file}");
        self.mirror.turn(scope, &attempted).await?.find_message(file, words, find).await
    }

    /// Brings `wish` into the branch, with `message`. What is there already is not committed again;
    /// a push that another one was faster than is made anew on top of that, once. What was pushed for
    /// review is told to `scope.output`, and waited for if `wish` says so.
    ///
    /// # Guarantees
    /// May be repeated after a lost answer: what arrived is found, and so is a review that is open.
    ///
    /// # Errors
    /// As [`value`](Self::value); `Conflict` when others were faster again, or have changed
    /// the same value; `Rejected` when the remote takes it not; `Lost` when it is not known whether it
    /// has it; `TimedOut` when nobody has taken what was pushed for review.
    pub async fn publish(
        &self,
        wish: &Wish,
        message: &str,
        scope: &Scope,
    ) -> Result<Published, BackendError> {
        let Wish { file, key, value, .. } = wish;
        let attempted = format!("set {key} in {file} to {value:?}");
        let mut known: Option<String> = wish.from.clone();
        for _ in 0..ROUNDS {
            // The turn ends before a review is waited for.
            let sent = self.send(wish, known.as_deref(), message, (scope, &attempted)).await?;
            match sent {
                Sent::Nothing => return Ok(Published::Nothing),
                Sent::Pushed { id, before } => return Ok(Published::Commit { id, before }),
                Sent::ForReview { before } if !wish.waits => {
                    return Ok(Published::Pending { before });
                }
                Sent::ForReview { before } => {
                    let id = self.await_review(wish, &before, (scope, &attempted)).await?;
                    return Ok(Published::Commit { id, before });
                }
                Sent::Overtaken { before } => known = Some(before),
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("others have pushed at the same time, twice")
            .with_hint("deploy again"))
    }

    /// One round: fetches, commits and pushes.
    async fn send(
        &self,
        wish: &Wish,
        known: Option<&str>,
        message: &str,
        (scope, attempted): (&Scope, &str),
    ) -> Result<Sent, BackendError> {
        let mut turn = self.mirror.turn(scope, attempted).await?;
        let seen = see(&mut turn, wish, attempted).await?;
        let before = seen.edit.value.clone();
        if before == wish.value {
            return Ok(Sent::Nothing);
        }
        if let Some(known) = known.filter(|known| *known != before) {
            return Err(conflict(known, &before, attempted));
        }
        match &self.options.publish {
            Publish::Push => {
                let changed = seen.edit.apply(&seen.text, &wish.value);
                let id = turn.commit(&seen.tip, (&wish.file, &changed), message).await?;
                let to = format!("refs/heads/{}", self.options.branch);
                let (pushed, _) = turn.push(&id, &to).await?;
                match self.verdict(pushed, &mut turn, wish, attempted).await? {
                    true => Ok(Sent::Pushed { id, before }),
                    false => Ok(Sent::Overtaken { before }),
                }
            }
            Publish::Review(to) => {
                self.send_for_review(&mut turn, &seen, wish, (message, to), (scope, attempted))
                    .await
            }
        }
    }

    /// Pushes for review; the same change as before on top of the same commit is the same commit.
    async fn send_for_review(
        &self,
        turn: &mut Turn<'_>,
        seen: &Seen,
        wish: &Wish,
        (message, to): (&str, &str),
        (scope, attempted): (&Scope, &str),
    ) -> Result<Sent, BackendError> {
        let before = seen.edit.value.clone();
        for round in 0..REVIEWS {
            let (message, id) = message::for_review(message, wish, &before, round);
            let commit = match turn.pending(&seen.tip, &id).await? {
                Some(commit) => commit,
                None => {
                    let changed = seen.edit.apply(&seen.text, &wish.value);
                    turn.commit(&seen.tip, (&wish.file, &changed), &message).await?
                }
            };
            turn.remember(&commit, &id).await?;
            let (pushed, words) = turn.push(&commit, to).await?;
            if pushed == Pushed::Closed {
                continue;
            }
            if !self.verdict(pushed, turn, wish, attempted).await? {
                return Ok(Sent::Overtaken { before });
            }
            let subject = message.lines().next().unwrap_or_default();
            let (remote, branch) = (self.mirror.shown(), &self.options.branch);
            let mut told = format!("pushed for review to {to} of {remote}: {subject} ({id})\n");
            for line in words.lines() {
                told.push_str(&format!("remote: {line}\n"));
            }
            told.push_str(&match wish.waits {
                true => format!("waiting until {branch} has it\n"),
                false => format!("submit it: {branch} still has {before:?}\n"),
            });
            scope.output.write(&wish.target, scope.stage, Stream::Stdout, told.as_bytes());
            return Ok(Sent::ForReview { before });
        }
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source(format!("{REVIEWS} reviews of the same change are closed")))
    }

    /// Whether the remote took a push; not when others were faster.
    async fn verdict(
        &self,
        pushed: Pushed,
        turn: &mut Turn<'_>,
        wish: &Wish,
        attempted: &str,
    ) -> Result<bool, BackendError> {
        let error = |kind, why: String| BackendError::new(kind, attempted).with_source(why);
        match pushed {
            Pushed::Taken => Ok(true),
            Pushed::Overtaken => Ok(false),
            Pushed::Closed => Err(error(ErrorKind::Rejected, "its review is closed".to_owned())),
            Pushed::Refused(why) => Err(error(ErrorKind::Rejected, why)
                .with_hint("the remote refused the push: nothing was changed")),
            Pushed::Denied(why) => Err(error(ErrorKind::Denied, why)),
            Pushed::NotBegun(why) => Err(error(ErrorKind::Unreachable, why)),
            Pushed::Unknown(why) => {
                // The answer was lost, not always the push.
                let seen = see(turn, wish, attempted).await;
                if seen.is_ok_and(|seen| seen.edit.value == wish.value) {
                    return Ok(true);
                }
                Err(error(ErrorKind::Lost, why)
                    .with_hint("the answer was lost: look whether the push arrived"))
            }
        }
    }

    /// Waits until the branch has the value: by whichever commit, since a review may have made another of
    /// ours. Questions that fail meanwhile are asked again.
    async fn await_review(
        &self,
        wish: &Wish,
        before: &str,
        (scope, attempted): (&Scope, &str),
    ) -> Result<String, BackendError> {
        loop {
            let mut unheard: Option<BackendError> = None;
            match self.look(wish, (scope, attempted)).await {
                Ok(seen) if seen.edit.value == wish.value => return Ok(seen.tip),
                Ok(seen) if seen.edit.value != before => {
                    return Err(conflict(before, &seen.edit.value, attempted)
                        .with_hint("abandon what was pushed for review, and deploy again"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                Err(error) => unheard = Some(error),
            }
            if scope.remaining() < LOOK {
                let mut why =
                    "it was pushed for review, and nobody has submitted it yet".to_owned();
                if let Some(error) = unheard {
                    why.push_str(&format!(" (the last look failed: {})", error.cause()));
                }
                return Err(BackendError::new(ErrorKind::TimedOut, attempted)
                    .with_source(why)
                    .with_hint("submit it, and deploy again; or abandon it"));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = scope.cancel.cancelled() => {
                    return Err(BackendError::new(ErrorKind::Cancelled, attempted)
                        .with_source("it was pushed for review, and nobody has submitted it yet")
                        .with_hint("abandon it, unless you deploy again"));
                }
            }
        }
    }

    async fn look(
        &self,
        wish: &Wish,
        (scope, attempted): (&Scope, &str),
    ) -> Result<Seen, BackendError> {
        let mut turn = self.mirror.turn(scope, attempted).await?;
        see(&mut turn, wish, attempted).await
    }
}

/// What the branch has now where `wish` is to be.
async fn see(turn: &mut Turn<'_>, wish: &Wish, attempted: &str) -> Result<Seen, BackendError> {
    let tip = turn.fetch().await?;
    let text = turn.read(&tip, &wish.file).await?;
    let edit = find(&text, &wish.file, &wish.key, attempted)?;
    Ok(Seen { tip, text, edit })
}

fn find(text: &str, file: &str, key: &ValueKey, attempted: &str) -> Result<Edit, BackendError> {
    Edit::find(text, key).map_err(|error| {
        BackendError::new(ErrorKind::Rejected, attempted).with_source(format!("{file} {error}"))
    })
}

fn conflict(known: &str, found: &str, attempted: &str) -> BackendError {
    BackendError::new(ErrorKind::Conflict, attempted)
        .with_source(format!("somebody has changed it from {known:?} to {found:?} meanwhile"))
        .with_hint("plan again")
}
