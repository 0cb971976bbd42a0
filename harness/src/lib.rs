//! brinell presses on a Kubernetes cluster with real attacks and says, control by control, whether each was
//! stopped, by whom, and what evidence it left.
//!
//! The modules, in the order of use: [`report`] tells of a [`run`], which stands on [`verdict`], which stands
//! on [`audit`] and [`catalog`].

pub mod audit;
pub mod catalog;
pub mod report;
pub mod run;
pub mod verdict;
