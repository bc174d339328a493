//! Deploys to a fleet in memory, and prints what that cost the engine as one line of JSON.
//!
//! ```sh
//! cargo run --release -p deploy-core --features testing --example simulated -- 10000
//! ```
//!
//! Every call of a target takes a while, as it would over a network; nothing else is simulated:
//! the journal is written and synced, in a temporary file. The figures include the simulation.

#![expect(clippy::print_stdout, reason = "printing its figures is what this program does")]

use std::{error::Error, fs, sync::Arc, time::Duration};

use deploy_core::{
    backend::{Answer, Ask, Question},
    model::{App, Group, GroupName, Target, Version, VersionId},
    plan::{Goal, PlanRequest, Strategy},
    record::{Command, Exit, FORMAT, Journal, RunId, RunInfo},
    run::{Allowances, Begin, Pipeline, Stop},
    testing::Fleet,
};
use tokio::time::Instant;

/// How long each call of a target takes.
const LATENCY: Duration = Duration::from_millis(50);
/// How many targets prove a version for the others.
const CANARIES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).unwrap_or_else(|| "10000".to_owned()).parse()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(deploy(count))
}

async fn deploy(count: usize) -> Result<(), Box<dyn Error>> {
    let (old, new) = (version("v1")?, version("v2")?);
    let targets: Result<Vec<Target>, _> =
        (0..count).map(|number| Target::new(format!("h{number}"))).collect();
    let targets = targets?;
    let fleet = Fleet::new();
    fleet.without_record();
    fleet.set_latency(LATENCY);
    for target in &targets {
        fleet.install(target, &old);
    }
    let (canaries, others) = targets.split_at(CANARIES.min(count / 2));
    let mut all = Group::new(GroupName::new("all")?, others.to_vec());
    all.batch = "10%".parse()?;
    let mut groups = vec![Group::new(GroupName::new("canary")?, canaries.to_vec()), all];
    groups.retain(|group| !group.targets.is_empty());
    let request = PlanRequest {
        app: App::new("simulated")?,
        environment: None,
        goal: Goal::Deploy(new),
        groups,
        strategy: Strategy::default(),
        redeploy: false,
        restarts: Vec::new(),
        checks: Vec::new(),
        steps: Vec::new(),
    };

    let journal = Journal::new(tempfile::tempfile()?);
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let mut run = Pipeline::new(fleet.backend()).begin(Begin {
        info: info()?,
        lock: None,
        observers: vec![Box::new(journal)],
        ask: Arc::new(Yes),
        stop: Stop::new(),
        on_complete: None,
    });
    let plan = match run.plan(&request, Allowances::default()).await {
        Ok(plan) => plan,
        Err(refusal) => return Err(format!("refused: {}", refusal.reason).into()),
    };
    let summary = run.execute(plan).await;
    let figures = serde_json::json!({
        "targets": count,
        "deployed": summary.counts().deployed,
        "cpu_s": cpu_seconds()? - cpu,
        "peak_mb": peak_megabytes()?,
        "wall_s": began.elapsed().as_secs_f64(),
    });
    println!("{figures}");
    match summary.exit {
        Some(Exit::Complete) => Ok(()),
        other => Err(format!("the run ended as {other:?}").into()),
    }
}

/// Goes on, always.
#[derive(Debug)]
struct Yes;

#[async_trait::async_trait]
impl Ask for Yes {
    async fn ask(&self, _: &Question) -> Answer {
        Answer::Yes
    }
}

fn version(id: &str) -> Result<Version, Box<dyn Error>> {
    Ok(Version { id: VersionId::new(id)?, name: None })
}

fn info() -> Result<RunInfo, Box<dyn Error>> {
    Ok(RunInfo {
        format: FORMAT,
        run: RunId::new("simulated")?,
        app: App::new("simulated")?,
        environment: None,
        command: Command::Deploy,
        who: "somebody".to_owned(),
        host: "somewhere".to_owned(),
        pid: std::process::id(),
        why: None,
        tool: "simulated".to_owned(),
        saved_plan: None,
    })
}

/// The processor time that this process has taken, all its threads together.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    // Linux tells it in ticks of a hundredth of a second, whatever the machine.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let ticks: Result<Vec<f64>, _> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / TICKS)
}

/// The most memory that this process has had at a time.
fn peak_megabytes() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let line = line.ok_or("/proc/self/status tells no peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
