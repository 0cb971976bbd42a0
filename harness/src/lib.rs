//! brinell presses on a Kubernetes cluster with real attacks and says, control by control, whether each was
//! stopped, by whom, and what evidence it left.
//!
//! The modules, in the order of use: [`run`] stands on [`verdict`], which stands on [`audit`] and
//! [`catalog`]. [`cluster`] makes the image of what runs in pods, which is [`in_cluster`].

pub mod audit;
pub mod catalog;
pub mod cluster;
pub mod in_cluster;
pub mod run;
pub mod verdict;
