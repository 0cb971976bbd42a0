//! brinell presses on a Kubernetes cluster with real attacks and says, control by control, whether each was
//! stopped, by whom, and what evidence it left.
//!
//! The modules, in the order of use: [`run`] stands on [`verdict`], which stands on [`audit`], [`persona`],
//! [`control`] and [`catalog`].

pub mod audit;
pub mod catalog;
pub mod control;
pub mod persona;
pub mod run;
pub mod verdict;
