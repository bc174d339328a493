//! The domain and the engine of deploy: brings a version of a service onto a fleet, canary first,
//! checks it, and brings the old one back when it must.
//!
//! The chapters stand in the order in which a deploy happens, and each imports only from those
//! above it (and the plain types of [`plan`] and [`record`] that the traits speak in):
//!
//! 1. [`model`]: what is deployed, and where to.
//! 2. [`plan`]: what will be done, decided before anything moves.
//! 3. [`backend`]: the questions to the outside world, as traits.
//! 4. [`record`]: what happened, as events, journal and summary.
//! 5. [`run`]: the engine.
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
