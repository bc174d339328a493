//! From `state_dir` and `[lock]` to the lock of a project.

use std::fmt;

use async_trait::async_trait;
use deploy_core::{
    backend::{Acquired, BackendError, Holder, Lock, LockGuard, Scope},
    record::RunId,
};
use deploy_k8s::{Lease, Tenant};
use deploy_ssh::RunProcess;

use super::{over_k8s, wired::scope};
use crate::{
    context::Project,
    error::CommandError,
    state::{FileLock, Freed},
};

/// The lock of a project: the file of its state directory, and where the configuration names a cluster, a
/// lease there, which reaches whoever deploys from elsewhere.
#[derive(Debug)]
pub struct ProjectLock {
    file: FileLock,
    lease: Option<Lease>,
    /// What calls to the cluster belong to.
    run: RunId,
    who: String,
}

/// The lock of `project`.
///
/// # Errors
/// Refused when the configuration cannot be used as it is.
pub fn lock(project: &Project, run: RunId) -> Result<ProjectLock, CommandError> {
    let process = RunProcess::current()
        .map_err(|error| CommandError::because("learn who this process is", error))?;
    let lease = over_k8s::lock(project, &process)?;
    Ok(ProjectLock { file: project.state.lock(), lease, run, who: project.who.clone() })
}

impl ProjectLock {
    fn scope(&self) -> Scope {
        scope(&self.run, &self.who)
    }

    /// Who has the lease, unless that is proven dead.
    async fn tenant(&self) -> Result<Option<Holder>, BackendError> {
        let Some(lease) = &self.lease else { return Ok(None) };
        let tenant = lease.holder(&self.scope()).await?;
        Ok(tenant.filter(|tenant| !tenant.is_dead).map(|tenant| tenant.holder))
    }

    /// Leaves a lock that outlives this process. Answers with who has it, where somebody has.
    ///
    /// # Errors
    /// Where the file cannot be written, or the cluster not asked.
    pub async fn leave(&self, holder: &Holder) -> Result<Option<Holder>, BackendError> {
        if let Some(other) = self.file.leave(holder)? {
            return Ok(Some(other));
        }
        let Some(lease) = &self.lease else { return Ok(None) };
        let left = lease.leave(holder, &self.scope()).await;
        if !matches!(left, Ok(None)) {
            // Half of a lock keeps out those who sit here, and nobody else.
            self.file.free()?;
        }
        left
    }

    /// Removes a lock taken by hand, and what a dead process left.
    ///
    /// # Errors
    /// Where the file cannot be written, or the cluster not asked.
    pub async fn free(&self) -> Result<Freed, BackendError> {
        // Nothing is freed of what a run holds that lives.
        let scope = self.scope();
        let tenant = match &self.lease {
            Some(lease) => lease.holder(&scope).await?,
            None => None,
        };
        let lives = |tenant: &Tenant| tenant.holder.run.is_some() && !tenant.is_dead;
        if let Some(tenant) = tenant.as_ref().filter(|tenant| lives(tenant)) {
            return Ok(Freed::Alive(tenant.holder.clone()));
        }
        let freed = self.file.free()?;
        let (Some(lease), Some(tenant), Freed::Removed(_) | Freed::Nobody) =
            (&self.lease, tenant, &freed)
        else {
            return Ok(freed);
        };
        if let Some(claim) = lease.claim(&scope).await? {
            lease.free(&claim, &scope).await?;
        }
        Ok(if freed == Freed::Nobody { Freed::Removed(tenant.holder) } else { freed })
    }
}

#[async_trait]
impl Lock for ProjectLock {
    async fn acquire(&self, holder: &Holder) -> Result<Acquired, BackendError> {
        let file = match self.file.acquire(holder).await? {
            Acquired::Yes(guard) => guard,
            held => return Ok(held),
        };
        let Some(lease) = &self.lease else { return Ok(Acquired::Yes(file)) };
        match deploy_k8s::LeaseLock::new(lease.clone()).acquire(holder).await {
            Ok(Acquired::Yes(lease)) => Ok(Acquired::Yes(Box::new(Guard { file, lease }))),
            other => {
                file.release().await?;
                other
            }
        }
    }

    async fn holder(&self) -> Result<Option<Holder>, BackendError> {
        match self.file.holder().await? {
            Some(holder) => Ok(Some(holder)),
            None => self.tenant().await,
        }
    }
}

/// Both locks. Dropped, both are given up as well as that can be done.
struct Guard {
    file: Box<dyn LockGuard>,
    lease: Box<dyn LockGuard>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

#[async_trait]
impl LockGuard for Guard {
    async fn release(self: Box<Self>) -> Result<(), BackendError> {
        let Self { file, lease } = *self;
        let given_up = lease.release().await;
        file.release().await?;
        given_up
    }
}
