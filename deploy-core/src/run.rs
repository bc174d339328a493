//! The engine: runs a plan, and brings the fleet back when it must.
//!
//! [`Pipeline`] knows how targets are acted upon; [`Run`] is one run under a lock. Inside, a pure
//! rollout takes outcomes and gives decisions (the rules of a rollout live there), workers act on
//! one target each, and every call of a backend goes through one function that alone knows
//! retry, deadline and cancel. One owner holds the state of the run, and alone emits events.

mod attempt;
mod begin;
mod conductor;
mod ledger;
mod pipeline;
mod preview;
mod refusal;
mod rollout;
mod stop;
mod survey;
mod worker;

pub use begin::{Begin, Run};
pub use pipeline::{Allowances, Backend, OwnedCheck, OwnedStep, Pipeline};
pub use refusal::Refusal;
pub use rollout::{Decision, Input, Job, Leave, Mishap, Rollout};
pub use stop::Stop;
