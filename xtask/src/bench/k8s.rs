//! What plans and rollouts in a Kubernetes cluster cost.

use std::{fs, path::Path, process::ExitCode};

use serde_json::json;

use super::{Options, bar::Bar, machine, publish, table};
use crate::{
    Kube,
    console::{self, TaskError},
    interrupt::Interrupt,
    kube, workspace,
};

mod crowd;
mod releases;
mod row;
mod stage;

use row::Row;
use stage::Stage;

/// The marker of its tables.
const MARK: &str = "bench k8s";

/// Measures; succeeds when all bars are met.
pub(super) fn run(options: &Options, interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
    let page = workspace::root().join("docs/performance.md");
    if options.write {
        publish::check(&page, MARK)?;
    }
    kube::build(interrupt)?;
    let program = match &options.with {
        Some(program) => fs::canonicalize(program).map_err(TaskError::io("find the program"))?,
        None => {
            console::headline("building deploy-cli");
            workspace::build_deploy_cli(&["--release"], interrupt)?
        }
    };
    Kube::sweep()?;
    let stage = Stage::new(&program, &["v1.0.0", "v1.1.0"])?;
    let (rows, bars) = measure(&stage, usize::from(options.runs), interrupt)?;
    console::headline("medians");
    let text = told(&rows, &bars, &stage.kube.helm());
    println!("{}", text.trim_end());
    if let Some(path) = &options.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        let text = format!("{:#}\n", json!({ "rows": rows, "bars": table::bars_json(&bars) }));
        fs::write(path, text).map_err(TaskError::io(format!("write {}", path.display())))?;
    }
    if options.write {
        publish::write(&page, MARK, &text)?;
    }
    let all_met = bars.iter().all(Bar::is_met);
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(
    stage: &Stage<'_>,
    runs: usize,
    interrupt: &Interrupt,
) -> Result<(Vec<Row>, Vec<Bar>), TaskError> {
    let (mut rows, mut bars) = releases::measure(stage, runs, interrupt)?;
    let (row, of_crowd) = crowd::measure(stage, interrupt)?;
    rows.push(row);
    bars.extend(of_crowd);
    Ok((rows, bars))
}

/// All figures and bars, and where they are from.
fn told(rows: &[Row], bars: &[Bar], helm: &Path) -> String {
    let helm = machine::first_line(&helm.display().to_string(), &["version", "--short"]);
    format!(
        "Measured on {}, helm {helm}, against a cluster (1.20) on the same machine.\n\n{}\n{}",
        machine::describe(),
        row::shown(rows),
        table::bars(bars)
    )
}
