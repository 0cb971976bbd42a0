//! From what was observed to a verdict: pure functions over recorded data, tested on a corpus of exchanges that
//! real API servers gave.

mod evidence;
mod judgement;
mod layer;

pub use evidence::{
    Answer, Closing, Decision, Denial, Effect, Evidence, Log, Response, Sent, Silence, SilenceKind,
    Storage, Stream,
};
pub use judgement::{Finding, Judgement, Reason, Verdict};
pub use layer::Layer;
