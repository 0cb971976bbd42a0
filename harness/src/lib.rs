//! brinell presses on a Kubernetes cluster with real attacks and says, control by control, whether each was
//! stopped, by whom, and what evidence it left.
//!
//! The modules from the top: [`report`] shows what a run tells; [`compare`] says what is different between
//! two results, and [`trend`] when each scenario turned in many; [`prove`] weakens controls, one at a time; a [`run`]
//! makes a [`cluster`] ready, sends every attack of the [`catalog`]'s scenarios, reads the audit log and has all of it
//! judged by [`judge`]. [`pod`] is what runs inside pods. [`model`] holds the words of all of them as plain data.
//!
//! What is public here is for the command (`main.rs`) and for the tests. It may change at any time.

mod attack;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod compare;
pub mod input;
pub mod judge;
pub mod lock;
mod merge;
pub mod model;
pub mod pod;
mod poll;
pub mod prove;
pub mod report;
pub mod run;
pub mod text;
pub mod trend;
