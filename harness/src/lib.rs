//! brinell presses on a Kubernetes cluster with real attacks and says, control by control, whether each was
//! stopped, by whom, and what evidence it left.
//!
//! The modules from the top: [`report`] draws what a run tells; [`prove`] weakens controls, one at a time; a [`run`] stages
//! a [`cluster`], sends every [`attack`] of the [`catalog`]'s scenarios, reads the [`audit`] log and has all of it judged by
//! [`judge`]. [`pod`] is what runs inside pods. [`model`] holds the words of all of them as plain data.

pub mod attack;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod input;
pub mod judge;
pub mod merge;
pub mod model;
pub mod pod;
mod poll;
pub mod prove;
pub mod report;
pub mod run;
pub mod text;
