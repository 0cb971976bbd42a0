//! The attempts of a scenario, as they were and as they are.

use std::collections::{BTreeMap, BTreeSet};

use super::mask::Mask;
use super::{AttemptChange, Change, EVIDENCE, VERDICT, Weight, evidence, other, weigh};
use crate::model::{
    Answer, AttemptResult, Decision, Finding, Holding, Judgement, Reason, ScenarioResult, Verdict,
};
use crate::text::count;

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
    let mut changes: Vec<Change> = verdict((before, after), manner).into_iter().collect();
    if let (Some(before), Some(after), false) = (before, after, manner.is_core) {
        changes.extend(details(before, after, manner.masks));
    }
    let is_changed = !changes.is_empty();
    is_changed.then(|| AttemptChange { role: some.role.label(), who: some.who(), changes })
}

/// The verdict. Where it failed before and fails now, what it fails for says which way that is.
fn verdict(
    (before, after): (Option<&AttemptResult>, Option<&AttemptResult>),
    manner: &Manner<'_>,
) -> Option<Change> {
    if let (Some(was), Some(is), false) = (before, after, manner.is_core)
        && [was, is].iter().all(|it| it.judgement.verdict == Verdict::Failed)
    {
        return Failure::of(was, &manner.masks.0).turned(&Failure::of(is, &manner.masks.1));
    }
    let told = |it: Option<&AttemptResult>| match it {
        Some(it) if manner.is_core => it.judgement.verdict.label().to_owned(),
        it => it.map(|it| it.judgement.verdict_words()).unwrap_or_default(),
    };
    let of = |it: Option<&AttemptResult>| it.map(|it| it.judgement.verdict);
    let weight = weigh(of(before), of(after), manner.is_alike);
    let (before, after) = (told(before), told(after));
    (before != after).then(|| Change::new(weight, VERDICT, before, after))
}

/// What an attempt failed for.
struct Failure<'a> {
    judgement: &'a Judgement,
    /// Each thing, and how often: one of another run is the same where it reads the same.
    things: BTreeMap<String, usize>,
    /// How many more there are that are not named.
    more: usize,
    /// Why not all of it could be told, and what was not answered.
    untold: BTreeSet<String>,
}

impl<'a> Failure<'a> {
    fn of(attempt: &'a AttemptResult, mask: &Mask) -> Failure<'a> {
        let answer = attempt.evidence.as_ref().map(|evidence| &evidence.answer);
        let findings = attempt.judgement.findings.iter();
        let named: BTreeSet<String> = findings.flat_map(|it| parts(it, answer)).collect();
        let mut things: BTreeMap<String, usize> = BTreeMap::new();
        for thing in named {
            *things.entry(mask.text(&thing)).or_default() += 1;
        }
        let (more, unanswered) = match answer {
            Some(Answer::Review(reviewed)) => (reviewed.more, &[][..]),
            Some(Answer::Rights(held)) => (0, &held.unanswered[..]),
            _ => (0, &[][..]),
        };
        let judgement = &attempt.judgement;
        let untold = judgement.causes.iter().chain(unanswered).map(|it| mask.text(it)).collect();
        Failure { judgement, things, more, untold }
    }

    /// What is different now; `None` where it fails for the same, and no less of it could be told.
    fn turned(&self, now: &Failure<'_>) -> Option<Change> {
        // What one cause says may be more now than before: only where none is left nothing is hidden.
        let is_blind = !now.untold.is_subset(&self.untold);
        let (added, gone) = (now.beyond(self), self.beyond(now));
        let is_same = added + gone == 0 && now.count() == self.count();
        // What was not named before may be what is named now.
        let weight = if added > self.more || now.count() > self.count() {
            Weight::Worse
        } else if is_same {
            if !is_blind {
                return None;
            }
            Weight::Worse
        } else if added == 0 && now.untold.is_empty() && now.count() < self.count() {
            Weight::Better
        } else {
            Weight::Other
        };
        let words = |it: &Failure<'_>| it.judgement.verdict_words();
        let (mut before, mut after) = (words(self), words(now));
        if before == after && !is_same {
            before += &format!(", for {}", count(self.count(), "thing"));
            after += &format!(", for {}, {added} new", count(now.count(), "thing"));
        }
        if is_blind {
            after += ", and not all of it could be told";
        }
        Some(Change::new(weight, VERDICT, before, after))
    }

    /// How many things are here and not there.
    fn beyond(&self, there: &Failure<'_>) -> usize {
        let more = |(thing, number): (&String, &usize)| {
            number.saturating_sub(there.things.get(thing).copied().unwrap_or_default())
        };
        self.things.iter().map(more).sum()
    }

    fn count(&self) -> usize {
        self.things.values().sum::<usize>() + self.more
    }
}

/// What a finding is about: each flaw, and each right or grant that somebody holds. An attack that was let in is one
/// thing whatever it answered.
fn parts(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    let label = finding.reason.label();
    let all = |things: Vec<String>| -> Vec<String> {
        things.iter().map(|it| format!("{label}: {it}")).collect()
    };
    match (finding.reason, answer) {
        (Reason::Misconfigured, _) => all(vec![finding.got.clone()]),
        (Reason::Bypassed, Some(Answer::Grants(granted))) => all(granted.others.clone()),
        (Reason::Bypassed, Some(Answer::Rights(held))) => {
            let rights = |it: &Holding| {
                let held =
                    it.rights.iter().map(|right| format!("{} may {right} {}", it.who, it.place));
                held.collect::<Vec<_>>()
            };
            all(held.others.iter().flat_map(rights).collect())
        }
        _ => vec![label.to_owned()],
    }
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
