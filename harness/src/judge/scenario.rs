//! From the record of a scenario to its verdict.

use super::expectation::{judge_half, judge_permit, judge_sound, judge_step};
use super::{
    Expected, Signature, attribute, credentials, judge_block, judge_record, left_over, steadiness,
};
use crate::catalog::{Turn, Values};
use crate::model::{
    AttemptRecord, AttemptResult, Blocked, Control, Decision, Evidence, Expectation, Judgement,
    Layer, LeftOver, Record, Role, Seen, Unmade, Verdict, Webhook,
};

/// What came of a scenario.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The worst verdict of its attempts.
    pub verdict: Verdict,
    /// Why it could not be judged to its end; `None` if it could.
    pub cause: Option<String>,
    /// What came of each attempt that was recorded, in order.
    pub attempts: Vec<AttemptResult>,
}

/// Judges what is recorded of a scenario against what each of its `turns` must come to. `values` are the run's, which
/// controls leave on audit events.
pub fn judge(turns: &[Turn], record: Record, values: &Values) -> Judged {
    let Record { attempts, steadiness, left_over, cause } = record;
    let pairs = turns.iter().zip(attempts);
    let mut attempts: Vec<AttemptResult> =
        pairs.map(|(turn, record)| attempt(turn, record, values)).collect();
    if let Some(cause) = steadiness::cause(steadiness) {
        attempts.iter_mut().for_each(|attempt| steadiness::doubt(attempt, cause));
    }
    let verdicts = attempts.iter().map(|attempt| attempt.judgement.verdict);
    let worst = verdicts.chain(cause.iter().map(|_| Verdict::Inconclusive)).max();
    let verdict = worst.unwrap_or(Verdict::Inconclusive);
    let mut judged = Judged { verdict, cause, attempts };
    left_over.iter().for_each(|left: &LeftOver| left_over::tell(&mut judged, left));
    judged
}

fn attempt(turn: &Turn, record: AttemptRecord, values: &Values) -> AttemptResult {
    let AttemptRecord { seen, too_soon } = record;
    let unseen = seen.as_ref().ok().and_then(|seen| seen.unseen.clone());
    let (judgement, evidence) = match seen {
        Ok(seen) => {
            let (is_controller_elsewhere, was_taken) =
                (seen.is_controller_elsewhere, seen.was_taken);
            let evidence = evidence(seen);
            let is_half = is_controller_elsewhere && evidence.decision == Decision::LetIn;
            let judgement = match (credentials::ended(&evidence, was_taken), is_half) {
                (Some(ended), _) => ended,
                (None, true) => judge_half(turn.expected.logged().as_ref(), &evidence),
                (None, false) => judge_whole(turn, &evidence, values),
            };
            (judgement, Some(evidence))
        }
        Err(cause) => (unmade(cause), None),
    };
    let mut attempt = AttemptResult {
        name: turn.name.clone(),
        role: turn.role,
        persona: turn.persona.name.clone(),
        door: turn.door.label().to_owned(),
        line: None,
        judgement,
        evidence,
        too_soon,
    };
    if let Some(unseen) = unseen {
        steadiness::doubt(&mut attempt, &steadiness::asleep(&unseen));
    }
    attempt
}

fn judge_whole(turn: &Turn, evidence: &Evidence, values: &Values) -> Judgement {
    match (&turn.expected, turn.role) {
        (Expectation::Blocked(Blocked { by, at, saying }, logged), _) => {
            let Control { decides, leaves, look_at, .. } = &by.control;
            let layers = at.as_ref().map_or(decides.as_slice(), std::slice::from_ref);
            // Who refused has words of its own. Where nobody did, the first one's are told.
            let refused = match &evidence.decision {
                Decision::Denied(denial) => layers.iter().find(|it| it.covers(&denial.layer)),
                Decision::LetIn | Decision::Unclear(_) | Decision::Read => None,
            };
            let spoken = refused.or(layers.first());
            let signature = Signature {
                layers,
                saying: spoken.and_then(|layer| by.words(saying.as_deref(), layer)),
                leaves: &values.fill_map(leaves),
            };
            judge_block(
                &Expected { control: &by.id, signature, look_at },
                logged.as_ref(),
                evidence,
            )
        }
        (Expectation::Sound(sound), _) => {
            judge_sound(&sound.control.id, &sound.control.control.look_at, evidence)
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
    let Seen {
        sent,
        answer,
        effect,
        log,
        webhooks,
        is_controller_elsewhere: _,
        unseen: _,
        was_taken: _,
    } = seen;
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

/// The judgement on an attempt that was not made.
fn unmade(why: Unmade) -> Judgement {
    let (verdict, cause) = match why {
        Unmade::Failed(cause) => (Verdict::Inconclusive, cause),
        Unmade::Closed(cause) => (Verdict::Skipped, cause),
    };
    Judgement {
        verdict,
        outcome: "NOT MADE".to_owned(),
        logged: String::new(),
        findings: Vec::new(),
        causes: vec![cause],
        causes_of_log: 0,
    }
}

#[cfg(test)]
mod tests;
