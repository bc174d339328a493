//! A rollout of many pods: what watching it costs, and how soon a broken image is told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    row::Row,
    stage::{APP, Stage},
};
use crate::{
    PodLook,
    bench::{
        bar::{Bar, Unit},
        figure::{Cost, Figure},
        gauge,
    },
    console::{self, TaskError},
    interrupt::Interrupt,
};

/// How many pods there are.
const PODS: usize = 500;
/// The one that breaks.
const TAG: &str = "v1.1.0";
/// How long the controllers may take to make all pods.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long all of them are watched.
const WATCHED: Duration = Duration::from_secs(5);
/// How long the failure may take to be told: more than the bar, lest nothing is measured.
const TOLD: Duration = Duration::from_secs(30);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(5);

const REST: &str = "\
[workload]
name = \"deployment/mockbase\"
[[group]]
name = \"all\"
clusters = [\"crowd\"]
[[check]]
name = \"rollout\"
rollout = true
timeout = \"10m\"
";

/// Rolls a Deployment of many pods, breaks one of them, and looks at how deploy-cli fares.
pub(super) fn measure(
    stage: &Stage<'_>,
    interrupt: &Interrupt,
) -> Result<(Row, Vec<Bar>), TaskError> {
    console::headline(&format!("a rollout of {PODS} pods"));
    let crowd = Crowd { stage, interrupt };
    crowd.prepare()?;
    let mut child = stage
        .deploy_cli(&["deploy", TAG, "--yes"])?
        .spawn()
        .map_err(TaskError::io("run deploy-cli"))?;
    let watched = crowd.watch(&mut child);
    // It would go back now, which is not what is measured.
    let _ = child.kill();
    child.wait().map_err(TaskError::io("wait for deploy-cli"))?;
    let (cost, told) = watched?;
    let mut row = Row::new(format!("a rollout of {PODS} pods, watched"), "`deploy-cli deploy`");
    let memory = cost.get(Figure::Memory).unwrap_or(f64::NAN);
    row.runs.push(cost);
    let bar =
        |what: &str, measured, limit, unit| Bar { what: what.to_owned(), measured, limit, unit };
    let bars = vec![
        bar(
            "a broken image is told, after the API shows it",
            told.as_secs_f64(),
            5.0,
            Unit::Seconds,
        ),
        bar(&format!("memory while {PODS} pods are watched"), memory, 150e6, Unit::Bytes),
    ];
    Ok((row, bars))
}

struct Crowd<'a> {
    stage: &'a Stage<'a>,
    interrupt: &'a Interrupt,
}

impl Crowd<'_> {
    /// Makes the Deployment, with pods that are ready.
    fn prepare(&self) -> Result<(), TaskError> {
        self.stage.namespace(APP)?;
        self.stage.configure(&format!("{}{REST}", self.stage.section("crowd", "")?))?;
        let labels = json!({ "app": APP });
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": APP },
            "spec": {
                "replicas": PODS,
                "selector": { "matchLabels": labels },
                // All at once: the most that there is to watch.
                "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "100%" } },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": APP, "image": format!("{}:v1.0.0", self.stage.image()) }] },
                },
            },
        });
        self.stage.kube.create(&format!("/apis/apps/v1/namespaces/{APP}/deployments"), &object)?;
        self.until(
            PATIENCE,
            "wait for the first pods",
            || Ok(self.pods(":v1.0.0")?.len() >= PODS),
        )?;
        self.stage.kube.show_pods(":v1.0.0", PodLook::Ready)?;
        Ok(())
    }

    /// What `child` costs while all pods are there and start, and how long after one of them shows that
    /// its image cannot be pulled the journal has it.
    fn watch(&self, child: &mut Child) -> Result<(Cost, Duration), TaskError> {
        let of = format!(":{TAG}");
        self.until(PATIENCE, "wait for the new pods", || Ok(self.pods(&of)?.len() >= PODS))?;
        self.stage.kube.show_pods(&of, PodLook::Starting)?;
        let (begun, before) = (Instant::now(), cpu(child));
        self.until(WATCHED * 2, "watch", || Ok(begun.elapsed() >= WATCHED))?;
        let mut cost = Cost::default();
        cost.set(Figure::Wall, begun.elapsed().as_secs_f64());
        if let (Some(before), Some(after)) = (before, cpu(child)) {
            cost.set(Figure::DeployerCpu, after - before);
        }
        let pods = self.pods(&of)?;
        let pod = pods.last().map_or("", String::as_str);
        let path = format!("/api/v1/namespaces/{APP}/pods/{pod}/status");
        let broken = json!({ "status": { "containerStatuses": [{
            "name": APP, "image": self.stage.image(), "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } },
        }] } });
        self.stage.kube.patch(&path, &broken)?;
        let shown = Instant::now();
        self.until(TOLD, "find the failure in the journal", || {
            Ok(journals(&self.stage.state()).iter().any(|text| text.contains("ImagePullBackOff")))
        })?;
        let told = shown.elapsed();
        if let Some(memory) = gauge::memory_of(child.id()) {
            cost.set(Figure::Memory, memory as f64);
        }
        Ok((cost, told))
    }

    /// The names of the pods whose image contains `image`.
    fn pods(&self, image: &str) -> Result<Vec<String>, TaskError> {
        let list = self.stage.kube.get(&format!("/api/v1/namespaces/{APP}/pods"))?;
        let pods = list["items"].as_array().into_iter().flatten();
        let ours = pods.filter(|pod| {
            let of = &pod["spec"]["containers"][0]["image"];
            of.as_str().is_some_and(|of| of.contains(image))
        });
        Ok(ours.filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned())).collect())
    }

    fn until(
        &self,
        within: Duration,
        attempted: &str,
        is_so: impl Fn() -> Result<bool, TaskError>,
    ) -> Result<(), TaskError> {
        let begun = Instant::now();
        while !is_so()? {
            if self.interrupt.is_asked() {
                return Err(TaskError::Interrupted);
            }
            if begun.elapsed() > within {
                let said = self.stage.said();
                return Err(TaskError::Bench { attempted: attempted.to_owned(), said });
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// The CPU that a process has used, in seconds.
fn cpu(child: &Child) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    ticks(&stat).map(|ticks| ticks as f64 / 100.0)
}

/// User's and system's time in `/proc/PID/stat`, in hundredths of a second.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    Some(user + fields.next()?.parse::<u64>().ok()?)
}

/// The texts of all journals below `directory`.
fn journals(directory: &Path) -> Vec<String> {
    let mut left: Vec<PathBuf> = vec![directory.to_owned()];
    let mut found = Vec::new();
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.ends_with("journal.jsonl") {
                found.extend(fs::read_to_string(path));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_behind_its_name() {
        let stat = "12 (a ) b) S 1 1 1 0 -1 4194304 10 20 30 40 250 17 0 0 20 0 3 0 99";
        assert_eq!(ticks(stat), Some(267));
        assert_eq!(ticks("12 (a"), None);
    }
}
