//! The engine: runs a plan.
