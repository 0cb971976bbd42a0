//! From what was observed to a verdict: pure functions over recorded data, tested on a corpus of exchanges that
//! real API servers gave.

mod attribution;
mod judge;
mod names;
mod signature;
mod traced;
mod words;

pub use attribution::attribute;
pub use judge::{Expected, judge_attack, judge_permit, judge_step};
pub use signature::{Recognised, Signature};
pub use words::{POD_SECURITY_CHECKS, check_named};
