//! The domain and the engine of deploy: brings a version of a service onto a fleet, canary first,
//! checks it, and brings the old one back when it must.
//!
//! # Chapters
//!
//! They stand in the order in which a deploy happens, and each imports only from those
//! above it (and the plain types of [`plan`] and [`record`] that the traits speak in):
//!
//! 1. [`model`]: what is deployed, and where to.
//! 2. [`plan`]: what will be done, decided before anything moves.
//! 3. [`backend`]: the questions to the outside world, as traits.
//! 4. [`record`]: what happened, as events, journal and summary.
//! 5. [`run`]: the engine.
//!
//! # The story of a deploy
//!
//! Somebody wants version `v2` on three hosts. What is wanted is a [`PlanRequest`]; who can bring it
//! there is a [`Backend`]: a [`Transport`], and what restarts and checks the service. Here the hosts
//! are a [`Fleet`] in memory, which comes with the feature `testing`; with `deploy-ssh` they are real.
//!
//! ```
//! use deploy_core::{
//!     model::{App, Group, GroupName, Target, Version, VersionId},
//!     plan::{Goal, PlanRequest},
//!     record::{Clock, Command, Exit, RunId, RunInfo, SystemClock},
//!     run::{Begin, Pipeline},
//!     testing::Fleet,
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [h1, h2, h3] = ["h1", "h2", "h3"].map(|name| Target::new(name).unwrap());
//! let version = |id: &str| Version { id: VersionId::new(id).unwrap(), name: None };
//! let fleet = Fleet::new();
//! for host in [&h1, &h2, &h3] {
//!     fleet.install(host, &version("v1"));
//! }
//!
//! // One host proves the version for the others.
//! let groups = vec![
//!     Group::new(GroupName::new("canary")?, vec![h1.clone()]),
//!     Group::new(GroupName::new("rest")?, vec![h2, h3]),
//! ];
//! let app = App::new("shop")?;
//! let request = PlanRequest::new(app.clone(), Goal::Deploy(version("v2")), groups);
//!
//! // A run has a name, and says who does what. The lock and the observers come with it.
//! let info = |salt| {
//!     let run = RunId::at(SystemClock.now(), salt);
//!     RunInfo::new(run, app.clone(), Command::Deploy, "alice")
//! };
//! let pipeline = Pipeline::new(fleet.backend());
//! let summary = pipeline.run(&request, Begin::new(info(1))).await;
//!
//! assert_eq!(summary.exit, Some(Exit::Complete));
//! assert_eq!(summary.counts().deployed, 3);
//! assert_eq!(fleet.host(&h1).release().unwrap().version, version("v2"));
//!
//! // The same again: nothing is left to do, so nothing is done but to ask whether all are well.
//! let summary = pipeline.run(&request, Begin::new(info(2))).await;
//! assert_eq!((summary.exit, summary.counts().unchanged), (Some(Exit::Complete), 3));
//! # Ok(())
//! # }
//! ```
//!
//! ## When it goes wrong
//!
//! The canary group allows no failure: `v3` is ill on the first host, so the others never see it, and
//! the first goes back to what was good there. The exit says what a script needs to know; the
//! summary says of each target how it ended, and groups equal failures.
//!
//! ```
//! # use deploy_core::{
//! #     model::{App, Group, GroupName, Target, Version, VersionId},
//! #     plan::{Goal, PlanRequest},
//! #     record::{Clock, Command, End, Exit, RunId, RunInfo, SystemClock},
//! #     run::{Begin, Pipeline},
//! #     testing::{Deed, Fleet},
//! # };
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let [h1, h2] = ["h1", "h2"].map(|name| Target::new(name).unwrap());
//! # let version = |id: &str| Version { id: VersionId::new(id).unwrap(), name: None };
//! # let fleet = Fleet::new();
//! # for host in [&h1, &h2] {
//! #     fleet.install(host, &version("v1"));
//! # }
//! # let groups = vec![
//! #     Group::new(GroupName::new("canary")?, vec![h1.clone()]),
//! #     Group::new(GroupName::new("rest")?, vec![h2.clone()]),
//! # ];
//! # let request = PlanRequest::new(App::new("shop")?, Goal::Deploy(version("v3")), groups);
//! # let run = RunId::at(SystemClock.now(), 1);
//! # let info = RunInfo::new(run, request.app.clone(), Command::Deploy, "alice");
//! fleet.break_version(&version("v3"));
//! let summary = Pipeline::new(fleet.backend()).run(&request, Begin::new(info)).await;
//!
//! assert_eq!(summary.exit, Some(Exit::RolledBack));
//! assert!(matches!(summary.targets[&h1].end, Some(End::Reverted { .. })));
//! assert!(matches!(summary.targets[&h2].end, Some(End::NotAttempted)));
//! assert_eq!(fleet.count(&h2, Deed::Promote), 0);
//! assert_eq!(fleet.host(&h1).release().unwrap().version, version("v1"));
//! # Ok(())
//! # }
//! ```
//!
//! ## Looking before acting
//!
//! A [`Plan`] is made from what the targets answer, and decides everything before anything moves:
//! batches, budgets as numbers, and for each target where it comes from and would go back to. It is
//! plain data: shown to a person, saved, compared by its digest. A dry run is a plan that nobody runs.
//!
//! ```
//! # use deploy_core::{
//! #     backend::Cancel,
//! #     model::{App, Group, GroupName, Target, Version, VersionId},
//! #     plan::{Goal, PlanRequest, Work},
//! #     record::{Clock, RunId, SystemClock},
//! #     run::{Allowances, Pipeline},
//! #     testing::Fleet,
//! # };
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let [h1, h2] = ["h1", "h2"].map(|name| Target::new(name).unwrap());
//! # let version = |id: &str| Version { id: VersionId::new(id).unwrap(), name: None };
//! # let fleet = Fleet::new();
//! # let group = Group::new(GroupName::new("all")?, vec![h1.clone(), h2.clone()]);
//! # let request = PlanRequest::new(App::new("shop")?, Goal::Deploy(version("v2")), vec![group]);
//! # let run = RunId::at(SystemClock.now(), 1);
//! fleet.install(&h1, &version("v1"));
//! fleet.cut(&h2);
//! let pipeline = Pipeline::new(fleet.backend());
//! let allow = Allowances::default();
//! let plan = pipeline.plan(&request, allow, &run, "alice", &Cancel::new()).await?;
//!
//! let (_, change) = plan.changes().next().expect("a change");
//! assert_eq!((&change.target, change.work), (&h1, Work::Move));
//! assert_eq!(change.back.as_ref().unwrap().version, version("v1"));
//! assert_eq!(plan.groups[0].lost[0].target, h2, "it is told, and counts as a failure");
//! # Ok(())
//! # }
//! ```
//!
//! ## The journal
//!
//! Everything that shows a run is an [`Observer`] of the same events: the live view, the summary, and
//! the [`Journal`], which has each intent on disk before it is acted upon. What was written can be
//! read while the run goes on, and adds up to the same summary.
//!
//! ```
//! # use deploy_core::{
//! #     model::{App, Group, GroupName, Target, Version, VersionId},
//! #     plan::{Goal, PlanRequest},
//! #     record::{Clock, Command, Exit, Journal, RunId, RunInfo, Summary, SystemClock, read_journal},
//! #     run::{Begin, Pipeline},
//! #     testing::Fleet,
//! # };
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let fleet = Fleet::new();
//! # let group = Group::new(GroupName::new("all")?, vec![Target::new("h1")?]);
//! # let version = Version { id: VersionId::new("v1")?, name: None };
//! # let request = PlanRequest::new(App::new("shop")?, Goal::Deploy(version), vec![group]);
//! # let run = RunId::at(SystemClock.now(), 1);
//! # let info = RunInfo::new(run, request.app.clone(), Command::Deploy, "alice");
//! # let file = tempfile::NamedTempFile::new()?;
//! let journal = Journal::new(file.reopen()?);
//! let begin = Begin::new(info).with_observer(journal);
//! let summary = Pipeline::new(fleet.backend()).run(&request, begin).await;
//!
//! let input = std::io::BufReader::new(file.reopen()?);
//! let events = read_journal(input).collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(Summary::of(&events), summary);
//! # Ok(())
//! # }
//! ```
//!
//! # Adding to it
//!
//! | to | implement | and then |
//! |---|---|---|
//! | reach another kind of target | [`Transport`] | let [`testing::conformance`] try its promises |
//! | find versions elsewhere | [`VersionSource`] | [`Pipeline::with_source`] |
//! | restart in another way | [`Restarter`] | [`Backend::with_restarter`] |
//! | ask another question | [`Checker`] | [`Backend::with_check`] |
//! | do something of your own between | [`Step`] | [`Backend::with_step`] |
//! | show or keep what happens | [`Observer`], or a closure | [`Begin::with_observer`] |
//! | exclude others | [`Lock`] | [`Begin::with_lock`] |
//! | answer questions | [`Ask`] | [`Begin::ask`](run::Begin) |
//!
//! [`Ask`]: backend::Ask
//! [`Backend`]: run::Backend
//! [`Backend::with_check`]: run::Backend::with_check
//! [`Backend::with_restarter`]: run::Backend::with_restarter
//! [`Backend::with_step`]: run::Backend::with_step
//! [`Begin::with_lock`]: run::Begin::with_lock
//! [`Begin::with_observer`]: run::Begin::with_observer
//! [`Checker`]: backend::Checker
//! [`Fleet`]: testing::Fleet
//! [`Journal`]: record::Journal
//! [`Lock`]: backend::Lock
//! [`Observer`]: record::Observer
//! [`Pipeline::with_source`]: run::Pipeline::with_source
//! [`Plan`]: plan::Plan
//! [`PlanRequest`]: plan::PlanRequest
//! [`Restarter`]: backend::Restarter
//! [`Step`]: backend::Step
//! [`Transport`]: backend::Transport
//! [`VersionSource`]: backend::VersionSource
//!
//! The library never prints, prompts, exits, or reads the environment or the clock by itself.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod backend;
pub mod model;
pub mod plan;
pub mod record;
pub mod run;
#[cfg(feature = "testing")]
pub mod testing;
