//! What of a scenario is known and answered for. Each finding needs a waiver that covers it, and so does what could not be
//! told: a failure that is known hides neither another one nor an open question.

use std::collections::BTreeSet;

use crate::model::{
    AttemptResult, Finding, KnownVerdict, Reason, Role, ScenarioResult, SettledWaiver, Verdict,
    Waived, WaivedBy, Waiver, WaiverEntry, WaiverState,
};

/// One thing that is wrong with an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong<'a> {
    Found(&'a Finding),
    /// It did not tell, or it rests on a step that did not work.
    Unclear,
    /// It failed, and nothing says for what: nobody can know that beforehand.
    Unnamed,
}

/// The attempts of a scenario with what is wrong with each. What comes after a step that did not work was tried on other
/// ground than it was meant for: that it was refused tells nothing.
fn wrongs(result: &ScenarioResult) -> Vec<(&AttemptResult, Vec<Wrong<'_>>)> {
    let mut has_failed_step = false;
    let mut wrongs = Vec::new();
    for attempt in &result.attempts {
        let mut wrong = wrong(attempt);
        if has_failed_step && attempt.role != Role::Permit && !wrong.contains(&Wrong::Unclear) {
            wrong.push(Wrong::Unclear);
        }
        has_failed_step |=
            attempt.role == Role::Step && attempt.judgement.verdict != Verdict::Passed;
        wrongs.push((attempt, wrong));
    }
    wrongs
}

fn wrong(attempt: &AttemptResult) -> Vec<Wrong<'_>> {
    let judgement = &attempt.judgement;
    let mut wrong: Vec<Wrong<'_>> = judgement.findings.iter().map(Wrong::Found).collect();
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
fn covers(waiver: &Waiver, wrong: Wrong<'_>) -> bool {
    match (waiver.verdict, wrong) {
        (KnownVerdict::Failed, Wrong::Found(finding)) => {
            let reason = finding.reason;
            let is_named = waiver.findings.is_empty() || waiver.findings.contains(&reason);
            let is_it = waiver.got.as_ref().is_none_or(|got| *got == finding.got);
            is_named && is_it && reason != Reason::LeftOver
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
    let wrongs = wrongs(result);
    let is_covered_by = |entry: &WaiverEntry, attempt: &AttemptResult, wrong: Wrong<'_>| {
        is_about(&entry.waiver, attempt) && covers(&entry.waiver, wrong)
    };
    let covered = |entry: &WaiverEntry| -> Vec<usize> {
        let attempts = wrongs.iter().enumerate().filter(|(_, (attempt, wrong))| {
            wrong.iter().any(|it| is_covered_by(entry, attempt, *it))
        });
        attempts.map(|(position, _)| position).collect()
    };
    let by =
        valid.iter().map(|entry| WaivedBy { entry: (*entry).clone(), attempts: covered(entry) });
    let by: Vec<WaivedBy> = by.filter(|by| !by.attempts.is_empty()).collect();
    if by.is_empty() {
        return;
    }
    let is_covered = |(attempt, wrong): &(&AttemptResult, Vec<Wrong<'_>>)| {
        wrong.iter().all(|it| valid.iter().any(|entry| is_covered_by(entry, attempt, *it)))
    };
    let all = result.cause.is_none() && wrongs.iter().all(is_covered);
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
    // What is skipped counts as inconclusive where everything is required, and has no attempts.
    let ran = result.filter(|it| it.verdict != Verdict::Skipped && !it.attempts.is_empty());
    let Some(result) = ran else {
        return (WaiverState::Untouched, "its scenario did not run".to_owned());
    };
    if waiver.is_expired(today) {
        return (WaiverState::Expired, format!("its last day was {}", waiver.expires));
    }
    let mut about = wrongs(result);
    about.retain(|(attempt, _)| is_about(waiver, attempt));
    let Some(unseen) = unseen(waiver, &about) else {
        return (WaiverState::Needed, "what it knows of came".to_owned());
    };
    let told = |(attempt, wrong): &(&AttemptResult, Vec<Wrong<'_>>)| {
        attempt.judgement.verdict != Verdict::Skipped && !wrong.contains(&Wrong::Unclear)
    };
    if result.cause.is_none() && !about.is_empty() && about.iter().all(told) {
        return (WaiverState::Stale, format!("its scenario ran, and {unseen}: remove it"));
    }
    (WaiverState::Untouched, "not all that it is about was tried and told".to_owned())
}

/// What a waiver knows of and did not come, in words; nothing if all of it came.
fn unseen(waiver: &Waiver, about: &[(&AttemptResult, Vec<Wrong<'_>>)]) -> Option<String> {
    let seen: Vec<Wrong<'_>> = about.iter().flat_map(|(_, wrong)| wrong.clone()).collect();
    let covered = seen.iter().filter(|it| covers(waiver, **it));
    let came: BTreeSet<Reason> = covered
        .clone()
        .filter_map(|it| match it {
            Wrong::Found(finding) => Some(finding.reason),
            Wrong::Unclear | Wrong::Unnamed => None,
        })
        .collect();
    if waiver.findings.is_empty() {
        return (covered.count() == 0).then(|| "nothing that it covers came".to_owned());
    }
    let unseen: BTreeSet<Reason> =
        waiver.findings.iter().copied().filter(|it| !came.contains(it)).collect();
    let names: Vec<&str> = unseen.into_iter().map(Reason::label).collect();
    (!names.is_empty()).then(|| format!("nothing that it is about was {}", names.join(" or ")))
}

#[cfg(test)]
mod tests;
