//! A run, from the plan to its last event.

mod event;
mod seconds;

pub use event::{AttemptResult, Role, RunEvent, ScenarioResult, Summary};
