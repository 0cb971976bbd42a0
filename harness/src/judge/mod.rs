//! From what was observed to a verdict: pure functions over recorded data, tested on a corpus of exchanges that
//! real API servers gave.

mod attribution;
mod expectation;
mod names;
mod signature;
mod traced;
mod words;

pub use attribution::attribute;
pub use expectation::{Expected, judge_attack, judge_permit, judge_step};
pub use signature::{Recognised, Signature};
