//! Pods without a kubelet: what one would say of them is said here.

use serde_json::{Value, json};

use super::{Kube, KubeError};

/// How a pod is made to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodLook {
    /// It runs, and is ready.
    Ready,
    /// It runs, and is not ready.
    Unready,
    /// Its image cannot be pulled.
    NoImage,
    /// Its container ended again and again.
    Crashing,
    /// Its container is being made.
    Starting,
    /// It runs and is ready, after its container ended once.
    Revived,
}

impl Kube {
    /// Makes all pods look `look` whose image contains `image`, and that do not look so yet.
    /// Returns how many.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn show_pods(&self, image: &str, look: PodLook) -> Result<usize, KubeError> {
        self.show(|of| of.contains(image).then_some(look))
    }

    /// Makes each pod look as the first of `looks` whose text its image contains; the others, ready.
    pub(super) fn show_all_pods(&self, looks: &[(String, PodLook)]) -> Result<usize, KubeError> {
        let look = |image: &str| looks.iter().find(|(of, _)| image.contains(of.as_str()));
        self.show(|image| Some(look(image).map_or(PodLook::Ready, |(_, look)| *look)))
    }

    fn show(&self, look: impl Fn(&str) -> Option<PodLook>) -> Result<usize, KubeError> {
        let list = self.get("/api/v1/pods")?;
        let (mut patches, now) = (Vec::new(), now());
        for pod in list["items"].as_array().into_iter().flatten() {
            let container = &pod["spec"]["containers"][0];
            let Some(look) = container["image"].as_str().and_then(&look) else { continue };
            if looks(pod, look) || pod["metadata"].get("deletionTimestamp").is_some() {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, name) =
                (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
            patches.push((path, json!({ "status": status(container, look, &now) })));
        }
        self.patch_all(&patches)?;
        Ok(patches.len())
    }
}

/// Whether it looks so already.
fn looks(pod: &Value, look: PodLook) -> bool {
    let container = &pod["status"]["containerStatuses"][0];
    let waits = |reason: &str| container["state"]["waiting"]["reason"] == reason;
    match look {
        PodLook::Ready => container["ready"] == true,
        PodLook::Unready => {
            container["ready"] == false && container["state"].get("running").is_some()
        }
        PodLook::Revived => container["ready"] == true && container["restartCount"] == 1,
        PodLook::NoImage => waits("ImagePullBackOff"),
        PodLook::Starting => waits("ContainerCreating"),
        PodLook::Crashing => waits("CrashLoopBackOff"),
    }
}

fn status(container: &Value, look: PodLook, now: &str) -> Value {
    let (name, image) = (&container["name"], &container["image"]);
    let condition = |kind: &str, is_so: bool, reason: &str| {
        let status = if is_so { "True" } else { "False" };
        json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": now })
    };
    let conditions = |is_ready, reason| {
        json!([
            condition("Ready", is_ready, reason),
            condition("ContainersReady", is_ready, reason)
        ])
    };
    let waiting = |reason: &str, message: &str, restarts: u32, last: Value| {
        json!({
            "phase": "Pending",
            "containerStatuses": [{
                "name": name, "image": image, "imageID": "", "ready": false,
                "restartCount": restarts, "lastState": last,
                "state": { "waiting": { "reason": reason, "message": message } },
            }],
            "conditions": conditions(false, "ContainersNotReady"),
        })
    };
    let running = |is_ready: bool, restarts: u32, last: Value| {
        json!({
            "phase": "Running", "podIP": "10.1.0.1", "startTime": now,
            "containerStatuses": [{
                "name": name, "image": image, "imageID": "x", "ready": is_ready,
                "restartCount": restarts, "lastState": last,
                "state": { "running": { "startedAt": now } },
            }],
            "conditions": conditions(is_ready, ""),
        })
    };
    let failed = json!({ "terminated": {
        "exitCode": 2, "reason": "Error", "startedAt": now, "finishedAt": now,
    }});
    match look {
        PodLook::Ready => running(true, 0, json!({})),
        PodLook::Unready => running(false, 0, json!({})),
        PodLook::Revived => running(true, 1, failed),
        PodLook::Starting => waiting("ContainerCreating", "", 0, json!({})),
        PodLook::NoImage => waiting("ImagePullBackOff", "Back-off pulling image", 0, json!({})),
        PodLook::Crashing => {
            waiting("CrashLoopBackOff", "back-off restarting failed container", 3, failed)
        }
    }
}

/// The time as the API writes it.
fn now() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default()
}
