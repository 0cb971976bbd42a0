//! What stays on the cluster although its scenario is over.

use super::scenario::Judged;
use crate::model::{ATTEMPT_LABEL, AttemptResult, Finding, LeftOver, Reason, Verdict};

/// Adds to what came of a scenario what stays on the cluster, at the attempt that may have made it.
pub(super) fn tell(judged: &mut Judged, left: &LeftOver) {
    let finding = Finding {
        reason: Reason::LeftOver,
        expected: "what the scenario made is removed when it ends".to_owned(),
        got: left.words.clone(),
        who: String::new(),
        look_at: format!("objects with the label {ATTEMPT_LABEL}={}", left.attempt),
    };
    let made = |attempt: &AttemptResult| match &attempt.evidence {
        Some(evidence) => evidence.sent.audit_id.as_ref() == Some(&left.attempt),
        // An attempt that did not end has no evidence.
        None => true,
    };
    judged.verdict = Verdict::Failed;
    match judged.attempts.iter_mut().rfind(|attempt| made(attempt)) {
        Some(attempt) => {
            attempt.judgement.verdict = Verdict::Failed;
            attempt.judgement.findings.push(finding);
        }
        None => judged.cause = Some(format!("{}: {}", Reason::LeftOver.label(), left.words)),
    }
}
