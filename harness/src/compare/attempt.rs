//! The attempts of a scenario, as they were and as they are.

use std::collections::BTreeMap;

use super::mask::Mask;
use super::{AttemptChange, Change, EVIDENCE, VERDICT, Weight, evidence, other, weigh};
use crate::model::{AttemptResult, Decision, Judgement, ScenarioResult, Verdict};

/// What tells an attempt from the others of its scenario: name, persona and door, and which of several such it is.
type Key<'a> = (&'a str, &'a str, &'a str, usize);

/// How two scenarios are compared.
pub(super) struct Manner<'a> {
    /// What makes their texts comparable.
    pub(super) masks: &'a (Mask, Mask),
    /// Whether only verdicts are known.
    pub(super) is_core: bool,
    /// Whether both were made on the same kind of cluster with the same profile.
    pub(super) is_alike: bool,
}

/// The attempts that are different: those of now in their order, and then those that are gone.
pub(super) fn changes(
    before: &ScenarioResult,
    after: &ScenarioResult,
    manner: &Manner<'_>,
) -> Vec<AttemptChange> {
    let (befores, afters) = (keyed(before), keyed(after));
    let was: BTreeMap<Key<'_>, &AttemptResult> = befores.iter().copied().collect();
    let is: BTreeMap<Key<'_>, &AttemptResult> = afters.iter().copied().collect();
    let now = afters.iter().map(|(key, attempt)| (was.get(key).copied(), Some(*attempt)));
    let gone = befores.iter().filter(|(key, _)| !is.contains_key(key));
    let gone = gone.map(|(_, attempt)| (Some(*attempt), None));
    now.chain(gone).filter_map(|both| attempt(both, manner)).collect()
}

fn keyed(scenario: &ScenarioResult) -> Vec<(Key<'_>, &AttemptResult)> {
    let mut seen: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    let mut keyed = Vec::new();
    for attempt in &scenario.attempts {
        let (name, persona, door) = (&*attempt.name, &*attempt.persona, &*attempt.door);
        let which = seen.entry((name, persona, door)).or_default();
        keyed.push(((name, persona, door, *which), attempt));
        *which += 1;
    }
    keyed
}

fn attempt(
    (before, after): (Option<&AttemptResult>, Option<&AttemptResult>),
    manner: &Manner<'_>,
) -> Option<AttemptChange> {
    let some = after.or(before)?;
    let judged = (before.map(|it| &it.judgement), after.map(|it| &it.judgement));
    let mut changes: Vec<Change> = verdict(judged, manner).into_iter().collect();
    if let (Some(before), Some(after), false) = (before, after, manner.is_core) {
        changes.extend(details(before, after, manner.masks));
    }
    let is_changed = !changes.is_empty();
    is_changed.then(|| AttemptChange { role: some.role.label(), who: some.who(), changes })
}

/// The verdict, with the reasons for which it failed: for one more of them it is worse.
fn verdict(
    (before, after): (Option<&Judgement>, Option<&Judgement>),
    manner: &Manner<'_>,
) -> Option<Change> {
    let told = |it: Option<&Judgement>| it.map(Judgement::verdict_words).unwrap_or_default();
    let of = |it: Option<&Judgement>| it.map(|it| it.verdict);
    let weight = match (before, after) {
        (Some(was), Some(is)) if was.verdict == Verdict::Failed && is.verdict == was.verdict => {
            let (was, is) = (was.reasons(), is.reasons());
            if !is.is_subset(&was) { Weight::Worse } else { Weight::Better }
        }
        _ => weigh(of(before), of(after), manner.is_alike),
    };
    let (before, after) = (told(before), told(after));
    (before != after).then(|| Change::new(weight, VERDICT, before, after))
}

/// What is different beside the verdict, which says nothing of better or worse.
fn details(before: &AttemptResult, after: &AttemptResult, masks: &(Mask, Mask)) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut tell = |what: &'static str, of: fn(&AttemptResult) -> String| {
        changes.extend(other(what, masks.0.text(&of(before)), masks.1.text(&of(after))));
    };
    tell("layer", layer);
    tell("words", words);
    tell("outcome", |it| it.judgement.outcome.clone());
    tell("log", |it| it.judgement.logged.clone());
    tell("got", |it| {
        let got = it.judgement.findings.iter().map(|finding| finding.got.as_str());
        got.collect::<Vec<_>>().join("; ")
    });
    tell("cause", |it| it.judgement.causes.join("; "));
    match (&before.evidence, &after.evidence) {
        (Some(before), Some(after)) => changes.extend(evidence::changes((before, after), masks)),
        (was, is) => {
            let there = |it: bool| if it { "there" } else { "" }.to_owned();
            changes.extend(other(EVIDENCE, there(was.is_some()), there(is.is_some())));
        }
    }
    changes
}

/// Who decided.
fn layer(attempt: &AttemptResult) -> String {
    match attempt.evidence.as_ref().map(|evidence| &evidence.decision) {
        Some(Decision::Denied(denial)) => denial.layer.to_string(),
        Some(Decision::LetIn) => "nobody refused".to_owned(),
        Some(Decision::Unclear(_)) => "unknown".to_owned(),
        Some(Decision::Read) | None => String::new(),
    }
}

/// The words of a refusal, or why it is none that is known.
fn words(attempt: &AttemptResult) -> String {
    match attempt.evidence.as_ref().map(|evidence| &evidence.decision) {
        Some(Decision::Denied(denial)) => denial.message.clone(),
        Some(Decision::Unclear(why)) => why.clone(),
        Some(Decision::LetIn | Decision::Read) | None => String::new(),
    }
}
