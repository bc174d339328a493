//! What a pod says of itself, read for a rollout.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition};

use super::fault::Fault;

/// Why an image cannot be pulled. `ErrImagePull` alone may pass: the next try decides.
const IMAGE: [&str; 4] =
    ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"];
/// Why a container cannot be made.
const CONTAINER: [&str; 4] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "ContainerCannotRun",
];

/// A pod, as a rollout sees it. One that is on its way out is none.
#[derive(Debug)]
pub(super) struct PodView<'a> {
    name: &'a str,
    pod: &'a Pod,
}

impl<'a> PodView<'a> {
    pub(super) fn of(pod: &'a Pod) -> Option<Self> {
        let name = pod.metadata.name.as_deref()?;
        pod.metadata.deletion_timestamp.is_none().then_some(Self { name, pod })
    }

    /// What tells it from another of its name.
    pub(super) fn uid(&self) -> Option<&str> {
        self.pod.metadata.uid.as_deref()
    }

    /// Whether it takes part in what it is for.
    pub(super) fn is_ready(&self) -> bool {
        self.condition("Ready", "True").is_some()
    }

    /// How often each of its containers was started again; those that come and go before are not
    /// among them.
    pub(super) fn restarts(&self) -> impl Iterator<Item = (&str, i32)> {
        let status = self.pod.status.as_ref();
        let all = status.and_then(|status| status.container_statuses.as_deref());
        let all = all.unwrap_or_default().iter();
        all.map(|container| (container.name.as_str(), container.restart_count))
    }

    /// The fault of a container that has been started `crashes` times again since it was ready, where
    /// it was its own: neither an end in peace, nor that of its node.
    pub(super) fn relapse(&self, container: &str, crashes: i32) -> Option<Fault> {
        let container = self.containers().find(|it| it.name == container)?;
        let ended = container.last_state.as_ref()?.terminated.as_ref()?;
        let is_of_node =
            matches!(ended.reason.as_deref(), Some("Unknown" | "ContainerStatusUnknown"));
        let is_own = ended.exit_code != 0 || ended.reason.as_deref() == Some("OOMKilled");
        (is_own && !is_of_node).then(|| Fault::Relapse {
            pod: self.name.to_owned(),
            container: container.name.clone(),
            crashes,
            last: last(container),
        })
    }

    /// When it was made.
    fn created(&self) -> Option<Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// The mark of the template that it was made of, by its controller.
    fn template(&self) -> Option<&str> {
        let labels = self.pod.metadata.labels.as_ref()?;
        let mark =
            labels.get("pod-template-hash").or_else(|| labels.get("controller-revision-hash"));
        mark.map(String::as_str)
    }

    /// Whether its container `container` is of this image.
    pub(super) fn runs(&self, container: &str, image: &str) -> bool {
        let spec = self.pod.spec.as_ref();
        let mut containers = spec.into_iter().flat_map(|spec| &spec.containers);
        containers.any(|it| it.name == container && it.image.as_deref() == Some(image))
    }

    /// What does not pass by waiting.
    pub(super) fn fault(&self, now: Timestamp, scheduling: Duration) -> Option<Fault> {
        let pod = self.name.to_owned();
        if let Some(fault) = self.containers().find_map(|container| self.broken(container)) {
            return Some(fault);
        }
        let unscheduled = self.condition("PodScheduled", "False")?;
        let since = unscheduled.last_transition_time.as_ref().map(|time| time.0);
        let patience = SignedDuration::try_from(scheduling).unwrap_or(SignedDuration::MAX);
        let is_over = since.is_some_and(|since| now.duration_since(since) > patience);
        let message = unscheduled.message.clone().unwrap_or_default();
        (is_over && unscheduled.reason.as_deref() == Some("Unschedulable"))
            .then_some(Fault::Unschedulable { pod, message })
    }

    /// What it waits for, in a few words; `None` when it is ready. One that has failed is replaced by its
    /// controller.
    pub(super) fn waiting_for(&self) -> Option<String> {
        let status = self.pod.status.as_ref()?;
        if status.phase.as_deref() == Some("Failed") {
            let parts = [status.reason.as_deref(), status.message.as_deref()];
            let why = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
            return Some(format!("{} has failed: {why}", self.name));
        }
        let waiting = self.containers().find_map(|container| {
            let reason = container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()?;
            Some(format!("{}: {} {reason}", self.name, container.name))
        });
        waiting.or_else(|| {
            let unready = self.condition("Ready", "False")?;
            let message = unready.message.as_deref().or(unready.reason.as_deref())?;
            Some(format!("{}: {message}", self.name))
        })
    }

    /// Its name, where it runs and is not ready: its probes say why.
    pub(super) fn unready(&self) -> Option<&str> {
        let runs = |it: &ContainerStatus| it.state.as_ref().is_some_and(|it| it.running.is_some());
        let mut containers = self.containers();
        containers.any(|container| runs(container) && !container.ready).then_some(self.name)
    }

    fn broken(&self, container: &ContainerStatus) -> Option<Fault> {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone()?;
        let message = waiting.message.clone().unwrap_or_default();
        let (pod, name) = (self.name.to_owned(), container.name.clone());
        if IMAGE.contains(&reason.as_str()) {
            return Some(Fault::Image { pod, container: name, reason, message });
        }
        if CONTAINER.contains(&reason.as_str()) {
            return Some(Fault::Container { pod, container: name, reason, message });
        }
        (reason == "CrashLoopBackOff").then(|| Fault::Crash {
            pod,
            container: name,
            restarts: container.restart_count,
            last: last(container),
        })
    }

    fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = self.pod.status.as_ref();
        let first = status.and_then(|status| status.init_container_statuses.as_deref());
        let then = status.and_then(|status| status.container_statuses.as_deref());
        first.unwrap_or_default().iter().chain(then.unwrap_or_default())
    }

    fn condition(&self, kind: &str, status: &str) -> Option<&PodCondition> {
        let conditions = self.pod.status.as_ref()?.conditions.as_deref()?;
        conditions.iter().find(|it| it.type_ == kind && it.status == status)
    }
}

/// The pods of the newest template: those that share its mark with the one that was made last. Where
/// nobody rewrites images, that one has the image that is wanted.
pub(super) fn newest<'v, 'a>(
    pods: &'v [PodView<'a>],
    container: &str,
    image: &str,
) -> Vec<&'v PodView<'a>> {
    let last = |wanted: &dyn Fn(&&PodView<'a>) -> bool| {
        pods.iter().filter(wanted).max_by_key(|pod| pod.created())
    };
    let Some(newest) = last(&|pod| pod.runs(container, image)).or_else(|| last(&|_| true)) else {
        return Vec::new();
    };
    pods.iter().filter(|pod| pod.template() == newest.template()).collect()
}

/// The pod without what a rollout does not look at: many are held at once.
pub(super) fn lean(mut pod: Pod) -> Pod {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        spec.affinity = None;
        spec.tolerations = None;
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten())
        {
            let (name, image) = (std::mem::take(&mut container.name), container.image.take());
            *container = Container { name, image, ..Container::default() };
        }
    }
    pod
}

/// How a container ended last.
fn last(container: &ContainerStatus) -> String {
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let Some(ended) = ended else { return String::new() };
    let how = match ended.signal.filter(|signal| *signal != 0) {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit code {}", ended.exit_code),
    };
    let reason = ended.reason.as_deref().filter(|reason| *reason != "Error");
    let message = ended.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
    [Some(how.as_str()), reason, message].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
