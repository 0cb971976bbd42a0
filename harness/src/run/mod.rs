//! A run, from the plan to its last event.

mod event;

pub use event::{AttemptResult, Role, RunEvent, ScenarioResult, Summary};
