//! What a run looks like: all views are made from the same events.

mod command;
mod examination;
mod failure;
mod json;
mod live;
mod next_step;
mod plain;
mod plan_view;
mod progress;
mod summary_view;
mod teller;
mod ticker;
mod verdict;

pub use command::{CommandReporter, Heard, command_lines, heard_lines};
pub use examination::Examination;
pub use json::{JsonReporter, escape_json};
pub use live::{LiveReporter, Screen};
pub use next_step::{exact, quoted};
pub use plain::PlainReporter;
pub use plan_view::plan_lines;
pub use summary_view::{Finish, summary_lines};
pub use teller::names;
pub use verdict::command;
