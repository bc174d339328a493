//! The ready deployment pipeline: configuration, wiring, commands, reporters.
//!
//! The chapters stand in the order in which a command passes them:
//!
//! 1. [`args`]: the command line. [`config`], [`hosts`]: what `deploy.toml` says.
//!    [`completion`]: what a shell offers for it.
//! 2. [`repo`], [`who`], [`context`]: where the person stands, and who that is.
//! 3. [`wire`]: from the configuration to the engine's groups, strategy and pipeline.
//! 4. [`state`]: the lock, and where runs are kept.
//! 5. [`commands`]: one file a command. [`saved`]: plans that are kept for later.
//! 6. [`report`], [`notify`], [`ask`], [`signals`], [`echo`]: how a run meets people.
//!
//! A site builds its own binary with [`DeployCli`]:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     deploy_cli::DeployCli::new()
//!         .with_backend(|_project, backend| Ok(backend)) // another transport, more checks
//!         .main()
//! }
//! ```

pub mod args;
pub mod ask;
pub mod commands;
pub mod completion;
pub mod config;
pub mod context;
pub mod display;
pub mod echo;
pub mod error;
pub mod hosts;
pub mod notify;
pub mod observers;
pub mod paragraph;
pub mod reference;
pub mod repo;
pub mod report;
pub mod saved;
pub mod signals;
pub mod state;
pub mod table;
pub mod time;
pub mod ui;
pub mod who;
pub mod wire;

use std::{ffi::OsString, panic::AssertUnwindSafe, process::ExitCode, sync::Arc};

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use deploy_core::{record::Exit, run::Backend};

use crate::{
    args::Cli, context::Context, context::Project, error::CommandError, observers::Touched, ui::Ui,
    wire::Customize,
};

/// The program, which a site may extend before it runs.
#[derive(Clone)]
pub struct DeployCli {
    customize: Arc<Customize>,
}

impl Default for DeployCli {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for DeployCli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeployCli").finish_non_exhaustive()
    }
}

impl DeployCli {
    /// The program as it is.
    pub fn new() -> Self {
        Self { customize: Arc::new(|_, backend| Ok(backend)) }
    }

    /// Lets `customize` change the backend that the configuration makes.
    #[must_use]
    pub fn with_backend<F>(mut self, customize: F) -> Self
    where
        F: Fn(&Project, Backend) -> Result<Backend, CommandError> + Send + Sync + 'static,
    {
        self.customize = Arc::new(customize);
        self
    }

    /// Runs the command line of this process.
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Runs a command line; the first of `arguments` is the program's name.
    pub fn run(self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        if completes(&arguments) {
            return ExitCode::SUCCESS;
        }
        let cli = match Cli::try_parse_from(arguments) {
            Ok(cli) => cli,
            Err(error) => {
                // Help goes to a reader that may be gone; then there is nobody to tell.
                let _ = error.print();
                let usage = error.use_stderr();
                return ExitCode::from(if usage { Exit::Usage.code() } else { 0 });
            }
        };
        log(cli.global.verbose);
        let ui = Ui::new(cli.global.color, cli.global.verbose);
        let touched = Touched::default();
        let context = Context {
            cwd: std::env::current_dir().unwrap_or_default(),
            global: cli.global,
            ui: ui.clone(),
            customize: self.customize,
            touched: touched.clone(),
        };
        // A panic unwinds through the run, which gives up its lock; what is left is the exit code.
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| block_on(&context, &cli.command)));
        match ran {
            Ok(Ok(exit)) => ExitCode::from(exit.code()),
            Ok(Err(error)) => {
                error.print(&ui);
                ExitCode::from(error.kind().exit().code())
            }
            Err(_) if touched.is_set() => {
                ui.error_prose("hint: `deploy-cli status` says what each host serves now");
                ExitCode::from(Exit::Mixed.code())
            }
            Err(_) => ExitCode::from(Exit::Refused.code()),
        }
    }
}

/// Answers a shell that asks how a command line could go on. What goes wrong is told to nobody: it
/// would be written into the line that a person is writing.
fn completes(arguments: &[OsString]) -> bool {
    let asked = CompleteEnv::with_factory(Cli::command)
        .var(completion::VARIABLE)
        .bin(completion::PROGRAM)
        .completer(completion::PROGRAM);
    let directory = std::env::current_dir().ok();
    asked.try_complete(arguments.iter().cloned(), directory.as_deref()).unwrap_or(true)
}

fn block_on(context: &Context, command: &args::Command) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CommandError::because("start", error))?;
    let ran = runtime.block_on(commands::dispatch(context, command));
    // A thread that still waits for an answer must not keep the process.
    runtime.shutdown_background();
    ran
}

/// The libraries' own log, for whoever looks for a mistake: `DEPLOY_LOG=deploy_ssh=debug`.
fn log(verbose: bool) {
    let default = if verbose { "warn" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DEPLOY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // A program that embeds this one may have set its own.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
