//! Two results, attempt by attempt: what is worse, better or otherwise different after a change.
//!
//! ```text
//! Results, Results ─▶ pairs by scenario, attempt, persona and door ─▶ weighed ─▶ Comparison
//! ```
//!
//! What differs between any two runs by design is masked first (`mask`): ids, times, addresses.

mod attempt;
mod evidence;
mod mask;
mod pair;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{LEFT_BEHIND, NOT_ACTING, Results, ScenarioResult, Verdict, WAIVED};
use crate::text::count;

use attempt::Manner;
use mask::Mask;
use pair::{Pair, pairs};

/// What is different between two results.
#[derive(Debug)]
pub struct Comparison {
    /// The runs before, each in a line.
    pub before: Vec<String>,
    /// The runs after, each in a line.
    pub after: Vec<String>,
    /// What cannot be compared, and why.
    pub limits: Vec<String>,
    /// What is different of the run as a whole.
    pub whole: Vec<Change>,
    /// The scenarios that are different, the worst first, and else in the order of the catalog.
    pub scenarios: Vec<ScenarioChange>,
    /// How many scenarios are in both.
    pub in_both: usize,
    /// How many scenarios had which verdict and have which one, and which way that is.
    pub moves: BTreeMap<Move, (Weight, usize)>,
}

/// The verdicts of a scenario before and after; `None` where it is not there.
pub type Move = (Option<Verdict>, Option<Verdict>);

/// Which way something changed, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It passed and does not any more, or it fails for more than before, or something was seen that is not any more.
    Worse,
    /// It passes now, or it fails for less than before.
    Better,
    /// The verdict says the same, or neither says more than the other.
    Other,
}

/// In which of the two results a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In both.
    Both,
    /// Only after.
    New,
    /// Only before.
    Gone,
}

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which way.
    pub weight: Weight,
    /// What: `verdict`, `layer`, `evidence`.
    pub what: &'static str,
    /// Where in the evidence: `answer.http.code`; empty where it is not evidence.
    pub place: String,
    /// What it was; empty where there was nothing.
    pub before: String,
    /// What it is; empty where there is nothing.
    pub after: String,
}

/// A scenario that is different.
#[derive(Debug)]
pub struct ScenarioChange {
    /// The worst of its changes.
    pub weight: Weight,
    /// Where it is.
    pub presence: Presence,
    /// The run that it is of, where several were compared.
    pub place: String,
    /// Its id.
    pub id: String,
    /// What is attempted.
    pub title: String,
    /// Whether it was tried and is skipped now.
    pub is_newly_skipped: bool,
    /// What is different of it as a whole.
    pub changes: Vec<Change>,
    /// The attempts that are different, in their order.
    pub attempts: Vec<AttemptChange>,
}

/// An attempt that is different.
#[derive(Debug, PartialEq, Eq)]
pub struct AttemptChange {
    /// What it is in its scenario: `attack`.
    pub role: &'static str,
    /// Who acted, and how: `a shell, operator, GET WebSocket`.
    pub who: String,
    /// What is different.
    pub changes: Vec<Change>,
}

/// Two results cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotCompared {
    /// Two runs of one merged result cannot be told apart.
    #[error(
        "it holds two runs on {0}, and nothing tells which of them is meant: compare the results of single runs"
    )]
    Alike(String),
    /// What a proof found belongs to weakenings.
    #[error("it is a proof, and `brinell compare` takes runs")]
    Proof,
}

impl Comparison {
    /// Compares two results.
    ///
    /// # Errors
    /// Where one is a proof, or where runs that were merged cannot be told apart; `true` if it is the second one's.
    pub fn of(before: &Results, after: &Results) -> Result<Comparison, (NotCompared, bool)> {
        let pairs = pairs(before, after)?;
        let mut limits: Vec<String> = pairs.iter().flat_map(Pair::limits).collect();
        limits.sort();
        limits.dedup();
        let mut scenarios: Vec<ScenarioChange> = pairs.iter().flat_map(differing).collect();
        scenarios.sort_by_key(|change| change.weight);
        Ok(Comparison {
            before: lines(before),
            after: lines(after),
            limits,
            whole: pairs.iter().flat_map(whole).collect(),
            scenarios,
            in_both: pairs.iter().flat_map(Pair::scenarios).filter(is_both).count(),
            moves: moves(&pairs),
        })
    }

    /// How many scenarios changed this way.
    pub fn count(&self, weight: Weight) -> usize {
        self.scenarios.iter().filter(|change| change.weight == weight).count()
    }

    /// How many scenarios are only in one of the two.
    pub fn count_of(&self, presence: Presence) -> usize {
        self.scenarios.iter().filter(|change| change.presence == presence).count()
    }

    /// Whether anything is worse.
    pub fn is_worse(&self) -> bool {
        self.count(Weight::Worse) > 0 || self.whole.iter().any(|it| it.weight == Weight::Worse)
    }
}

impl Change {
    fn new(weight: Weight, what: &'static str, before: String, after: String) -> Change {
        Change { weight, what, place: String::new(), before, after }
    }
}

impl Weight {
    /// As a sentence names it.
    pub fn label(self) -> &'static str {
        match self {
            Weight::Worse => "worse",
            Weight::Better => "better",
            Weight::Other => "other",
        }
    }
}

/// The verdict, on which it depends what is worse.
const VERDICT: &str = "verdict";

/// What an attempt's verdict rests on.
const EVIDENCE: &str = "evidence";

/// Why a run did not come to its end as it should.
const ENDED_EARLY: &str = "its end";

/// One scenario, as it was and as it is.
type Both<'a> = (Option<&'a ScenarioResult>, Option<&'a ScenarioResult>);

fn is_both((before, after): &Both<'_>) -> bool {
    before.is_some() && after.is_some()
}

/// A result in lines, one for each run.
fn lines(results: &Results) -> Vec<String> {
    let runs = results.split();
    runs.iter().map(line).collect()
}

fn line(run: &Results) -> String {
    let Results { run: id, started, kubernetes, profile, cluster, .. } = run;
    let scenarios = count(run.scenarios.len(), "scenario");
    format!(
        "run {id} of {started}, Kubernetes {kubernetes} on {cluster}, profile {profile}, {scenarios}"
    )
}

/// What changed of a run as a whole: whether it came to its end, and which controls acted.
fn whole(pair: &Pair) -> Vec<Change> {
    let (before, after) = (pair.before.as_ref(), pair.after.as_ref());
    let ended = |run: Option<&Results>| told_of(run, Results::early_end);
    let left = |run: Option<&Results>| told_of(run, Results::left_behind);
    let ended = loss(ENDED_EARLY, ended(before), ended(after));
    let left = loss(LEFT_BEHIND, left(before), left(after));
    let mut changes: Vec<Change> = ended.into_iter().chain(left).collect();
    let (was, is) = (unmet(before), unmet(after));
    let lost = is.iter().filter(|it| !was.contains(*it));
    changes.extend(lost.filter_map(|it| loss(NOT_ACTING, String::new(), (*it).to_owned())));
    let mended = was.iter().filter(|it| !is.contains(*it));
    changes.extend(mended.filter_map(|it| loss(NOT_ACTING, (*it).to_owned(), String::new())));
    changes
}

/// The controls that did not act.
fn unmet(run: Option<&Results>) -> BTreeSet<&str> {
    run.into_iter().flat_map(|run| &run.unmet).map(|it| it.control.as_str()).collect()
}

/// What is wrong with a run in one way; empty where nothing is.
fn told_of(run: Option<&Results>, of: fn(&Results) -> Option<&str>) -> String {
    let told = run.and_then(of).map(|text| Mask::of(run).text(text));
    told.unwrap_or_default()
}

/// A change of something of which nothing should be there.
fn loss(what: &'static str, before: String, after: String) -> Option<Change> {
    let weight = match (before.is_empty(), after.is_empty()) {
        (true, false) => Weight::Worse,
        (false, true) => Weight::Better,
        _ => Weight::Other,
    };
    (before != after).then(|| Change::new(weight, what, before, after))
}

/// All moves. Where the same one weighs more in one run than in another, it is as bad as the worst.
fn moves(pairs: &[Pair]) -> BTreeMap<Move, (Weight, usize)> {
    let mut moves: BTreeMap<Move, (Weight, usize)> = BTreeMap::new();
    let verdict = |it: Option<&ScenarioResult>| it.map(|it| it.verdict);
    for pair in pairs {
        let is_alike = pair.is_alike();
        for (before, after) in pair.scenarios() {
            let (before, after) = (verdict(before), verdict(after));
            let weight = weigh(before, after, is_alike);
            let (worst, number) = moves.entry((before, after)).or_insert((weight, 0));
            (*worst, *number) = ((*worst).min(weight), *number + 1);
        }
    }
    moves
}

/// The scenarios of two runs that are different.
fn differing(pair: &Pair) -> Vec<ScenarioChange> {
    let masks = pair.masks();
    let manner = Manner { masks: &masks, is_core: pair.is_core(), is_alike: pair.is_alike() };
    pair.scenarios().into_iter().filter_map(|both| scenario(&pair.place, &manner, both)).collect()
}

fn scenario(place: &str, manner: &Manner<'_>, (before, after): Both<'_>) -> Option<ScenarioChange> {
    let some = after.or(before)?;
    let (presence, attempts) = match (before, after) {
        (Some(was), Some(is)) if was.attempts.is_empty() || is.attempts.is_empty() => {
            // What was not tried is told as a whole.
            (Presence::Both, Vec::new())
        }
        (Some(was), Some(is)) => (Presence::Both, attempt::changes(was, is, manner)),
        (None, _) => (Presence::New, Vec::new()),
        (_, None) => (Presence::Gone, Vec::new()),
    };
    let mut changes = told((before, after), manner);
    changes.extend(lost((before, after), manner));
    let of_attempts = attempts.iter().flat_map(|attempt| &attempt.changes);
    let weight = changes.iter().chain(of_attempts).map(|change| change.weight).min()?;
    let is_skipped = |it: &ScenarioResult| it.verdict == Verdict::Skipped;
    Some(ScenarioChange {
        weight,
        presence,
        place: place.to_owned(),
        id: some.id.clone(),
        title: some.title.clone(),
        is_newly_skipped: before.is_some_and(|it| !is_skipped(it)) && after.is_some_and(is_skipped),
        changes,
        attempts,
    })
}

/// What changed of a scenario as a whole.
fn told((before, after): Both<'_>, manner: &Manner<'_>) -> Vec<Change> {
    let verdict = |it: Option<&ScenarioResult>| it.map(|it| it.verdict);
    let (was, is) = (verdict(before), verdict(after));
    let label = |it: Option<Verdict>| it.map(Verdict::label).unwrap_or_default().to_owned();
    let weight = weigh(was, is, manner.is_alike);
    let mut changes = Vec::new();
    if was != is {
        changes.push(Change::new(weight, VERDICT, label(was), label(is)));
    }
    if let (Some(was), Some(is), false) = (before, after, manner.is_core) {
        let cause = |it: &ScenarioResult, mask: &Mask| mask.text(it.cause.as_deref().unwrap_or(""));
        changes.extend(other("cause", cause(was, &manner.masks.0), cause(is, &manner.masks.1)));
        let waived = |it: &ScenarioResult| if it.is_waived() { WAIVED } else { "" }.to_owned();
        changes.extend(other("waiver", waived(was), waived(is)));
        changes.extend(time(was, is).filter(|_| manner.is_alike));
    }
    changes
}

/// The attempts that passed and of which none was made now: something was seen that is not seen any more, whatever
/// became of the scenario. Where it is skipped its verdict says how that weighs.
fn lost((before, after): Both<'_>, manner: &Manner<'_>) -> Option<Change> {
    let (was, is) = (before?, after?);
    let passed = was.attempts.iter().filter(|it| it.judgement.verdict == Verdict::Passed).count();
    if passed == 0 || !is.attempts.is_empty() {
        return None;
    }
    let is_worse = manner.is_alike && is.verdict != Verdict::Skipped;
    let weight = if is_worse { Weight::Worse } else { Weight::Other };
    Some(Change::new(weight, "attempts", format!("{passed} passed"), "none was made".to_owned()))
}

/// How much longer or shorter a scenario must have taken to be told: times differ by design.
const MUCH: (u32, Duration) = (3, Duration::from_secs(5));

/// How long a scenario took, where that is very different.
fn time(was: &ScenarioResult, is: &ScenarioResult) -> Option<Change> {
    let (short, long) = (was.took.min(is.took), was.took.max(is.took));
    let is_much = long > short * MUCH.0 && long - short > MUCH.1;
    let told = |it: &ScenarioResult| format!("{:.1} s", it.took.as_secs_f64());
    other("time", told(was), told(is)).filter(|_| is_much)
}

/// Which way a verdict changed. What is not there is as good as skipped. Where the two are not alike, a skip of one of
/// them says nothing.
fn weigh(before: Option<Verdict>, after: Option<Verdict>, is_alike: bool) -> Weight {
    let rank = |verdict: Option<Verdict>| verdict.unwrap_or(Verdict::Skipped);
    let skips = [before, after].contains(&Some(Verdict::Skipped));
    match (rank(before), rank(after)) {
        _ if skips && !is_alike => Weight::Other,
        (before, after) if after == before => Weight::Other,
        (_, Verdict::Passed) => Weight::Better,
        (before, after) if after > before => Weight::Worse,
        // It failed or did not tell, and now less is known of it: that is no success.
        _ => Weight::Other,
    }
}

/// A change that says nothing of better or worse.
fn other(what: &'static str, before: String, after: String) -> Option<Change> {
    (before != after).then(|| Change::new(Weight::Other, what, before, after))
}

#[cfg(test)]
mod tests;
