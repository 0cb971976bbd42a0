//! The words of brinell as plain data: what a scenario, a control and a persona say, what was seen of an attempt, what
//! it was judged to be, and the results of a whole run. It does no I/O and uses nothing of ours but itself.

mod action;
mod api_path;
mod audit_event;
mod audit_source;
mod control;
mod deviation;
mod evidence;
mod judgement;
mod layer;
mod persona;
mod pod_security;
mod proof;
mod record;
mod results;
mod right;
mod run_event;
mod scenario;
mod seconds;
mod span;
mod word;

pub use action::*;
pub use api_path::*;
pub use audit_event::*;
pub use audit_source::*;
pub use control::*;
pub use deviation::*;
pub use evidence::*;
pub use judgement::*;
pub use layer::*;
pub use persona::*;
pub use pod_security::*;
pub use proof::*;
pub use record::*;
pub use results::*;
pub use right::*;
pub use run_event::*;
pub use scenario::*;
pub use span::*;
pub use word::*;
