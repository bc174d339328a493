//! What was planned to be rendered, for which version and target.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::{Target, Version},
};

use crate::{
    layout::Layout,
    template::{Edition, Fault, Rendering, Secrets, Templates},
};

/// How many different mistakes are told at once.
const TOLD: usize = 5;

/// Templates, and what was planned with them.
#[derive(Debug)]
pub(in crate::transport) struct Renders {
    templates: Templates,
    plans: Mutex<Plans>,
}

#[derive(Debug, Default)]
struct Plans {
    editions: HashMap<Version, Arc<Edition>>,
    planned: HashMap<(Target, Version), Result<Arc<Rendering>, Refused>>,
    /// Equal renderings are held once: most targets get the same.
    known: HashMap<String, Arc<Rendering>>,
    /// What each target is to get next.
    wanted: HashMap<Target, Version>,
}

/// Why nothing can be rendered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::transport) struct Refused {
    /// Whether the version lacks a template: no other configuration cures that.
    lacks: bool,
    why: String,
    hint: Option<String>,
}

impl Refused {
    pub(super) fn of(error: &BackendError) -> Self {
        let lacks = error.kind() == ErrorKind::NotFound;
        Self { lacks, why: error.cause(), hint: error.hint().map(str::to_owned) }
    }

    fn of_fault(fault: &Fault) -> Self {
        Self { lacks: false, why: fault.to_string(), hint: fault.hint().map(str::to_owned) }
    }

    fn error(&self, attempted: &str) -> BackendError {
        let kind = if self.lacks { ErrorKind::NotFound } else { ErrorKind::Rejected };
        let error = BackendError::new(kind, attempted).with_source(self.why.clone());
        match &self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// What could not be rendered, and for whom.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Refused, Vec<Target>>);

impl Refusals {
    pub(super) fn add(&mut self, target: &Target, why: Refused) {
        self.0.entry(why).or_default().push(target.clone());
    }

    pub(super) fn into_result(self, attempted: &str) -> Result<(), BackendError> {
        let Some(first) = self.0.keys().next() else { return Ok(()) };
        let told = self.0.iter().take(TOLD).map(|(refused, targets)| {
            let more = match targets.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{} (for {}{more})", refused.why, targets[0])
        });
        let mut why = told.collect::<Vec<_>>().join("; ");
        if self.0.len() > TOLD {
            why.push_str(&format!("; and {} more mistakes", self.0.len() - TOLD));
        }
        Err(Refused { lacks: first.lacks, why, hint: first.hint.clone() }.error(attempted))
    }
}

impl Renders {
    pub(super) fn new(templates: Templates) -> Self {
        Self { templates, plans: Mutex::default() }
    }

    pub(in crate::transport) fn templates(&self) -> &Templates {
        &self.templates
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn edition(&self, version: &Version) -> Option<Arc<Edition>> {
        self.plans().editions.get(version).cloned()
    }

    /// Keeps the first edition of each version.
    pub(super) fn keep_edition(&self, edition: Edition) -> Arc<Edition> {
        let version = edition.version().clone();
        self.plans().editions.entry(version).or_insert_with(|| Arc::new(edition)).clone()
    }

    /// Notes that `target` is to get `version` next.
    pub(super) fn wish(&self, target: &Target, version: &Version) {
        self.plans().wanted.insert(target.clone(), version.clone());
    }

    /// Notes that `target` is to get `version` next, and why it cannot be rendered.
    pub(super) fn want(&self, target: &Target, version: &Version, why: &Refused) {
        self.wish(target, version);
        let key = (target.clone(), version.clone());
        self.plans().planned.insert(key, Err(why.clone()));
    }

    /// Plans what `target` gets of `edition`, and remembers it.
    pub(super) async fn plan(
        &self,
        edition: &Edition,
        target: &Target,
        layout: &Layout,
    ) -> Result<Result<(), Refused>, BackendError> {
        let planned = self.templates.plan(edition, target, layout).await?;
        let planned = planned.map_err(|fault| Refused::of_fault(&fault));
        let mut plans = self.plans();
        let planned = planned.map(|rendering| {
            let digest = rendering.digest.clone();
            plans.known.entry(digest).or_insert_with(|| Arc::new(rendering)).clone()
        });
        let answer = planned.as_ref().map(drop).map_err(Clone::clone);
        plans.planned.insert((target.clone(), edition.version().clone()), planned);
        Ok(answer)
    }

    pub(super) fn is_planned(&self, target: &Target, version: &Version) -> bool {
        self.plans().planned.contains_key(&(target.clone(), version.clone()))
    }

    pub(super) fn planned(
        &self,
        target: &Target,
        version: &Version,
    ) -> Result<Arc<Rendering>, BackendError> {
        let attempted = || format!("render the templates of {version} for {target}");
        match self.plans().planned.get(&(target.clone(), version.clone())) {
            Some(Ok(rendering)) => Ok(Arc::clone(rendering)),
            Some(Err(why)) => Err(why.error(&attempted())),
            None => Err(BackendError::new(ErrorKind::Broken, attempted())
                .with_source("they were not rendered before this was asked")),
        }
    }

    /// What `target` is to get next, if that can be rendered.
    pub(in crate::transport) fn wanted(&self, target: &Target) -> Option<Arc<Rendering>> {
        let plans = self.plans();
        let version = plans.wanted.get(target)?;
        plans.planned.get(&(target.clone(), version.clone()))?.as_ref().ok().cloned()
    }

    /// What `secrets` lack for `rendering`, in words.
    pub(in crate::transport) fn lacks(
        &self,
        secrets: &Secrets,
        rendering: &Rendering,
    ) -> Vec<String> {
        let path = self.templates.secrets_path().unwrap_or_default();
        let told = |(name, why): (&crate::template::Name, &str)| {
            let file = rendering.files.iter().find(|file| file.secrets.contains(name));
            let source = file.map_or("a template", |file| file.source.as_str());
            format!("the secret {name}, which {source} writes, {why}: put it into {path} there")
        };
        secrets.lacks(&rendering.secrets).into_iter().map(told).collect()
    }
}
