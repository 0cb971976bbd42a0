//! Who noticed: pure functions of what scenarios found.

use std::collections::{BTreeMap, BTreeSet};

use super::trial::{Trial, Trials};
use crate::catalog::{AUDIT_POLICY, Entry};
use crate::control::Deviation;
use crate::run::{Cell, Mark, Outcome, Plan, Proof, ScenarioResult, Vacuous, WeakeningResult};
use crate::verdict::{Reason, Verdict};

/// What a scenario did while `control` was weak. A scenario that is not expected to notice may do so for any of
/// the reasons that the weakening expects.
pub(super) fn mark(
    control: &str,
    expect: &BTreeMap<String, Reason>,
    entry: &Entry,
    result: &ScenarioResult,
) -> Mark {
    let reasons: BTreeSet<Reason> = match expect.get(&entry.id) {
        Some(reason) => [*reason].into(),
        None => expect.values().copied().collect(),
    };
    let findings: Vec<(Option<&str>, Reason)> = findings(entry, result).collect();
    let inconclusive =
        result.attempts.iter().any(|it| it.judgement.verdict == Verdict::Inconclusive);
    if inconclusive
        || result.verdict == Verdict::Inconclusive
        || findings.iter().any(|(promise, _)| promise.is_none())
    {
        return Mark::Wrong;
    }
    let own = || findings.iter().filter(|(promise, _)| *promise == Some(control));
    match (own().count(), own().any(|(_, reason)| reasons.contains(reason))) {
        (_, true) => Mark::Caught,
        (1.., false) => Mark::Wrong,
        (0, false) if findings.is_empty() => Mark::Green,
        (0, false) => Mark::Collateral,
    }
}

/// Whose promise each finding breaks, and how; nobody's where a legitimate use broke.
fn findings<'a>(
    entry: &'a Entry,
    result: &'a ScenarioResult,
) -> impl Iterator<Item = (Option<&'a str>, Reason)> {
    result.attempts.iter().flat_map(move |attempt| {
        let blocked = entry
            .scenario
            .attacks
            .iter()
            .find(|attack| attack.name == attempt.name)
            .and_then(|attack| attack.blocked.as_ref());
        attempt.judgement.findings.iter().map(move |finding| {
            let promise = match finding.reason {
                Reason::Bypassed | Reason::WrongLayer => blocked.map(|it| it.by.as_str()),
                Reason::Unlogged | Reason::WronglyLogged => Some(AUDIT_POLICY),
                Reason::PermitBroken | Reason::LeftOver => None,
            };
            (promise, finding.reason)
        })
    })
}

/// What came of a weakening, from what its scenarios did; and what went wrong, in words.
pub(super) fn outcome(trial: &Trial<'_>, cells: &[Cell]) -> (Outcome, Option<String>) {
    let ids = |mark: Mark| {
        let such = cells.iter().filter(|cell| cell.mark == mark);
        such.map(|cell| cell.result.id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let wrong = ids(Mark::Wrong);
    if !wrong.is_empty() {
        let cause = format!("something else than the expected came of it: {wrong}");
        return (Outcome::Wrong, Some(cause));
    }
    let expected: Vec<&Cell> = cells.iter().filter(|cell| cell.expected.is_some()).collect();
    let blind: Vec<&str> = expected
        .iter()
        .filter(|cell| cell.mark != Mark::Caught)
        .map(|cell| cell.result.id.as_str())
        .collect();
    if !blind.is_empty() {
        let cause = format!("not noticed by {}: {}", blind.join(", "), trial.weakening.why);
        return (Outcome::Missed, Some(cause));
    }
    if expected.is_empty() && cells.iter().all(|cell| cell.mark != Mark::Caught) {
        let names: Vec<&str> = trial.weakening.expect.keys().map(String::as_str).collect();
        let cause = format!("{} must notice, and was not chosen", names.join(", "));
        return (Outcome::Skipped, Some(cause));
    }
    (Outcome::Caught, None)
}

/// The whole proof: the weakenings in the order of the catalog, with what the deviations say of them.
pub(super) fn proof(
    plan: &Plan<'_>,
    trials: &Trials<'_>,
    mut weakenings: Vec<WeakeningResult>,
) -> Proof {
    let deviations = &plan.catalog.deviations;
    weakenings.sort_by_key(WeakeningResult::id);
    for weakening in &mut weakenings {
        weakening.deviation = excuse(deviations, weakening);
    }
    let catching: BTreeSet<&str> = weakenings
        .iter()
        .flat_map(|weakening| &weakening.cells)
        .filter(|cell| cell.mark == Mark::Caught)
        .map(|cell| cell.result.id.as_str())
        .collect();
    let told = trials.told();
    let vacuous: Vec<Vacuous> = told
        .iter()
        .filter(|id| !catching.contains(*id))
        .map(|id| Vacuous { scenario: (*id).to_owned(), deviation: pardon(deviations, id) })
        .collect();
    let stale = stale(deviations, &weakenings, &told, &catching);
    Proof { weakenings, vacuous, stale }
}

fn excuse(deviations: &[Deviation], weakening: &WeakeningResult) -> Option<String> {
    deviations.iter().find_map(|deviation| match deviation {
        Deviation::Missed(missed)
            if missed.weakening == weakening.id() && weakening.outcome == Outcome::Missed =>
        {
            Some(missed.why.clone())
        }
        _ => None,
    })
}

fn pardon(deviations: &[Deviation], id: &str) -> Option<String> {
    deviations.iter().find_map(|deviation| match deviation {
        Deviation::Vacuous(vacuous) if vacuous.scenario == id => Some(vacuous.why.clone()),
        _ => None,
    })
}

/// The deviations that this proof has shown to be needless.
fn stale(
    deviations: &[Deviation],
    weakenings: &[WeakeningResult],
    told: &BTreeSet<&str>,
    catching: &BTreeSet<&str>,
) -> Vec<String> {
    let needless = |deviation: &Deviation| match deviation {
        Deviation::Missed(missed) => weakenings
            .iter()
            .any(|it| it.id() == missed.weakening && it.outcome == Outcome::Caught)
            .then(|| format!("{} is said to be missed, and it is caught", missed.weakening)),
        Deviation::Vacuous(vacuous) => {
            let id = vacuous.scenario.as_str();
            (told.contains(id) && catching.contains(id))
                .then(|| format!("{id} is said to catch nothing, and it does"))
        }
    };
    deviations.iter().filter_map(needless).collect()
}
