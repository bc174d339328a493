//! A lease that is ours, and stays so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::Lease as LeaseObject, apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, api::PostParams};
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::LeaseTerms;

/// How often it is renewed within its time.
const RENEWALS: u32 = 4;
/// How long giving it up may take.
const GIVING_UP: Duration = Duration::from_secs(10);

/// A lease that is ours: renewed by a task until it is given up. Dropped, it is given up as well as
/// that can be done.
#[derive(Debug)]
pub struct Held {
    is_lost: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<(), kube::Error>>>,
}

impl Held {
    pub(super) fn renewing(
        leases: Api<LeaseObject>,
        lease: LeaseObject,
        terms: &LeaseTerms,
    ) -> Self {
        let is_lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = oneshot::channel();
        let renewal = Renewal {
            leases,
            lease: Mutex::new(lease),
            pause: terms.duration / RENEWALS,
            is_lost: Arc::clone(&is_lost),
        };
        let task = tokio::spawn(renewal.keep(stopped));
        Self { is_lost, stop: Some(stop), task: Some(task) }
    }

    /// Whether somebody else has it by now. Nothing may be changed any more then.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Gives it up.
    ///
    /// # Errors
    /// When the cluster could not be told; it will be free when its time is over.
    pub async fn give_up(mut self) -> Result<(), kube::Error> {
        drop(self.stop.take());
        match self.task.take() {
            Some(task) => task.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

struct Renewal {
    leases: Api<LeaseObject>,
    lease: Mutex<LeaseObject>,
    pause: Duration,
    is_lost: Arc<AtomicBool>,
}

impl Renewal {
    /// Renews it until `stopped`, then gives it up.
    async fn keep(self, mut stopped: oneshot::Receiver<()>) -> Result<(), kube::Error> {
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                () = sleep(self.pause) => {}
            }
            // What fails is tried again; until its time is over it is ours all the same.
            if let Ok(Err(error)) = timeout(self.pause, self.write(true)).await
                && is_conflict(&error)
                && !matches!(timeout(self.pause, self.read()).await, Ok(Ok(true)) | Err(_))
            {
                self.is_lost.store(true, Ordering::Relaxed);
                return Ok(());
            }
        }
        match timeout(GIVING_UP, self.write(false)).await {
            // Somebody else's already.
            Ok(Err(error)) if is_conflict(&error) => Ok(()),
            Ok(written) => written,
            Err(_) => Ok(()),
        }
    }

    /// Whether it is ours still: an answer of ours may have come late. What is there is what the next
    /// renewal is made of.
    async fn read(&self) -> Result<bool, kube::Error> {
        let mut lease = self.lease.lock().await;
        let name = lease.metadata.name.clone().unwrap_or_default();
        let there = self.leases.get(&name).await?;
        let holder = |lease: &LeaseObject| lease.spec.as_ref()?.holder_identity.clone();
        let acquired = |lease: &LeaseObject| lease.spec.as_ref()?.acquire_time.clone();
        let is_ours = holder(&there) == holder(&lease) && acquired(&there) == acquired(&lease);
        if is_ours {
            *lease = there;
        }
        Ok(is_ours)
    }

    async fn write(&self, is_held: bool) -> Result<(), kube::Error> {
        let mut lease = self.lease.lock().await;
        let mut next = lease.clone();
        let spec = next.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        if !is_held {
            spec.holder_identity = Some(String::new());
        }
        let name = next.metadata.name.clone().unwrap_or_default();
        *lease = self.leases.replace(&name, &PostParams::default(), &next).await?;
        Ok(())
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}
