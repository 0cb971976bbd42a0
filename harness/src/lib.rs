//! brinell presses on a Kubernetes cluster with real attacks and says, control by control, whether each was
//! stopped, by whom, and what evidence it left.
//!
//! The modules in the order of use: [`report`] draws what [`run`] tells; a run stages a [`cluster`] with its
//! [`control`]s and [`persona`]s, sends every [`action`] of the [`catalog`]'s scenarios, reads the [`audit`] log
//! and comes to a [`verdict`]. [`in_cluster`] is what runs inside pods.

pub mod action;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod control;
pub mod in_cluster;
pub mod input;
pub mod merge;
pub mod model;
pub mod persona;
mod poll;
pub mod prove;
pub mod report;
pub mod run;
pub mod text;
pub mod verdict;
