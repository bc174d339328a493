//! The `helm` command.

use std::{ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};

use deploy_core::backend::{BackendError, ErrorKind, Scope, Stream};
use deploy_core::model::Target;
use tokio::process::Command;

use super::place::HelmPlace;
use crate::failure::Effect;

/// How much is told of what helm said.
const SAID: usize = 4000;

/// Runs its arguments as a command, and ends that when its own standard input ends: when whoever holds the
/// other side has died. helm that is told so ends what it does, and leaves nothing pending.
const WATCHED: &str = r#"exec 3<&0 </dev/null
"$@" 3<&- &
work=$!
{ read -r _ <&3; kill 0; } >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$work"; code=$?
exec 2>/dev/null
kill "$watch"
exit "$code""#;
/// What a shell ends with when there is no such program.
const NO_PROGRAM: i32 = 127;
/// When helm's memory is looked through for what is not used any more, as Go has it: it ends before that is
/// worth its time, which is a quarter of what it takes to render a chart.
const COLLECTING: (&str, &str) = ("GOGC", "400");

/// How long before the end of a call helm is to give up waiting for hooks, so that it ends by itself.
const EARLIER: Duration = Duration::from_secs(5);

/// The `helm` command, and `helmfile`, for one release.
#[derive(Debug, Clone)]
pub(super) struct Helm {
    pub program: PathBuf,
    pub helmfile: PathBuf,
}

impl Helm {
    /// Runs helm with `words` about the release at `place`; it must succeed. One that changes
    /// something runs to its end: half of it is what leaves a release pending.
    ///
    /// # Errors
    /// `Rejected` with what it said; `TimedOut` when it takes too long, and it is killed;
    /// `Cancelled` only when it changes nothing.
    pub(super) async fn run<S: AsRef<OsStr>>(
        &self,
        (target, place): (&Target, &HelmPlace),
        words: &[S],
        effect: Effect,
        scope: &Scope,
        attempted: &str,
    ) -> Result<String, BackendError> {
        let cluster = place.cluster.options();
        let mut command = Command::new(&self.program);
        command.args(words).args(["--namespace", &place.namespace]);
        command.args(["--kube-context", &cluster.context]);
        if let Some(file) = &cluster.kubeconfig {
            command.arg("--kubeconfig").arg(file);
        }
        if effect == Effect::Changes {
            let span = scope.remaining().saturating_sub(EARLIER).as_secs().max(1);
            command.args(["--timeout", &format!("{span}s")]);
        }
        execute(command, target, effect, scope, attempted).await
    }

    /// Runs helmfile with `words` about the release at `place`, as [`run`](Self::run) does helm.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn run_helmfile<S: AsRef<OsStr>>(
        &self,
        (target, place): (&Target, &HelmPlace),
        words: &[S],
        effect: Effect,
        scope: &Scope,
        attempted: &str,
    ) -> Result<String, BackendError> {
        let cluster = place.cluster.options();
        let mut command = Command::new(&self.helmfile);
        command.arg("--helm-binary").arg(&self.program);
        command.args(["--kube-context", &cluster.context]).args(words);
        // Its own flag for that is young.
        if let Some(file) = &cluster.kubeconfig {
            command.env("KUBECONFIG", file);
        }
        for name in ["HELMFILE_ENVIRONMENT", "HELMFILE_KUBE_CONTEXT", "HELMFILE_NAMESPACE"] {
            command.env_remove(name);
        }
        execute(command, target, effect, scope, attempted).await
    }
}

async fn execute(
    command: Command,
    target: &Target,
    effect: Effect,
    scope: &Scope,
    attempted: &str,
) -> Result<String, BackendError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let failed = |error: &dyn std::fmt::Display| {
        BackendError::new(ErrorKind::NotFound, attempted)
            .with_source(format!("run {program}: {error}"))
            .with_hint("install it on the machine that deploys")
    };
    let mut command = match effect {
        Effect::Asks => command,
        Effect::Changes => watched(&command),
    };
    for (name, _) in std::env::vars_os() {
        // A driver, a namespace or a token of another place.
        if name.to_string_lossy().starts_with("HELM_KUBE")
            || name == "HELM_NAMESPACE"
            || name == "HELM_DRIVER"
        {
            command.env_remove(name);
        }
    }
    if std::env::var_os(COLLECTING.0).is_none() {
        command.env(COLLECTING.0, COLLECTING.1);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.stdin(if effect == Effect::Asks { Stdio::null() } else { Stdio::piped() });
    // Ctrl-C on a terminal is for us.
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let _alive = child.stdin.take();
    let output = tokio::select! {
        output = child.wait_with_output() => output.map_err(|error| failed(&error))?,
        () = tokio::time::sleep_until(scope.deadline) => {
            return Err(BackendError::new(ErrorKind::TimedOut, attempted)
                .with_source(format!("{program} did not end in time, and was killed")));
        }
        () = scope.cancel.cancelled(), if effect == Effect::Asks => {
            return Err(BackendError::new(ErrorKind::Cancelled, attempted));
        }
    };
    let complaint = discreet(&String::from_utf8_lossy(&output.stderr));
    if !complaint.is_empty() {
        scope.output.write(target, scope.stage, Stream::Stderr, complaint.as_bytes());
    }
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Some(NO_PROGRAM) if effect == Effect::Changes => Err(failed(&told(&complaint))),
        _ => Err(BackendError::new(ErrorKind::Rejected, attempted).with_source(told(&complaint))),
    }
}

/// The same command, which ends when this process does.
fn watched(command: &Command) -> Command {
    let command = command.as_std();
    let mut watched = Command::new("sh");
    watched.args(["-c", WATCHED, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => watched.env(name, value),
            None => watched.env_remove(name),
        };
    }
    watched
}

/// What helm says without what it quotes of values and of manifests, which may be secret: YAML's own errors quote
/// values (cannot unmarshal !!str `…`), and API servers the bytes around what they do not understand.
fn discreet(said: &str) -> String {
    let line = |line: &str| {
        let line = line.split("error found in #").next().unwrap_or_default();
        let parts = line.split('`').enumerate();
        let parts: Vec<&str> =
            parts.map(|(at, part)| if at % 2 == 0 { part } else { "…" }).collect();
        parts.join("`")
    };
    said.lines().map(|it| line(it) + "\n").collect()
}

/// Its complaint, without its warnings.
fn told(complaint: &str) -> String {
    let lines = complaint.lines().map(str::trim);
    let mut told = lines
        .filter(|line| !line.is_empty() && !line.starts_with("WARNING"))
        .collect::<Vec<_>>()
        .join("; ");
    if let Some((end, _)) = told.char_indices().nth(SAID) {
        told.truncate(end);
    }
    if told.is_empty() { "helm failed".to_owned() } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_quotes_is_not_told() {
        let said = "Error: UPGRADE FAILED: yaml: cannot unmarshal !!str `hunter2` into int\n\
                    Error: Secret in version \"v1\" cannot be handled: ReadString: expects \\\", error found in \
                    #10 byte of ...|: hunter2},|..., bigger context ...|{\"token\": hunter2}|...\n";
        let told = discreet(said);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("cannot unmarshal !!str `…` into int"), "{told}");
        assert!(told.contains("cannot be handled"), "{told}");
        assert_eq!(discreet(""), "");
    }
}
