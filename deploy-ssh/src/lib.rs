//! Hosts over SSH as targets of deploy, git as the source of their versions.
//!
//! - `git`: the repository that versions come from. `pack`: what hosts lack of a version, packed
//!   once and sent to all.
//! - [`session`]: one connection a host, and steps of shell on it. Public, for whoever wants to run
//!   commands of their own.
//! - `template`: files of a release that are rendered by environment, group and host.
//! - `transport`, with `layout`, `state` and `claim`: what lies on a host, and how a version gets
//!   there, becomes live, and is told to be good.
//! - `restart`, `check` and `step`: what is done around the switch, and what is asked after it.
//!   `command`: what a deployer runs on hosts beside all that.
//!
//! A target named `local` is this machine, without SSH.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod archive;
mod cache;
mod check;
mod claim;
mod command;
mod git;
mod layout;
mod memo;
mod pack;
mod program;
mod restart;
mod scratch;
pub mod session;
mod state;
mod step;
mod surroundings;
mod template;
mod told;
mod transport;

pub use archive::ArchiveOptions;
pub use check::{
    Authorities, AuthoritiesError, CheckUrl, CheckUrlError, CommandCheck, HttpCheck,
    HttpExpectation, HttpFrom, HttpHeader, HttpHeaderError, HttpMethod, HttpMethodError,
    HttpRequest, JsonPlace, JsonPlaceError, LogCheck, LogSource, LogSourceError, LogWish,
    NrpeCheck, NrpeCommand, NrpeCommandError, Pattern, PatternError, PortCheck, ScriptCheck,
    ScriptPathError, ServiceCheck,
};
pub use claim::RunProcess;
pub use command::{NoCommandError, RemoteCommand, Said};
pub use git::{GitOptions, GitSource};
pub use layout::{BuildStep, Layout, LayoutError};
pub use restart::{Method, RestartOptions, ServiceName, ServiceNameError, ServiceRestarter};
pub use step::CommandStep;
pub use surroundings::Surroundings;
pub use template::{Place, Template, TemplateError, Templates, Variables};
pub use transport::{
    Adopt, Adoption, FetchMethod, Found, GiveBack, Held, Identity, PullUrl, PullUrlError, Record,
    ReleaseSize, SshTransport, TransportExaminer, What,
};
