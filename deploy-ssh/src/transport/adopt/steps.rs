//! The steps by which targets are taken over, and given back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Serving, Situation, Step, Stream},
    model::Target,
};
use jiff::Timestamp;

use super::{Adoption, Answered, Found, Record, Report, SshTransport, failure};
use crate::{
    session::{OnStdinEnd, Output, Script},
    state::{Content, GoodRecord, Mark, State, serving_line},
};

const TAKE: &str = concat!(
    include_str!("../scripts/prelude.sh"),
    include_str!("scripts/layout.sh"),
    include_str!("scripts/hold.sh"),
    include_str!("scripts/take.sh")
);
const GIVE_BACK: &str = concat!(
    include_str!("../scripts/prelude.sh"),
    include_str!("scripts/layout.sh"),
    include_str!("scripts/hold.sh"),
    include_str!("scripts/give_back.sh")
);
/// The exit statuses of these scripts whose words are for people as they are.
const TOLD: [i32; 4] = [43, 46, 47, 53];

/// Makes what is served on targets releases of ours. The live path leads to a complete tree at every
/// instant, unless a gap is allowed. Takes and gives up the claim itself. What was broken off is
/// finished by doing it again.
#[derive(Debug)]
pub struct Adopt {
    /// What acts on the targets.
    pub transport: Arc<SshTransport>,
    /// What is taken over.
    pub adoptions: BTreeMap<Target, Adoption>,
    /// Where there is nothing to do.
    pub settled: BTreeSet<Target>,
    /// Whether it may be done by two renames, where nothing exchanges two names at once.
    pub allow_gap: bool,
}

/// Brings back what was at the live path of targets before they were taken over. Nothing of ours is
/// deleted: it is put aside. Takes and gives up the claim itself.
#[derive(Debug)]
pub struct GiveBack {
    /// What acts on the targets.
    pub transport: Arc<SshTransport>,
    /// What was found there, with what is recorded.
    pub found: BTreeMap<Target, Found>,
    /// Where there is nothing to do.
    pub settled: BTreeSet<Target>,
    /// Whether it may be done by two renames, where nothing exchanges two names at once.
    pub allow_gap: bool,
    /// Where what was ours lies now.
    pub aside: Mutex<BTreeMap<Target, String>>,
}

#[async_trait]
impl Step for Adopt {
    fn describe(&self) -> String {
        format!("adopt {}", self.transport.layout.path())
    }

    async fn run(&self, target: &Target, _: &Situation, scope: &Scope) -> Result<(), BackendError> {
        let Some(adoption) = self.adoptions.get(target) else {
            return not_planned(&self.transport, target, &self.settled, scope).await;
        };
        let attempted = format!("adopt what {target} serves");
        refuse_gap(&adoption.found, self.allow_gap, &attempted)?;
        let act = |dead: &str| self.script(adoption, scope, dead, &attempted);
        let said = hold(&self.transport, (target, scope), &adoption.found, &attempted, act).await?;
        drop(said);
        let words = format!("adopted {} as {}\n", adoption.found.origin, adoption.release);
        scope.output.write(target, scope.stage, Stream::Stdout, words.as_bytes());
        Ok(())
    }
}

#[async_trait]
impl Step for GiveBack {
    fn describe(&self) -> String {
        format!("undo the adoption of {}", self.transport.layout.path())
    }

    async fn run(&self, target: &Target, _: &Situation, scope: &Scope) -> Result<(), BackendError> {
        let planned =
            self.found.get(target).and_then(|found| Some((found, found.record.as_ref()?)));
        let Some((found, record)) = planned else {
            return not_planned(&self.transport, target, &self.settled, scope).await;
        };
        let attempted = format!("undo the adoption on {target}");
        refuse_gap(found, self.allow_gap, &attempted)?;
        let act = |dead: &str| Ok(self.script(found, record, scope, dead));
        let said = hold(&self.transport, (target, scope), found, &attempted, act).await?;
        if let Some(aside) = said.lines().find_map(|line| line.strip_prefix("aside ")) {
            let mut places = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
            places.insert(target.clone(), aside.to_owned());
            let words = format!("gave {} back; ours is in {aside}\n", record.origin);
            scope.output.write(target, scope.stage, Stream::Stdout, words.as_bytes());
        }
        Ok(())
    }
}

impl Adopt {
    fn script(
        &self,
        adoption: &Adoption,
        scope: &Scope,
        dead: &str,
        attempted: &str,
    ) -> Result<Script, BackendError> {
        let (found, release) = (&adoption.found, &adoption.release);
        let layout = &self.transport.layout;
        let by = super::super::who(scope);
        let now = Timestamp::now();
        let broken = |why: String| {
            let file = format!("{}/state.json {why}", layout.cache());
            BackendError::new(ErrorKind::Broken, attempted).with_source(file)
        };
        let mut state = found.report.state().map_err(broken)?;
        let record = match (&adoption.identity, &found.record) {
            // It is finished as it was begun.
            (None, Some(record)) => record.clone(),
            _ => {
                forget(&mut state, found.record.as_ref());
                let what = (found.what.clone(), found.origin.as_str(), found.link.as_str());
                Record::new(what, &release.id, (&scope.run, by.clone()), now)
            }
        };
        let run = scope.run.clone();
        state.remember(GoodRecord { release: release.clone(), run, by: by.clone(), at: now });
        let run = Some(scope.run.clone());
        let serving = Serving { release: release.clone(), since: Some(now), by: Some(by), run };
        let digest = adoption.identity.as_ref().map(|identity| identity.digest.clone());
        let mark = Mark {
            id: release.id.to_string(),
            version: release.version.clone(),
            content: Content::Adopted(digest.unwrap_or_default()),
            shared: Vec::new(),
            rendered: false,
            built: None,
        };
        Ok(held(&self.transport, TAKE, scope, dead)
            .args([release.id.as_str(), &mark.line(), found.report.state_head(), &state.text()])
            .arg(serving_line(&serving))
            .args([record.what.word(), &record.link, &record.origin])
            .arg(found.tool.as_deref().unwrap_or_default())
            .arg(record.line())
            .args(layout.shared()))
    }
}

impl GiveBack {
    fn script(&self, found: &Found, record: &Record, scope: &Scope, dead: &str) -> Script {
        held(&self.transport, GIVE_BACK, scope, dead)
            .args([record.release.as_str(), record.what.word(), &record.link, &record.origin])
            .arg(found.tool.as_deref().unwrap_or_default())
            // One that was broken off goes on where it was.
            .arg(record.at.strftime("%Y%m%d-%H%M%S").to_string())
    }
}

/// A script that holds the target while it runs, with what all such are told.
fn held(transport: &SshTransport, text: &'static str, scope: &Scope, dead: &str) -> Script {
    Script::new(text)
        .on_stdin_end(OnStdinEnd::RunToEnd)
        .arg(transport.layout.path())
        .arg(scope.run.as_str())
        .arg(transport.claim(scope))
        .arg(dead)
}

/// Runs the script that `act` makes, taking over the claim of a dead run; returns what it said.
async fn hold(
    transport: &SshTransport,
    (target, scope): (&Target, &Scope),
    found: &Found,
    attempted: &str,
    act: impl Fn(&str) -> Result<Script, BackendError>,
) -> Result<String, BackendError> {
    let mut dead = String::new();
    for _ in 0..super::super::ROUNDS {
        let output = transport.run(target, act(&dead)?, scope).await?;
        let said = output.stdout.text().to_string();
        match Answered::of(output) {
            Answered::Done(_) => {
                transport.reports().remove(target);
                return Ok(said);
            }
            Answered::Claimed(held) => {
                dead = transport.take_over(target, held, attempted, scope)?;
            }
            Answered::Else(output, _) => {
                return Err(explained(
                    &output,
                    &found.report,
                    &transport.layout.cache(),
                    attempted,
                ));
            }
        }
    }
    Err(BackendError::new(ErrorKind::Conflict, attempted)
        .with_source("others took and left the target again and again"))
}

fn explained(output: &Output, known: &Report, cache: &str, attempted: &str) -> BackendError {
    if output.status == failure::status::STALE {
        return BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("what lies there has changed since it was looked at: run it again");
    }
    if !TOLD.contains(&output.status) || failure::is_environment(output) {
        return failure::explain(output, known, cache, attempted);
    }
    let stderr = output.stderr.text();
    BackendError::new(ErrorKind::Rejected, attempted)
        .with_source(stderr.lines().last().unwrap_or("it said nothing").to_owned())
        .with_evidence(output.stderr.last_lines(20))
}

/// Without a tool it is done by two renames.
fn refuse_gap(found: &Found, allow_gap: bool, attempted: &str) -> Result<(), BackendError> {
    if found.tool.is_some() || allow_gap {
        return Ok(());
    }
    Err(BackendError::new(ErrorKind::Rejected, attempted)
        .with_source("nothing there exchanges two names at once"))
}

/// Forgets the release of an adoption that came to nothing.
fn forget(state: &mut State, record: Option<&Record>) {
    let Some(record) = record else { return };
    state.good.retain(|good| good.release.id != record.release);
}

/// A target that was not planned for: it was settled, or could not be asked, and is asked again to
/// say why.
async fn not_planned(
    transport: &SshTransport,
    target: &Target,
    settled: &BTreeSet<Target>,
    scope: &Scope,
) -> Result<(), BackendError> {
    if settled.contains(target) {
        return Ok(());
    }
    transport.find(target, scope).await?;
    Err(BackendError::new(ErrorKind::Rejected, format!("act on {target}"))
        .with_source("it could not be asked when the plan was made")
        .with_hint("run it again"))
}
