//! From what was observed to a verdict: pure functions over recorded data, tested on a corpus of exchanges that
//! real API servers gave.

mod attribution;
mod credentials;
mod expectation;
mod left_over;
mod names;
mod scenario;
mod signature;
mod steadiness;
mod traced;
mod waiver;
mod words;

pub use attribution::{attribute, own_events};
pub use expectation::{Expected, judge_block, judge_permit, judge_record, judge_sound, judge_step};
pub use scenario::{Judged, judge};
pub use signature::{Recognised, Signature};
pub use waiver::{settle, waive};
