//! A site's own deploy program: all commands of `deploy-cli`, with a transport added.
//!
//! In a repository with a `deploy.toml`: `SITE_ROOT=/srv/sites own_binary deploy v2`. What is
//! `local` in the configuration is deployed by rsync into a directory; other hosts go over SSH.

#[path = "custom_transport.rs"]
#[expect(dead_code, reason = "that file is a program too")]
mod custom_transport;

use std::{env, process::ExitCode, sync::Arc};

use custom_transport::Rsync;
use deploy_cli::{DeployCli, error::CommandError};
use deploy_ssh::RunProcess;

fn main() -> ExitCode {
    DeployCli::new()
        .with_backend(|project, mut backend| {
            let Some(root) = env::var_os("SITE_ROOT") else {
                return Err(CommandError::usage("SITE_ROOT is not set")
                    .hint("it is the directory that holds one directory a target"));
            };
            let process = RunProcess::current()
                .map_err(|error| CommandError::because("learn who this process is", error))?;
            backend.transport = Arc::new(Rsync::new(root, &project.repo.top, process));
            Ok(backend)
        })
        .main()
}
