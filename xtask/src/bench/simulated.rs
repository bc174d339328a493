//! What the engine itself costs with ten thousand targets in memory.

use super::bar::{Bar, Unit};
use crate::{
    console::{self, TaskError, expect},
    workspace,
};

/// How many targets there are.
const TARGETS: &str = "10000";

/// Runs the example of `deploy-core` that simulates a fleet.
pub(super) fn measure() -> Result<Vec<Bar>, TaskError> {
    let mut command = workspace::cargo("run");
    command.args(["--release", "--quiet", "--package", "deploy-core", "--features", "testing"]);
    command.args(["--example", "simulated", "--", TARGETS]);
    console::announce(&command);
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().map_err(TaskError::io("run the simulation"))?;
    expect(&command, output.status.code(), 0)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    bars(&said).ok_or(TaskError::Bench { attempted: "read the simulation's figures".into(), said })
}

fn bars(said: &str) -> Option<Vec<Bar>> {
    let figures: serde_json::Value = serde_json::from_str(said.lines().last()?).ok()?;
    let bar = |what: &str, measured, limit, unit| Bar {
        what: format!("{TARGETS} simulated targets: {what}"),
        measured,
        limit,
        unit,
    };
    Some(vec![
        bar("CPU", figures["cpu_s"].as_f64()?, 2.0, Unit::Seconds),
        bar("memory", figures["peak_mb"].as_f64()? * f64::from(1 << 20), 300e6, Unit::Bytes),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_last_line_is_read() {
        let bars = bars("warming up\n{\"cpu_s\":1.5,\"peak_mb\":400.0,\"wall_s\":9.0}\n").unwrap();
        assert_eq!(bars[0].measured, 1.5);
        assert!(bars[0].is_met() && !bars[1].is_met());
        assert!(super::bars("nothing of the kind").is_none());
    }
}
