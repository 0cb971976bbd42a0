//! From the record of a scenario to its verdict.

use std::collections::BTreeMap;

use super::expectation::{judge_half, judge_permit, judge_review, judge_step};
use super::{Expected, Signature, attribute, judge_block, judge_record, left_over, steadiness};
use crate::model::{
    AttemptRecord, AttemptResult, Decision, Evidence, Expectation, Judgement, Layer, LeftOver,
    Record, Role, Seen, Steadiness, Turn, Verdict, Webhook,
};

/// The control that must refuse, as far as its refusals are known by it.
#[derive(Debug, Clone)]
pub struct Decider<'a> {
    /// Its id.
    pub control: &'a str,
    /// The layers by which it decides.
    pub decides: &'a [Layer],
    /// The annotations that each of its refusals leaves on the audit event.
    pub leaves: BTreeMap<String, String>,
    /// Where to look when it did not act.
    pub look_at: &'a str,
}

/// What came of a scenario.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The worst verdict of its attempts.
    pub verdict: Verdict,
    /// Why it could not be told to its end; `None` if it could.
    pub cause: Option<String>,
    /// What came of each attempt that was recorded, in order.
    pub attempts: Vec<AttemptResult>,
}

/// Judges what is recorded of a scenario against what each of its `turns` must come to. `decider` tells of the control
/// that a block or a review names.
pub fn judge<'a>(
    turns: &[Turn<'_>],
    record: Record,
    decider: impl Fn(&str) -> Decider<'a>,
) -> Judged {
    let Record { attempts, steadiness, left_over, cause } = record;
    let pairs = turns.iter().zip(attempts);
    let mut attempts: Vec<AttemptResult> =
        pairs.map(|(turn, record)| attempt(turn, record, &decider)).collect();
    if steadiness == Steadiness::Restarted {
        attempts.iter_mut().for_each(steadiness::doubt);
    }
    let verdicts = attempts.iter().map(|attempt| attempt.judgement.verdict);
    let worst = verdicts.chain(cause.iter().map(|_| Verdict::Inconclusive)).max();
    let verdict = worst.unwrap_or(Verdict::Inconclusive);
    let mut judged = Judged { verdict, cause, attempts };
    left_over.iter().for_each(|left: &LeftOver| left_over::tell(&mut judged, left));
    judged
}

fn attempt<'a>(
    turn: &Turn<'_>,
    record: AttemptRecord,
    decider: impl Fn(&str) -> Decider<'a>,
) -> AttemptResult {
    let AttemptRecord { seen, too_soon } = record;
    let (judgement, evidence) = match seen {
        Ok(seen) => {
            let is_controller_elsewhere = seen.is_controller_elsewhere;
            let evidence = evidence(seen);
            let is_half = is_controller_elsewhere && evidence.decision == Decision::LetIn;
            let judgement = match is_half {
                true => judge_half(turn.expected.logged().as_ref(), &evidence),
                false => judge_whole(turn, &evidence, decider),
            };
            (judgement, Some(evidence))
        }
        Err(cause) => (unmade(cause), None),
    };
    AttemptResult {
        name: turn.name.to_owned(),
        role: turn.role,
        persona: turn.persona.to_owned(),
        door: turn.door.label().to_owned(),
        judgement,
        evidence,
        too_soon,
    }
}

fn judge_whole<'a>(
    turn: &Turn<'_>,
    evidence: &Evidence,
    decider: impl Fn(&str) -> Decider<'a>,
) -> Judgement {
    match (&turn.expected, turn.role) {
        (Expectation::Blocked(blocked, logged), _) => {
            let Decider { control, decides, leaves, look_at } = decider(&blocked.by);
            let signature = Signature {
                layers: blocked.at.as_ref().map_or(decides, std::slice::from_ref),
                saying: blocked.saying.as_deref(),
                leaves: &leaves,
            };
            judge_block(&Expected { control, signature, look_at }, logged.as_ref(), evidence)
        }
        (Expectation::Right(right), _) => {
            let Decider { control, look_at, .. } = decider(&right.control);
            judge_review(control, look_at, evidence)
        }
        (Expectation::Succeeds(succeeds, logged), Role::Permit) => {
            judge_permit(succeeds, logged.as_ref(), evidence)
        }
        (Expectation::Succeeds(succeeds, logged), Role::Attack | Role::Review | Role::Step) => {
            judge_step(succeeds, logged.as_ref(), evidence)
        }
        (Expectation::Recorded(recorded), _) => judge_record(recorded, evidence),
    }
}

/// What was seen, with who decided.
fn evidence(seen: Seen) -> Evidence {
    let Seen { sent, answer, effect, log, webhooks, is_controller_elsewhere: _ } = seen;
    let decision = attribute(&sent, &answer, &log);
    let namesakes = namesakes(&decision, webhooks);
    Evidence { sent, answer, decision, effect, log, namesakes }
}

/// The configurations with a webhook of the name that refused.
fn namesakes(decision: &Decision, webhooks: Vec<Webhook>) -> Vec<String> {
    let Decision::Denied(denial) = decision else { return Vec::new() };
    let (Layer::Webhook(name) | Layer::WebhookFailure(name)) = &denial.layer else {
        return Vec::new();
    };
    let same = webhooks.into_iter().filter(|webhook| webhook.name == *name);
    same.map(|webhook| webhook.configuration).collect()
}

/// What can be told of an attempt that could not be made.
fn unmade(cause: String) -> Judgement {
    Judgement {
        verdict: Verdict::Inconclusive,
        outcome: "NOT MADE".to_owned(),
        logged: String::new(),
        findings: Vec::new(),
        causes: vec![cause],
    }
}

#[cfg(test)]
mod tests;
