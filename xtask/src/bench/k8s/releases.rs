//! Many releases of helm in one cluster: what it costs to learn what would change in all of them.

use std::{
    fs::File,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    row::Row,
    stage::{APP, Stage},
};
use crate::{
    Kubelet,
    bench::{
        bar::{Bar, Unit},
        figure::Figure,
        gauge::{self, Ended},
    },
    console::{self, TaskError},
    interrupt::Interrupt,
};

/// How many releases there are.
const RELEASES: usize = 26;
/// What is deployed, and what a plan is made for.
const FROM: &str = "v1.0.0";
const TO: &str = "v1.1.0";

/// A way to learn what would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plan,
    ByHand,
    DryRun,
    /// What no way does without: it alone, on all cores.
    Render,
}

impl Way {
    /// In the order of the table.
    const ALL: [Self; 4] = [Self::Plan, Self::ByHand, Self::DryRun, Self::Render];

    fn name(self) -> &'static str {
        match self {
            Self::Plan => "`deploy-cli plan`",
            Self::ByHand => "`helm get manifest`, `helm template`, `diff`, one after another",
            Self::DryRun => "`helm upgrade --dry-run`, one after another",
            Self::Render => "`helm template` alone, on all cores",
        }
    }
}

/// Measures each way `runs` times, in turn.
pub(super) fn measure(
    stage: &Stage<'_>,
    runs: usize,
    interrupt: &Interrupt,
) -> Result<(Vec<Row>, Vec<Bar>), TaskError> {
    console::headline(&format!("{RELEASES} releases in one cluster"));
    prepare(stage)?;
    let mut rows = Way::ALL.map(|way| Row::new(format!("{RELEASES} releases"), way.name()));
    for round in 0..=runs {
        for (way, row) in Way::ALL.into_iter().zip(&mut rows) {
            let (cost, ended) = gauge::cost_of(|| learn(stage, way, interrupt))?;
            println!(
                "{}: {}",
                way.name(),
                cost.get(Figure::Wall).map_or("–".into(), |it| Figure::Wall.show(it))
            );
            if ended.failed > 0 {
                let attempted = format!("learn what changes by {}", way.name());
                return Err(TaskError::Bench { attempted, said: stage.said() });
            }
            if interrupt.is_asked() {
                return Err(TaskError::Interrupted);
            }
            // The first round fills caches, those of helm's discovery too.
            if round > 0 {
                row.runs.push(cost);
            }
        }
    }
    let bars = bars(&rows);
    Ok((rows.into(), bars))
}

/// Deploys the first version to all.
fn prepare(stage: &Stage<'_>) -> Result<(), TaskError> {
    let mut sections = String::new();
    for name in names() {
        stage.namespace(&name)?;
        sections +=
            &stage.section(&name, &format!("namespace = \"{name}\"\nrelease = \"{name}\""))?;
    }
    let quoted: Vec<_> = names().map(|name| format!("\"{name}\"")).collect();
    stage.configure(&format!(
        "{sections}[helm]\nchart = \"chart\"\ntag = \"main_app.version\"\n\
         [[group]]\nname = \"all\"\ncanary = false\nclusters = [{}]\n",
        quoted.join(", ")
    ))?;
    // Its pods have to come up; afterwards it is not to disturb.
    let _kubelet = Kubelet::start(&[stage.kube.name()]);
    stage.run(stage.deploy_cli(&["deploy", FROM, "--yes"])?, 0)
}

/// The names of the releases, and of their namespaces.
fn names() -> impl Iterator<Item = String> {
    (1..=RELEASES).map(|number| format!("{APP}-{number}"))
}

fn learn(stage: &Stage<'_>, way: Way, interrupt: &Interrupt) -> Result<Ended, TaskError> {
    match way {
        Way::Plan => plan(stage, interrupt),
        Way::ByHand => {
            names().try_for_each(|name| by_hand(stage, &name)).map(|()| Ended::default())
        }
        Way::DryRun => names()
            .try_for_each(|name| {
                let words = ["upgrade", &name, "chart", "--dry-run", "--set", &set(TO)];
                let helm = stage.helm(&[&words[..], &["--namespace", &name]].concat())?;
                stage.run(helm, 0)
            })
            .map(|()| Ended::default()),
        Way::Render => render(stage),
    }
}

fn set(tag: &str) -> String {
    format!("main_app.version={tag}")
}

/// Makes the plan, and makes sure that it has the change of each release.
fn plan(stage: &Stage<'_>, interrupt: &Interrupt) -> Result<Ended, TaskError> {
    let mut command = stage.deploy_cli(&["plan", TO, "--json"])?;
    let mut ended = gauge::run_watched(&mut command, interrupt)?;
    let changes = stage.said().matches(&format!("image: {APP}:{TO}")).count();
    ended.failed += usize::from(changes != RELEASES);
    Ok(ended)
}

/// What people do without a deployment tool.
fn by_hand(stage: &Stage<'_>, name: &str) -> Result<(), TaskError> {
    let (deployed, rendered) = (stage.file("deployed"), stage.file("rendered"));
    let into = |mut command: Command, file: &std::path::Path| {
        command.stdout(File::create(file).map_err(TaskError::io("write a manifest"))?);
        stage.run(command, 0)
    };
    into(stage.helm(&["get", "manifest", name, "--namespace", name])?, &deployed)?;
    into(template(stage, name)?, &rendered)?;
    let mut diff = Command::new("diff");
    diff.arg("-u").arg(deployed).arg(rendered).stdout(std::process::Stdio::null());
    // They differ.
    stage.run(diff, 1)
}

fn template(stage: &Stage<'_>, name: &str) -> Result<Command, TaskError> {
    stage.helm(&["template", name, "chart", "--namespace", name, "--set", &set(TO)])
}

/// Renders all, as many at once as there are cores.
fn render(stage: &Stage<'_>) -> Result<Ended, TaskError> {
    let names: Vec<_> = names().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
            let mut command = template(stage, name)?;
            command.stdout(std::process::Stdio::null());
            stage.run(command, 0)?;
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
    .map(|()| Ended::default())
}

fn bars(rows: &[Row]) -> Vec<Bar> {
    let wall = |way: Way| {
        let row = rows.iter().find(|row| row.way == way.name());
        row.and_then(|row| row.median().get(Figure::Wall)).unwrap_or(f64::NAN)
    };
    [(Way::ByHand, "get, template and diff"), (Way::DryRun, "dry runs")]
        .map(|(way, what)| Bar {
            what: format!("{RELEASES} releases: a plan's time, of that of {what}"),
            measured: wall(Way::Plan) / wall(way),
            limit: 0.25,
            unit: Unit::Times,
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figure::Cost;

    #[test]
    fn a_plan_is_held_against_both_ways_by_hand() {
        let rows = [(Way::Plan, 1.0), (Way::ByHand, 5.0), (Way::DryRun, 2.0)].map(|(way, wall)| {
            let mut cost = Cost::default();
            cost.set(Figure::Wall, wall);
            let mut row = Row::new("26 releases", way.name());
            row.runs.push(cost);
            row
        });
        let bars = bars(&rows);
        assert_eq!((bars[0].measured, bars[0].is_met()), (0.2, true));
        assert_eq!((bars[1].measured, bars[1].is_met()), (0.5, false));
    }
}
