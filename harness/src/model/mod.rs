//! The words of brinell as plain data: what a scenario, a control and a persona say, what was seen of an attempt, what
//! it was judged to be, and the results of a whole run. It does no I/O and uses nothing of ours but itself.

mod action;
mod api_path;
mod audit_event;
mod control;
mod deviation;
mod evidence;
mod judgement;
mod layer;
mod merged;
mod log_format;
mod persona;
mod pod_security;
mod profile;
mod proof;
mod record;
mod results;
mod right;
mod run_event;
mod scenario;
mod seconds;
mod waiver;
mod word;

pub use action::*;
pub use api_path::*;
pub use audit_event::*;
pub use control::*;
pub use deviation::*;
pub use evidence::*;
pub use judgement::*;
pub use layer::*;
pub use merged::*;
pub use log_format::*;
pub use persona::*;
pub use pod_security::*;
pub use profile::*;
pub use proof::*;
pub use record::*;
pub use results::*;
pub use right::*;
pub use run_event::*;
pub use scenario::*;
pub use waiver::*;
pub use word::*;
