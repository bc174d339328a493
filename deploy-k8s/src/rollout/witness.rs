//! Pods that were seen ready, by which a crash between two looks is noticed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use deploy_core::record::RunId;

use super::{fault::Fault, pods::PodView};

/// How many containers are remembered.
const MOST: usize = 20_000;

/// How often each container had been restarted when its pod was first seen ready, in one run.
///
/// A container that crashes before its pod is ready may have waited for something, and is forgiven;
/// one that was ready and crashes is broken, though it may be up again by the next look.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    run: Option<RunId>,
    /// By the uid of the pod and the name of the container.
    restarts: BTreeMap<(String, String), i32>,
}

impl Witness {
    /// Looks at `pods` in the run `run`, and returns the first container that was ready and has crashed
    /// since.
    pub(super) fn relapse(&self, run: &RunId, pods: &[&PodView<'_>]) -> Option<Fault> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.run.as_ref() != Some(run) {
            *memory = Memory { run: Some(run.clone()), restarts: BTreeMap::new() };
        }
        let mut relapse = None;
        for pod in pods {
            let Some(uid) = pod.uid() else { continue };
            for (container, restarts) in pod.restarts() {
                let key = (uid.to_owned(), container.to_owned());
                match memory.restarts.get(&key) {
                    Some(before) if restarts > *before && relapse.is_none() => {
                        relapse = pod.relapse(container, restarts - before);
                    }
                    Some(_) => {}
                    None if pod.is_ready() && memory.restarts.len() < MOST => {
                        memory.restarts.insert(key, restarts);
                    }
                    None => {}
                }
            }
        }
        relapse
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;

    fn pod(is_ready: bool, restarts: u32, ended: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "mathoid-1", "uid": "u1" },
            "spec": { "containers": [{ "name": "main", "image": "r/mathoid:v2" }] },
            "status": {
                "conditions": [{ "type": "Ready", "status": if is_ready { "True" } else { "False" } }],
                "containerStatuses": [{
                    "name": "main", "image": "r/mathoid:v2", "imageID": "", "ready": is_ready,
                    "restartCount": restarts, "lastState": { "terminated": ended },
                }],
            },
        }))
        .unwrap()
    }

    fn told(witness: &Witness, run: &str, pod: &Pod) -> Option<String> {
        let view = PodView::of(pod).unwrap();
        let fault = witness.relapse(&RunId::new(run).unwrap(), &[&view]);
        fault.map(|fault| fault.to_string())
    }

    #[test]
    fn a_crash_after_a_pod_was_ready_is_noticed_and_one_before_is_not() {
        let failed = || json!({ "exitCode": 2, "reason": "Error" });
        let looks = |looks: &[Pod]| {
            let witness = Witness::default();
            looks.iter().fold(None, |_, pod| told(&witness, "r1", pod))
        };
        let ready = || pod(true, 0, Value::Null);
        let crash = "main was ready and has crashed 1 time since: exit code 2";
        assert_eq!(looks(&[ready(), pod(true, 1, failed())]).as_deref(), Some(crash));
        assert_eq!(looks(&[ready(), pod(false, 1, failed())]).as_deref(), Some(crash));
        // It is told at each look.
        let twice = [ready(), pod(true, 1, failed()), pod(true, 1, failed())];
        assert_eq!(looks(&twice).as_deref(), Some(crash));
        // While it started.
        assert_eq!(looks(&[pod(false, 0, Value::Null), pod(true, 1, failed())]), None);
        assert_eq!(looks(&[pod(true, 3, failed()), pod(true, 3, failed())]), None);
        // It was killed for its memory, by a probe, or by nobody.
        let killed = json!({ "exitCode": 137, "reason": "OOMKilled" });
        assert!(looks(&[ready(), pod(true, 1, killed)]).unwrap().contains("OOMKilled"));
        let by_itself = json!({ "exitCode": 0, "reason": "Completed" });
        assert_eq!(looks(&[ready(), pod(true, 1, by_itself)]), None);
        // Its node went down.
        let unknown = json!({ "exitCode": 255, "reason": "Unknown" });
        assert_eq!(looks(&[ready(), pod(true, 1, unknown)]), None);
    }

    #[test]
    fn each_run_begins_anew() {
        let witness = Witness::default();
        let crashed = pod(true, 1, json!({ "exitCode": 2 }));
        assert_eq!(told(&witness, "r1", &pod(true, 0, Value::Null)), None);
        assert_eq!(told(&witness, "r2", &crashed), None, "it was not this run that saw it ready");
        assert_eq!(told(&witness, "r2", &crashed), None);
    }
}
