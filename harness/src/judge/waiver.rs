//! What of a scenario is known and answered for. Each finding needs a waiver that covers it, and so does what could not be
//! told: a failure that is known hides neither another one nor an open question.

use std::collections::BTreeSet;

use crate::model::{
    AttemptResult, KnownVerdict, Reason, ScenarioResult, SettledWaiver, Verdict, Waived, WaivedBy,
    Waiver, WaiverEntry, WaiverState,
};

/// One thing that is wrong with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Found(Reason),
    Unclear,
    /// It failed, and nothing says for what: nobody can know that beforehand.
    Unnamed,
}

fn wrong(attempt: &AttemptResult) -> Vec<Wrong> {
    let judgement = &attempt.judgement;
    let mut wrong: Vec<Wrong> =
        judgement.findings.iter().map(|finding| Wrong::Found(finding.reason)).collect();
    if judgement.verdict == Verdict::Inconclusive || !judgement.causes.is_empty() {
        wrong.push(Wrong::Unclear);
    }
    if judgement.verdict == Verdict::Failed && judgement.findings.is_empty() {
        wrong.push(Wrong::Unnamed);
    }
    wrong
}

/// Whether a waiver speaks of an attempt.
fn is_about(waiver: &Waiver, attempt: &AttemptResult) -> bool {
    let is = |named: &Option<String>, it: &str| named.as_deref().is_none_or(|named| named == it);
    is(&waiver.attempt, &attempt.name)
        && is(&waiver.persona, &attempt.persona)
        && is(&waiver.door, &attempt.door)
}

/// Whether a waiver covers something that is wrong with an attempt that it is about. What stays on the cluster no waiver
/// covers.
fn covers(waiver: &Waiver, wrong: Wrong) -> bool {
    match (waiver.verdict, wrong) {
        (KnownVerdict::Failed, Wrong::Found(reason)) => {
            let is_named = waiver.findings.is_empty() || waiver.findings.contains(&reason);
            is_named && reason != Reason::LeftOver
        }
        (KnownVerdict::Inconclusive, Wrong::Unclear) => true,
        (KnownVerdict::Failed | KnownVerdict::Inconclusive, _) => false,
    }
}

/// Writes down what of a scenario is waived on this day. Why a scenario could not be judged to its end no waiver covers.
pub fn waive(result: &mut ScenarioResult, waivers: &[WaiverEntry], today: &str) {
    let is_valid =
        |it: &&WaiverEntry| it.waiver.scenario == result.id && !it.waiver.is_expired(today);
    let valid: Vec<&WaiverEntry> = waivers.iter().filter(is_valid).collect();
    let is_covered_by = |entry: &WaiverEntry, attempt: &AttemptResult, wrong: Wrong| {
        is_about(&entry.waiver, attempt) && covers(&entry.waiver, wrong)
    };
    let covered = |entry: &WaiverEntry| -> Vec<usize> {
        let is_part = |attempt: &AttemptResult| {
            wrong(attempt).iter().any(|it| is_covered_by(entry, attempt, *it))
        };
        let attempts = result.attempts.iter().enumerate().filter(|(_, attempt)| is_part(attempt));
        attempts.map(|(position, _)| position).collect()
    };
    let by =
        valid.iter().map(|entry| WaivedBy { entry: (*entry).clone(), attempts: covered(entry) });
    let by: Vec<WaivedBy> = by.filter(|by| !by.attempts.is_empty()).collect();
    if by.is_empty() {
        return;
    }
    let is_covered = |attempt: &AttemptResult| {
        let mut wrong = wrong(attempt).into_iter();
        wrong.all(|it| valid.iter().any(|entry| is_covered_by(entry, attempt, it)))
    };
    let all = result.cause.is_none() && result.attempts.iter().all(is_covered);
    result.waived = Some(Waived { all, by });
}

/// What became of each waiver, when everything is judged.
pub fn settle(
    waivers: &[WaiverEntry],
    scenarios: &[ScenarioResult],
    today: &str,
) -> Vec<SettledWaiver> {
    let settled = waivers.iter().map(|entry| {
        let result = scenarios.iter().find(|result| result.id == entry.waiver.scenario);
        let (state, told) = state(&entry.waiver, result, today);
        SettledWaiver { run: None, entry: entry.clone(), state, told }
    });
    settled.collect()
}

fn state(waiver: &Waiver, result: Option<&ScenarioResult>, today: &str) -> (WaiverState, String) {
    let ran = result.filter(|result| result.verdict != Verdict::Skipped);
    let Some(result) = ran else {
        return (WaiverState::Untouched, "its scenario did not run".to_owned());
    };
    if waiver.is_expired(today) {
        return (WaiverState::Expired, format!("its last day was {}", waiver.expires));
    }
    let about: Vec<&AttemptResult> =
        result.attempts.iter().filter(|attempt| is_about(waiver, attempt)).collect();
    let Some(unseen) = unseen(waiver, &about) else {
        return (WaiverState::Needed, "what it knows of came".to_owned());
    };
    let told = |attempt: &&AttemptResult| {
        let is_unclear = wrong(attempt).contains(&Wrong::Unclear);
        attempt.judgement.verdict != Verdict::Skipped && !is_unclear
    };
    if result.cause.is_none() && !about.is_empty() && about.iter().all(told) {
        return (WaiverState::Stale, format!("its scenario ran, and {unseen}: remove it"));
    }
    (WaiverState::Untouched, "not all that it is about was tried and told".to_owned())
}

/// What a waiver knows of and did not come, in words; nothing if all of it came.
fn unseen(waiver: &Waiver, about: &[&AttemptResult]) -> Option<String> {
    let seen: Vec<Wrong> = about.iter().flat_map(|attempt| wrong(attempt)).collect();
    if waiver.findings.is_empty() {
        let is_seen = seen.iter().any(|it| covers(waiver, *it));
        return (!is_seen).then(|| "nothing that it covers came".to_owned());
    }
    let unseen: BTreeSet<Reason> =
        waiver.findings.iter().copied().filter(|it| !seen.contains(&Wrong::Found(*it))).collect();
    let names: Vec<&str> = unseen.into_iter().map(Reason::label).collect();
    (!names.is_empty()).then(|| format!("nothing that it is about was {}", names.join(" or ")))
}

#[cfg(test)]
mod tests;
