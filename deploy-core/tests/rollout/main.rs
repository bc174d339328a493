//! The rules of a rollout, as stories on targets in memory: one or more for each rule.

#![expect(clippy::unwrap_used, reason = "a test may panic, also outside its own function")]

mod catch_up;
mod exit_codes;
mod notes;
mod operation;
mod operation_faults;
mod preview;
mod properties;
mod rig;
mod rules_back;
mod rules_order;
mod rules_plan;
mod rules_stop;
mod rules_truth;
mod saved_plan;
mod ways_out;
