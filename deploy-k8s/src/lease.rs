//! A Lease object that one run holds: the lock of an app, and the claim on a target.

mod lock;
mod renewal;

use std::{fmt, sync::Arc, time::Duration};

use deploy_core::backend::{BackendError, Claim, ErrorKind, Holder, Scope};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};

use crate::{
    claim,
    cluster::Cluster,
    failure::{self, Effect},
    release,
};
pub use lock::LeaseLock;
pub use renewal::Held;

/// Where who holds it is written, as JSON.
const HOLDER: &str = "deploy/holder";
/// Where the holder's process is written, for whoever can tell whether it lives.
const PROCESS: &str = "deploy/process";
/// The most that is believed of an annotation, in bytes.
const LONGEST: usize = 4096;
/// How long a lease stands that nobody renews: 68 years, the most that it can say in seconds.
const FOR_EVER: SignedDuration = SignedDuration::from_secs(i32::MAX as i64);
/// How often it is tried again when somebody else was faster.
const ROUNDS: usize = 4;

/// Tells of a process's record whether that process is proven dead.
pub type IsDead = dyn Fn(&str) -> bool + Send + Sync;

/// How a lease is held.
#[derive(Clone)]
pub struct LeaseTerms {
    /// For how long it is ours without being renewed. It is renewed four times as often. The clocks
    /// of two deployers may differ by less than three quarters of it.
    pub duration: Duration,
    /// A record of this process.
    pub process: String,
    /// Whether the process of another record is proven dead: then its lease is free at once.
    pub is_dead: Arc<IsDead>,
}

impl fmt::Debug for LeaseTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseTerms")
            .field("duration", &self.duration)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// A Lease object of a namespace (`coordination.k8s.io/v1`), by which one run keeps others out.
///
/// It is given up at the end of a run. A holder that dies without that stops renewing it, and it is
/// free when its time is over, or at once when the process is proven dead.
#[derive(Debug, Clone)]
pub struct Lease {
    cluster: Cluster,
    namespace: String,
    name: String,
    terms: LeaseTerms,
}

/// What taking a lease came to.
#[derive(Debug)]
#[must_use = "a lease that is dropped at once protects nothing"]
pub enum Taken {
    /// It is ours until it is given up.
    Ours(Held),
    /// Somebody else has it.
    HeldBy(Tenant),
}

/// What writing a lease came to.
enum Written {
    Ours(Api<LeaseObject>, Box<LeaseObject>),
    HeldBy(Tenant),
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Who, why and since when; in place of what cannot be read, what the object itself tells.
    pub holder: Holder,
    /// Whether nobody stands behind it any more.
    pub is_dead: bool,
}

impl Lease {
    /// The lease `name` in `namespace` of `cluster`. Asks nobody yet.
    pub fn new(
        cluster: Cluster,
        namespace: impl Into<String>,
        name: impl Into<String>,
        terms: LeaseTerms,
    ) -> Self {
        Self { cluster, namespace: namespace.into(), name: name.into(), terms }
    }

    /// The lease that is the lock of `app` in `environment`. Asks nobody yet.
    pub fn of_app(
        cluster: Cluster,
        namespace: impl Into<String>,
        (app, environment): (&str, &str),
        terms: LeaseTerms,
    ) -> Self {
        Self::new(cluster, namespace, release::object_name(&["lock", app, environment]), terms)
    }

    /// Leaves it to `holder`, who needs no process: until `holder.until`, or until it is freed. Answers with
    /// who has it, where somebody has.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn leave(
        &self,
        holder: &Holder,
        scope: &Scope,
    ) -> Result<Option<Holder>, BackendError> {
        let until = holder.until.map_or(FOR_EVER, |until| until.duration_since(Timestamp::now()));
        let duration = Duration::try_from(until.min(FOR_EVER)).unwrap_or_default();
        let terms = LeaseTerms { duration, process: String::new(), ..self.terms.clone() };
        let standing = Self { terms, ..self.clone() };
        match standing.write(holder, scope).await? {
            Written::Ours(..) => Ok(None),
            Written::HeldBy(tenant) => Ok(Some(tenant.holder)),
        }
    }

    /// Tries to take it for `holder`, once. What a dead run left is taken over. What `holder`'s own
    /// run has is taken again.
    ///
    /// # Errors
    /// As any call to the cluster; also `Conflict` when others were faster again and again.
    pub async fn take(&self, holder: &Holder, scope: &Scope) -> Result<Taken, BackendError> {
        Ok(match self.write(holder, scope).await? {
            Written::Ours(leases, lease) => {
                Taken::Ours(Held::renewing(leases, *lease, &self.terms))
            }
            Written::HeldBy(tenant) => Taken::HeldBy(tenant),
        })
    }

    async fn write(&self, holder: &Holder, scope: &Scope) -> Result<Written, BackendError> {
        let attempted = format!("take the lease {self}");
        let leases = self.api(scope).await?;
        for _ in 0..ROUNDS {
            let there =
                failure::within(leases.get_opt(&self.name), Effect::Asks, scope, &attempted)
                    .await?;
            let tenant = there.as_ref().and_then(|lease| self.tenant(lease));
            // Two people without a run are two all the same.
            let is_ours = |t: &Tenant| holder.run.is_some() && t.holder.run == holder.run;
            if let Some(tenant) = tenant.filter(|t| !t.is_dead && !is_ours(t)) {
                return Ok(Written::HeldBy(tenant));
            }
            let wanted = self.object(there.as_ref(), holder);
            let options = PostParams::default();
            let written = match &there {
                // With its resource version: whoever was faster makes this fail.
                Some(_) => {
                    let replacing = leases.replace(&self.name, &options, &wanted);
                    failure::within(replacing, Effect::Changes, scope, &attempted).await
                }
                None => {
                    let creating = leases.create(&options, &wanted);
                    failure::within(creating, Effect::Changes, scope, &attempted).await
                }
            };
            match written {
                Ok(lease) => return Ok(Written::Ours(leases, Box::new(lease))),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("others were faster again and again"))
    }

    /// Who holds it now, if anybody. Changes nothing.
    ///
    /// # Errors
    /// As any call to the cluster.
    pub async fn holder(&self, scope: &Scope) -> Result<Option<Tenant>, BackendError> {
        let attempted = format!("ask who has the lease {self}");
        let leases = self.api(scope).await?;
        let asked = leases.get_opt(&self.name);
        let there = failure::within(asked, Effect::Asks, scope, &attempted).await?;
        Ok(there.as_ref().and_then(|lease| self.tenant(lease)))
    }

    /// Who claims by it what it stands for, if anybody, as the engine wants to know it. What nobody renewed in
    /// time counts as dead.
    ///
    /// # Errors
    /// As any call to the cluster.
    pub async fn claim(&self, scope: &Scope) -> Result<Option<Claim>, BackendError> {
        claim::seen(self, scope).await
    }

    /// Frees it from `claim`, and from no other. Nobody's is free already.
    ///
    /// # Errors
    /// `Conflict` when somebody else has it by now; else as any call to the cluster.
    pub async fn free(&self, claim: &Claim, scope: &Scope) -> Result<(), BackendError> {
        let attempted = format!("free the lease {self}");
        let leases = self.api(scope).await?;
        let asked = leases.get_opt(&self.name);
        let there = failure::within(asked, Effect::Asks, scope, &attempted).await?;
        let Some(mut lease) = there else { return Ok(()) };
        let Some(tenant) = self.tenant(&lease) else { return Ok(()) };
        let holder = tenant.holder;
        let is_same_run = holder.run.as_ref().is_none_or(|run| *run == claim.run);
        if !is_same_run || holder.since != claim.since {
            return Err(BackendError::new(ErrorKind::Conflict, attempted)
                .with_source(format!("{} has it by now", holder.who)));
        }
        lease.spec.get_or_insert_default().holder_identity = Some(String::new());
        let options = PostParams::default();
        let freeing = leases.replace(&self.name, &options, &lease);
        failure::within(freeing, Effect::Changes, scope, &attempted).await.map(drop)
    }

    async fn api(&self, scope: &Scope) -> Result<Api<LeaseObject>, BackendError> {
        Ok(Api::namespaced(self.cluster.client(scope).await?, &self.namespace))
    }

    /// Who has it; nobody once it was given up.
    fn tenant(&self, lease: &LeaseObject) -> Option<Tenant> {
        let spec = lease.spec.as_ref()?;
        let identity = spec.holder_identity.as_deref().filter(|identity| !identity.is_empty())?;
        let note = |key| {
            let notes = lease.metadata.annotations.as_ref()?;
            notes.get(key).map(String::as_str).filter(|text| text.len() <= LONGEST)
        };
        let since = spec.acquire_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let holder = note(HOLDER).and_then(|text| serde_json::from_str(text).ok());
        let holder = holder.unwrap_or_else(|| Holder {
            who: identity.chars().take(100).collect(),
            host: String::new(),
            pid: 0,
            why: None,
            since,
            run: None,
            until: None,
        });
        let is_proven = note(PROCESS).is_some_and(|process| (self.terms.is_dead)(process));
        Some(Tenant { holder, is_dead: is_proven || is_over(spec, Timestamp::now()) })
    }

    /// The object as it will be, made of what is there.
    fn object(&self, there: Option<&LeaseObject>, holder: &Holder) -> LeaseObject {
        let mut lease = there.cloned().unwrap_or_else(|| LeaseObject {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let notes = lease.metadata.annotations.get_or_insert_default();
        notes.insert(HOLDER.to_owned(), serde_json::json!(holder).to_string());
        notes.insert(PROCESS.to_owned(), self.terms.process.clone());
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        let run = holder.run.as_ref().map_or("lock", |run| run.as_str());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(format!("{run} {}", holder.who)),
            lease_duration_seconds: Some(
                i32::try_from(self.terms.duration.as_secs().max(1)).unwrap_or(i32::MAX),
            ),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or_default().saturating_add(1)),
            ..LeaseSpec::default()
        });
        lease
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} in the cluster {}", self.namespace, self.name, self.cluster.name())
    }
}

/// Whether its time is over without that it was renewed.
fn is_over(spec: &LeaseSpec, now: Timestamp) -> bool {
    let seconds = i64::from(spec.lease_duration_seconds.unwrap_or_default().max(0));
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    renewed.is_none_or(|at| now.duration_since(at) > SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_when_nobody_renewed_it_in_time() {
        let renewed = Timestamp::from_second(1_000).unwrap();
        let spec = LeaseSpec {
            renew_time: Some(MicroTime(renewed)),
            lease_duration_seconds: Some(60),
            ..LeaseSpec::default()
        };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert!(!is_over(&spec, at(1_060)));
        assert!(is_over(&spec, at(1_061)));
        assert!(!is_over(&spec, at(900)), "a clock that is behind frees nothing");
        assert!(is_over(&LeaseSpec::default(), at(0)), "nobody ever held it");
    }
}
