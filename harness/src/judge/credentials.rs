//! Credentials that end while a run goes on.

use crate::model::{Decision, Effect, Evidence, Judgement, Layer, UNCLEAR, Verdict};

/// The judgement on an attempt that authentication refused although it had let the same credentials in before; `None`
/// on every other. Nobody refused what was attempted, and what the log holds of it is not the persona's.
pub(super) fn ended(evidence: &Evidence, was_taken: bool) -> Option<Judgement> {
    let is_refused =
        matches!(&evidence.decision, Decision::Denied(it) if it.layer == Layer::Authentication);
    let is_without_effect = matches!(evidence.effect, Effect::NotApplicable | Effect::Absent);
    let persona = &evidence.sent.persona;
    (was_taken && is_refused && is_without_effect).then(|| Judgement {
        verdict: Verdict::Inconclusive,
        outcome: UNCLEAR.to_owned(),
        logged: String::new(),
        findings: Vec::new(),
        causes: vec![format!("the credentials of {persona} are not accepted any more")],
        causes_of_log: 0,
    })
}
