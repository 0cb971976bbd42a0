//! One run, as its section of the page shows it.

use std::collections::BTreeMap;

use super::WORDS;
use super::proof::ProofView;
use crate::model::{AttemptResult, Finding, Reason, Results, ScenarioResult, Verdict, WAIVED};
use crate::report::block::{self, seconds};
use crate::report::evidence::{self, Part};
use crate::text::count;

/// A run.
pub(super) struct Run<'a> {
    pub(super) number: usize,
    pub(super) heading: String,
    pub(super) facts: String,
    pub(super) results: &'a Results,
    pub(super) counts: Vec<Count>,
    pub(super) bad: Vec<Scenario<'a>>,
    pub(super) waivers: Vec<Waiver>,
    pub(super) skipped: Vec<Skipped<'a>>,
    pub(super) controls: Vec<Control<'a>>,
    pub(super) proof: Option<ProofView<'a>>,
    pub(super) families: Vec<Family<'a>>,
}

/// How many scenarios, or weakenings of a proof, came out so.
pub(super) struct Count {
    pub(super) class: &'static str,
    pub(super) number: usize,
    pub(super) label: String,
}

/// A waiver that somebody must change.
pub(super) struct Waiver {
    pub(super) class: &'static str,
    pub(super) text: String,
}

/// Scenarios that were skipped for the same cause.
pub(super) struct Skipped<'a> {
    pub(super) count: String,
    pub(super) cause: &'a str,
    pub(super) scenarios: Vec<Chip<'a>>,
}

/// A control, and the scenarios that test it.
pub(super) struct Control<'a> {
    pub(super) id: &'a str,
    pub(super) is_unmet: bool,
    pub(super) counts: Vec<(&'static str, usize)>,
    pub(super) scenarios: Vec<Chip<'a>>,
}

/// A scenario in a few letters.
pub(super) struct Chip<'a> {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) anchor: String,
    pub(super) id: &'a str,
}

/// A family.
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) scenarios: Vec<Scenario<'a>>,
}

/// A scenario with all its evidence.
pub(super) struct Scenario<'a> {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) anchor: String,
    pub(super) took: String,
    pub(super) result: &'a ScenarioResult,
    pub(super) groups: Vec<Group>,
    pub(super) waived: Vec<String>,
    pub(super) attempts: Vec<Attempt<'a>>,
}

/// What failed for the same reason, or could not be told.
pub(super) struct Group {
    pub(super) heading: String,
    pub(super) count: String,
    pub(super) fields: Vec<(&'static str, Vec<String>)>,
}

/// An attempt.
pub(super) struct Attempt<'a> {
    pub(super) class: &'static str,
    pub(super) role: &'static str,
    pub(super) who: String,
    /// Whether what came of it is not as expected.
    pub(super) is_bad: bool,
    /// Whether the log is not.
    pub(super) is_badly_logged: bool,
    pub(super) outcome: &'a str,
    pub(super) logged: &'a str,
    pub(super) findings: &'a [Finding],
    pub(super) causes: &'a [String],
    pub(super) evidence: Vec<Part>,
}

/// What a scenario is shown as.
fn word(result: &ScenarioResult) -> &'static str {
    if result.is_waived() { WAIVED } else { result.verdict.label() }
}

impl<'a> Run<'a> {
    /// What is to be shown of a run.
    pub(super) fn of(number: usize, results: &'a Results) -> Run<'a> {
        let all = || results.scenarios.iter().enumerate();
        let scenario = |(position, result): (usize, &'a ScenarioResult)| {
            Scenario::of(anchor(number, position), result)
        };
        let mut bad: Vec<&(usize, &ScenarioResult)> = Vec::new();
        let placed: Vec<(usize, &ScenarioResult)> = all().collect();
        bad.extend(placed.iter().filter(|(_, result)| result.is_bad()));
        bad.sort_by_key(|(_, result)| std::cmp::Reverse(result.verdict));
        let bad = bad.into_iter().copied().map(scenario).collect();
        let mut families: Vec<Family<'a>> = Vec::new();
        for (position, result) in all() {
            let it = scenario((position, result));
            match families.last_mut().filter(|family| family.name == result.family) {
                Some(family) => family.scenarios.push(it),
                None => families.push(Family { name: &result.family, scenarios: vec![it] }),
            }
        }
        let waivers = results.waivers.iter().filter(|it| it.state.is_bad());
        let waiver = |it| Waiver { class: Verdict::Failed.label(), text: block::settled(it) };
        Run {
            number,
            heading: heading(results),
            facts: facts(results),
            results,
            counts: counts(results),
            bad,
            waivers: waivers.map(waiver).collect(),
            skipped: skipped(number, results),
            controls: controls(number, results),
            proof: results.proof.as_ref().map(|proof| ProofView::of(number, proof)),
            families,
        }
    }
}

impl Run<'_> {
    /// What the page counts first, by what it counts: of a proof its weakenings, and its scenarios only where it has some.
    pub(super) fn headline(&self) -> Vec<(&'static str, &[Count])> {
        let weakenings = self.proof.as_ref().map(|proof| ("Weakenings", proof.counts.as_slice()));
        let has_scenarios = self.proof.is_none() || !self.results.scenarios.is_empty();
        let scenarios = has_scenarios.then_some(("Scenarios", self.counts.as_slice()));
        weakenings.into_iter().chain(scenarios).collect()
    }
}

fn anchor(run: usize, position: usize) -> String {
    format!("s{run}-{position}")
}

fn heading(results: &Results) -> String {
    let what = if results.proof.is_some() { "Proof" } else { "Run" };
    match results.run.as_str() {
        "" => "A run that did not begin".to_owned(),
        run if results.cluster.is_empty() => format!("{what} {run}"),
        run => format!("{what} {run}: profile {} on {}", results.profile, results.place()),
    }
}

fn facts(results: &Results) -> String {
    let took = results.summary.as_ref().map(|summary| format!("took {}", seconds(summary.took)));
    // A proof has scenarios of its own only where nothing was weakened.
    let summary = results.summary.as_ref().filter(|_| results.proof.is_none());
    let attempts = summary.map(|summary| count(summary.attempts, "attempt"));
    let told = |name: &str, text: &str| (!text.is_empty()).then(|| format!("{name} {text}"));
    let parts = [
        told("Kubernetes", &results.kubernetes),
        told("on", &results.cluster),
        told("began", &results.started),
        took,
        attempts,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn counts(results: &Results) -> Vec<Count> {
    let number = |label| results.scenarios.iter().filter(|it| word(it) == label).count();
    let count = |label: &'static str| Count {
        class: label,
        number: number(label),
        label: label.to_owned(),
    };
    let counts = WORDS.into_iter().map(count);
    counts.filter(|count| count.class != WAIVED || count.number > 0).collect()
}

fn chip(run: usize, (position, result): (usize, &ScenarioResult)) -> Chip<'_> {
    let word = word(result);
    Chip { class: word, word, anchor: anchor(run, position), id: &result.id }
}

/// What was not tried, by its causes.
fn skipped(run: usize, results: &Results) -> Vec<Skipped<'_>> {
    let mut causes: BTreeMap<&str, Vec<Chip<'_>>> = BTreeMap::new();
    for (position, result) in results.scenarios.iter().enumerate() {
        if result.verdict == Verdict::Skipped {
            let cause = result.cause.as_deref().unwrap_or_default();
            causes.entry(cause).or_default().push(chip(run, (position, result)));
        }
    }
    let group = |(cause, scenarios): (_, Vec<_>)| Skipped {
        count: count(scenarios.len(), "scenario"),
        cause,
        scenarios,
    };
    let mut groups: Vec<_> = causes.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.scenarios.len()));
    groups
}

/// Every control, with the scenarios that test it.
fn controls(run: usize, results: &Results) -> Vec<Control<'_>> {
    let mut controls: BTreeMap<&str, Vec<(usize, &ScenarioResult)>> = BTreeMap::new();
    for (position, result) in results.scenarios.iter().enumerate() {
        for control in &result.controls {
            controls.entry(control).or_default().push((position, result));
        }
    }
    for unmet in &results.unmet {
        controls.entry(&unmet.control).or_default();
    }
    let unmet: Vec<&str> = results.unmet.iter().map(|unmet| unmet.control.as_str()).collect();
    let mut views = Vec::new();
    for (id, scenarios) in controls {
        let number = |label| scenarios.iter().filter(|(_, it)| word(it) == label).count();
        views.push(Control {
            id,
            is_unmet: unmet.contains(&id),
            counts: WORDS.map(|label| (label, number(label))).into(),
            scenarios: scenarios.iter().map(|it| chip(run, *it)).collect(),
        });
    }
    views
}

impl<'a> Scenario<'a> {
    /// What is to be shown of a scenario, which others find by its anchor.
    pub(super) fn of(anchor: String, result: &'a ScenarioResult) -> Scenario<'a> {
        let waived = result.waived.iter().flat_map(|waived| &waived.by);
        Scenario {
            class: word(result),
            word: word(result),
            anchor,
            took: if result.verdict == Verdict::Skipped {
                String::new()
            } else {
                seconds(result.took)
            },
            result,
            groups: groups(result),
            waived: waived.map(|by| block::answered_for(&by.entry)).collect(),
            attempts: result.attempts.iter().map(attempt).collect(),
        }
    }
}

fn attempt(result: &AttemptResult) -> Attempt<'_> {
    let judgement = &result.judgement;
    let of_log =
        |finding: &Finding| [Reason::Unlogged, Reason::WronglyLogged].contains(&finding.reason);
    let is_bad = judgement.verdict.is_bad();
    let is_unclear = judgement.causes.len() > judgement.causes_of_log;
    let is_of_log = !["", "logged"].contains(&&*judgement.logged) || judgement.causes_of_log > 0;
    let is_of_answer = is_unclear || !judgement.findings.iter().all(of_log);
    Attempt {
        class: judgement.verdict.label(),
        role: result.role.label(),
        who: result.who(),
        is_bad: is_bad && is_of_answer,
        is_badly_logged: is_bad && is_of_log,
        outcome: &judgement.outcome,
        logged: &judgement.logged,
        findings: &judgement.findings,
        causes: &judgement.causes,
        evidence: evidence::parts(result),
    }
}

/// What is wrong with a scenario, reason by reason, and what could not be told.
fn groups(result: &ScenarioResult) -> Vec<Group> {
    let mut groups: Vec<Group> =
        result.reasons().into_iter().map(|reason| failed(result, reason)).collect();
    let unclear = result.attempts.iter().filter(|it| !it.judgement.causes.is_empty());
    let unclear: Vec<&AttemptResult> = unclear.collect();
    if !unclear.is_empty() {
        let causes = unclear.iter().flat_map(|it| &it.judgement.causes);
        groups.push(Group {
            heading: Verdict::Inconclusive.heading().to_owned(),
            count: count(unclear.len(), "attempt"),
            fields: vec![("cause", block::distinct(causes))],
        });
    }
    groups
}

fn failed(result: &ScenarioResult, reason: Reason) -> Group {
    let findings = |it: &'_ AttemptResult| {
        let findings = it.judgement.findings.iter();
        findings.filter(|finding| finding.reason == reason).cloned().collect::<Vec<_>>()
    };
    let concerned: Vec<Vec<Finding>> =
        result.attempts.iter().map(findings).filter(|findings| !findings.is_empty()).collect();
    let field = |label, of: fn(&Finding) -> &String| {
        (label, block::distinct(concerned.iter().flatten().map(of)))
    };
    let fields = [
        field("expected", |it| &it.expected),
        field("got", |it| &it.got),
        field("who", |it| &it.who),
        field("look at", |it| &it.look_at),
    ];
    Group {
        heading: reason.heading(),
        count: count(concerned.len(), "attempt"),
        fields: fields.into_iter().filter(|(_, texts)| !texts.is_empty()).collect(),
    }
}
