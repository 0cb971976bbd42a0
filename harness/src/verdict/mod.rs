//! From what was observed to a verdict: pure functions over recorded data, tested on a corpus of exchanges that
//! real API servers gave.

mod attribution;
mod evidence;
mod judge;
mod judgement;
mod layer;
mod names;
mod signature;
mod traced;
mod words;

pub use attribution::attribute;
pub use evidence::{
    Answer, Closing, Decision, Denial, Effect, Evidence, Exchange, Granted, LONGEST_MESSAGE, Log,
    Response, Searched, Sent, Silence, SilenceKind, Storage, Stream, Through,
};
pub use judge::{Expected, judge_attack, judge_permit, judge_step};
pub use judgement::{Finding, Judgement, Reason, Verdict};
pub use layer::Layer;
pub use signature::{Recognised, Signature};
pub use words::{POD_SECURITY_CHECKS, check_named};
