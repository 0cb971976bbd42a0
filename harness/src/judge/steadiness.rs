//! What a restart of the API server leaves of a verdict.

use crate::model::{Answer, AttemptResult, Decision, Layer, Steadiness, Verdict};

/// Why a refusal by authorization may be one that everybody gets; `None` if one process answered all the time, or if it
/// is known of each attempt by itself.
pub(super) fn cause(steadiness: Steadiness) -> Option<&'static str> {
    match steadiness {
        Steadiness::Steady | Steadiness::Several => None,
        Steadiness::Restarted => {
            Some("the API server restarted meanwhile, and a starting one refuses everybody")
        }
        Steadiness::Unknown => Some(
            "which API server answered is not known here, and one that starts refuses everybody",
        ),
    }
}

/// Why a refusal of one attempt by authorization may be one that everybody gets, with what was seen instead.
pub(super) fn asleep(unseen: &str) -> String {
    format!(
        "the API server that answered was not seen awake, and one that starts refuses everybody: {unseen}"
    )
}

/// Takes back a pass that rests on a refusal by authorization, where not one process was awake all the time: while it
/// starts, an API server refuses everybody. A failure that rests on one stays, and tells it.
pub(super) fn doubt(attempt: &mut AttemptResult, cause: &str) {
    let Some(evidence) = &attempt.evidence else { return };
    // A review of grants was refused by nobody. What an authorizer said to questions it would have said to requests.
    let is_asked = evidence.sent.audit_id.is_some() || matches!(evidence.answer, Answer::Rights(_));
    let rests_on_authorization = is_asked
        && matches!(&evidence.decision, Decision::Denied(denial)
        if matches!(denial.layer, Layer::Impersonation | Layer::Authorization | Layer::UpgradeCheck));
    let judgement = &mut attempt.judgement;
    match judgement.verdict {
        Verdict::Passed if rests_on_authorization => judgement.verdict = Verdict::Inconclusive,
        Verdict::Failed if rests_on_authorization => {}
        _ => return,
    }
    judgement.causes.push(cause.to_owned());
}
