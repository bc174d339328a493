//! Any transport, with the version that it brings named in git.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Cancel, Closing, ErrorKind, Live, Scope, Standing, Stream, Transport},
    model::{Release, Target, Version},
    plan::{Change, Noun},
};
use tokio::time::Instant;

use super::{
    Published, ValuesPlace, ValuesRepository, Wish,
    entry::{Entry, mark, origin_in, tag},
    memory::ValuesMemory,
};

/// How long `live` waits for git, which only adds a note.
const NOTE: Duration = Duration::from_secs(10);
/// What is kept of the time of a promote, to put the value before back.
const RESERVE: Duration = Duration::from_secs(10);
/// How the way is told in a subject.
const FORWARD: &str = "to";
const BACK: &str = "back to";
/// Another transport, around which git names the version that each target serves: the values of a
/// cluster, or what Hiera has for hosts.
///
/// Git is changed first, and then the target. Where the target was not switched, the value before is put
/// back, so that git never names a version that does not run. A way back ([`Scope::rolling_back`]) commits the
/// return, and the target goes back meanwhile, whatever becomes of the commit; it is tried again when the
/// target is closed, which fails where git may still name what does not run. Where
/// changes are reviewed, a return is pushed for review and told, and not waited for.
/// Where several targets have one key, it names the new version from the first of them on, and the old one
/// when the last has gone back.
#[derive(Debug)]
pub struct ValuesTransport {
    inner: Arc<dyn Transport>,
    repository: Arc<ValuesRepository>,
    places: BTreeMap<Target, ValuesPlace>,
    app: Option<String>,
    reason: Option<String>,
    memory: Arc<ValuesMemory>,
}

impl ValuesTransport {
    /// Lets git name at `places` what `inner` brings.
    pub fn new(
        inner: Arc<dyn Transport>,
        repository: Arc<ValuesRepository>,
        places: BTreeMap<Target, ValuesPlace>,
    ) -> Self {
        let memory = Arc::default();
        Self { inner, repository, places, app: None, reason: None, memory }
    }

    /// Begins the subject of each commit with the app's name.
    #[must_use]
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.app = Some(name.into());
        self
    }

    /// Knows what the transports around others have seen and done that `memory` is of too: where a target
    /// of theirs has a key in common with one of this, none takes back what another still serves.
    #[must_use]
    pub fn sharing(mut self, memory: Arc<ValuesMemory>) -> Self {
        self.memory = memory;
        self
    }

    /// Says in each commit why this is deployed.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    fn place(&self, target: &Target) -> Result<&ValuesPlace, BackendError> {
        self.places.get(target).ok_or_else(|| {
            BackendError::new(ErrorKind::NotFound, format!("find the values of {target}"))
                .with_source("the configuration has none for it")
        })
    }

    /// The others that have the same key.
    fn neighbours(&self, target: &Target) -> Vec<&Target> {
        let place = self.places.get(target);
        let is_other =
            |(other, its): &(&Target, &ValuesPlace)| *other != target && Some(*its) == place;
        self.places.iter().filter(is_other).map(|(other, _)| other).collect()
    }

    /// What git says of what `target` serves, where that is worth a note.
    async fn named(&self, target: &Target, scope: &Scope) -> Result<String, String> {
        let place = self.place(target).map_err(|error| error.cause())?;
        let limit = NOTE.min(scope.remaining() / 2);
        let scope = Scope { deadline: Instant::now() + limit, ..scope.clone() };
        let named = self.repository.value(&place.file, &place.key, &scope).await;
        named.map_err(|error| format!("what git names is not known: {}", error.cause()))
    }

    async fn publish(&self, entry: &Entry<'_>, scope: &Scope) -> Result<(), BackendError> {
        let Entry { target, place, value, from, way, .. } = entry;
        let message = entry.message((self.app.as_deref(), self.reason.as_deref()), scope);
        let wish = Wish {
            target: (*target).clone(),
            file: place.file.clone(),
            key: place.key.clone(),
            value: value.clone(),
            from: from.clone(),
            // What is broken is not to run elsewhere until a reviewer has looked at this.
            waits: *way == FORWARD,
        };
        let published = self.repository.publish(&wish, &message, scope).await?;
        if let Published::Commit { before, .. } | Published::Pending { before } = published {
            if *way == FORWARD && self.memory.before(target, &scope.run).is_none() {
                self.memory.found(target, &scope.run, &before);
            }
            self.memory.wrote(target, &scope.run);
        }
        Ok(())
    }

    /// What is written where `target` goes back to nothing: what was there before the first deploy, as the
    /// commit of it says.
    async fn origin(
        &self,
        place: &ValuesPlace,
        scope: &Scope,
    ) -> Result<Option<String>, BackendError> {
        let (words, find) = (mark(place), |message: &str| origin_in(message, place));
        self.repository.find_message((&place.file, &words), find, scope).await
    }

    /// What git is to name for `to`; `None` where nobody knows.
    async fn wanted(
        &self,
        change: &Change,
        place: &ValuesPlace,
        scope: &Scope,
    ) -> Result<Option<String>, BackendError> {
        match &change.to {
            Some(to) => Ok(tag(to).or_else(|| self.memory.before(&change.target, &scope.run))),
            None => self.origin(place, scope).await,
        }
    }

    /// Refuses what the target itself would refuse, before git is touched.
    async fn demand_ready(
        &self,
        target: &Target,
        change: &Change,
        (scope, attempted): (&Scope, &str),
    ) -> Result<(), BackendError> {
        let live = self.live_inside(target, scope).await?;
        if let Some(claim) = live.claim.as_ref().filter(|it| it.standing == Standing::Foreign) {
            return Err(BackendError::new(ErrorKind::Claimed, attempted)
                .with_source(format!("the run {} of {} holds it", claim.run, claim.who)));
        }
        let served = live.release();
        if served == change.from.as_ref() || served == change.to.as_ref() {
            return Ok(());
        }
        let what =
            served.map_or_else(|| "nothing".to_owned(), |it| format!("{:?}", it.to_string()));
        let by = live.serving.as_ref().and_then(|serving| serving.by.as_ref());
        let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source(format!("changed meanwhile to {what}{by}"))
            .with_hint("plan again"))
    }

    async fn live_inside(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let live = self.inner.live(target, scope).await?;
        self.memory.saw(target, live.release().and_then(tag));
        Ok(live)
    }

    /// Git, then the target.
    async fn go(
        &self,
        (target, place): (&Target, &ValuesPlace),
        change: &Change,
        (scope, attempted): (&Scope, &str),
    ) -> Result<(), BackendError> {
        self.demand_ready(target, change, (scope, attempted)).await?;
        let Some(value) = self.wanted(change, place, scope).await? else {
            return self.without_value(target, change, (scope, attempted)).await;
        };
        let from = self.memory.before(target, &scope.run);
        let origin = from.as_deref().filter(|_| change.from.is_none());
        let entry = Entry { target, place, value, from: from.clone(), way: FORWARD, origin };
        // It may from now on.
        self.memory.saw(target, Some(entry.value.clone()));
        if let Err(error) = self.publish(&entry, scope).await {
            self.memory.saw(target, change.from.as_ref().and_then(tag));
            return Err(error);
        }
        let switched = self.inner.promote(target, change, &earlier(scope)).await;
        match switched {
            Ok(()) => Ok(()),
            Err(error) => Err(self.put_back(&entry, change, error, scope).await),
        }
    }

    /// Where nobody knows what git had before.
    async fn without_value(
        &self,
        target: &Target,
        change: &Change,
        (scope, attempted): (&Scope, &str),
    ) -> Result<(), BackendError> {
        self.inner.promote(target, change, scope).await?;
        self.memory.saw(target, None);
        let place = self.place(target)?;
        Err(BackendError::new(ErrorKind::NotFound, attempted)
            .with_source(format!(
                "{target} is back, but no commit says what {} in {} was before the first deploy",
                place.key, place.file
            ))
            .with_hint("set it by hand"))
    }

    /// The way back: the target goes back whatever becomes of git.
    async fn go_back(
        &self,
        (target, place): (&Target, &ValuesPlace),
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let begun = change.from.as_ref().and_then(tag);
        // Before the others are asked, so that of two that go back at once one is the last.
        self.memory.saw(target, change.to.as_ref().and_then(tag));
        let neighbours = self.neighbours(target);
        let is_shared =
            begun.as_ref().is_some_and(|value| self.memory.is_served(&neighbours, value));
        // What is broken is not to run until git has answered, nor to be restarted only then.
        let patience =
            &Scope { deadline: scope.deadline.min(Instant::now() + NOTE), ..scope.clone() };
        let named = async {
            match is_shared {
                true => Ok(None),
                false => self.name_again((target, place), change, patience).await,
            }
        };
        let (named, promoted) = tokio::join!(named, self.inner.promote(target, change, scope));
        if let Err(error) = promoted {
            self.memory.saw(target, begun.clone());
            return Err(match named {
                Ok(Some(value)) => {
                    let entry =
                        Entry { target, place, value, from: begun, way: BACK, origin: None };
                    self.put_back(&entry, change, error, scope).await
                }
                _ => error,
            });
        }
        match named {
            Ok(_) => self.memory.owes(target, &scope.run, None),
            Err(error) => {
                let told = match error.kind() {
                    ErrorKind::Conflict => format!("{}: left to them", error.cause()),
                    _ => format!("git may still name what it ran: {}", error.cause()),
                };
                if error.kind() != ErrorKind::Conflict {
                    self.memory.owes(target, &scope.run, Some(change.clone()));
                }
                let told = format!("{target} is back, and {told}\n");
                scope.output.write(target, scope.stage, Stream::Stderr, told.as_bytes());
            }
        }
        Ok(())
    }

    /// Lets git name again what `target` goes back to; returns what that is, where something was to be
    /// written.
    async fn name_again(
        &self,
        (target, place): (&Target, &ValuesPlace),
        change: &Change,
        scope: &Scope,
    ) -> Result<Option<String>, BackendError> {
        let remembered = self.memory.before(target, &scope.run).filter(|_| change.to.is_none());
        let value = match remembered {
            Some(before) => Some(before),
            None => self.wanted(change, place, scope).await?,
        };
        let Some(value) = value else {
            return Err(BackendError::new(ErrorKind::NotFound, format!("write for {target}"))
                .with_source(format!(
                    "no commit says what {} in {} was before the first deploy",
                    place.key, place.file
                ))
                .with_hint("set it by hand"));
        };
        let from = change.from.as_ref().and_then(tag);
        let entry = Entry { target, place, value: value.clone(), from, way: BACK, origin: None };
        self.publish(&entry, scope).await?;
        Ok(Some(value))
    }

    /// Tries once more to have git name what `target` went back to in this run.
    async fn settle(&self, target: &Target, scope: &Scope) -> Result<(), BackendError> {
        let Some(change) = self.memory.owed(target, &scope.run) else { return Ok(()) };
        let left = change.from.as_ref().and_then(tag);
        if left.is_some_and(|left| self.memory.is_served(&self.neighbours(target), &left)) {
            return Ok(());
        }
        let place = self.place(target)?;
        let scope = &Scope { deadline: scope.deadline.min(Instant::now() + NOTE), ..scope.clone() };
        match self.name_again((target, place), &change, scope).await {
            Err(error) if error.kind() != ErrorKind::Conflict => {
                let attempted = format!("have git name what {target} went back to");
                Err(BackendError::new(ErrorKind::Broken, attempted).with_source(format!(
                    "{target} is back, but git may still name what it ran, at {} in {}: {}",
                    place.key,
                    place.file,
                    error.cause()
                )))
            }
            _ => {
                self.memory.owes(target, &scope.run, None);
                Ok(())
            }
        }
    }

    /// Puts the value before back where the target was not switched; returns why it was not.
    async fn put_back(
        &self,
        entry: &Entry<'_>,
        change: &Change,
        error: BackendError,
        scope: &Scope,
    ) -> BackendError {
        let Entry { target, place, value, .. } = entry;
        let scope = &last(scope);
        let may_serve = match self.inner.live(target, scope).await {
            Ok(live) => live.release() == change.to.as_ref(),
            Err(_) => error.kind().is_uncertain(),
        };
        if may_serve {
            return error;
        }
        self.memory.saw(target, change.from.as_ref().and_then(tag));
        let mut all = self.neighbours(target);
        if self.memory.is_served(&all, value) {
            return error;
        }
        all.push(target);
        // What git had before this run is not ours to take away.
        let is_return = entry.way == BACK;
        let before =
            if is_return { entry.from.clone() } else { self.memory.before(target, &scope.run) };
        let Some(before) = before.filter(|_| self.memory.has_written(&all, &scope.run)) else {
            return error;
        };
        let (value, from) = (before, Some(value.clone()));
        let back = Entry { target, place, value, from, way: "stays at", origin: None };
        match self.publish(&back, scope).await {
            Ok(()) => error,
            Err(other) if other.kind() == ErrorKind::Conflict => error,
            Err(other) => {
                let hint = error.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
                let hint = format!(
                    "{hint}git still names what does not run, at {} in {}: {}",
                    place.key,
                    place.file,
                    other.cause()
                );
                error.with_hint(hint)
            }
        }
    }
}

#[async_trait]
impl Transport for ValuesTransport {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        self.inner.release(target, version)
    }

    fn noun(&self) -> Noun {
        self.inner.noun()
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let (live, named) =
            tokio::join!(self.live_inside(target, scope), self.named(target, scope));
        let mut live = live?;
        match (named, live.release().and_then(tag)) {
            (Err(why), _) => live.notes.push(why),
            (Ok(named), Some(runs)) if named != runs => {
                live.notes.push(format!("git names {named}, and {runs} runs"));
            }
            (Ok(_), _) => {}
        }
        Ok(live)
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        // The way back depends on nobody but the target.
        if let Some(to) = change.to.as_ref().filter(|_| !scope.rolling_back) {
            let place = self.place(target)?;
            if tag(to).is_none() {
                let attempted = format!("write {to} for {target}");
                return Err(BackendError::new(ErrorKind::Rejected, attempted)
                    .with_source("git is to name a tag, and this version has none")
                    .with_hint("deploy it by its tag"));
            }
            let value = self.repository.value(&place.file, &place.key, scope).await?;
            self.memory.found(target, &scope.run, &value);
        }
        self.inner.fetch(target, change, scope).await
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        if !change.work.can_be_undone() {
            // What is served stays.
            return self.inner.promote(target, change, scope).await;
        }
        let place = self.place(target)?;
        let name = change.to.as_ref().map_or_else(|| "nothing".into(), ToString::to_string);
        let attempted = format!("promote {name:?} on {target}, and in git");
        match scope.rolling_back {
            true => self.go_back((target, place), change, scope).await,
            false => self.go((target, place), change, (scope, &attempted)).await,
        }
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.inner.finalize(target, closing, scope).await?;
        self.settle(target, scope).await
    }
}

/// Ends early enough that the value before can be put back.
fn earlier(scope: &Scope) -> Scope {
    let kept = RESERVE.min(scope.remaining() / 4);
    Scope { deadline: scope.deadline - kept, ..scope.clone() }
}

/// For what must be done even when the run was told to stop.
fn last(scope: &Scope) -> Scope {
    let deadline = scope.deadline.max(Instant::now() + RESERVE);
    let cancel = if scope.cancel.is_cancelled() { Cancel::new() } else { scope.cancel.clone() };
    Scope { deadline, cancel, ..scope.clone() }
}
