//! What is different between two results, as text: the worst first.

use super::block::{WIDTH, entry};
use super::text::{ended, wrap};
use crate::compare::{AttemptChange, Change, Comparison, Presence, ScenarioChange, Weight};
use crate::text::count;

/// How many lines of one text are shown.
const LINES: usize = 6;

/// How many differences of one attempt's evidence are shown.
const MOST: usize = 6;

/// What stands where there is nothing.
const NOTHING: &str = "nothing";

/// The whole comparison, each line ended.
pub fn comparison(comparison: &Comparison) -> String {
    let runs = |label: &str, runs: &[String]| {
        let lines = runs.iter().flat_map(|run| wrap(run, WIDTH - 10, LINES));
        entry(0, label, lines.collect())
    };
    let mut lines = runs("before", &comparison.before);
    lines.extend(runs("after", &comparison.after));
    lines.extend(runs("beware", &comparison.limits));
    if !comparison.whole.is_empty() {
        lines.push(String::new());
        lines.extend(comparison.whole.iter().flat_map(whole));
    }
    lines.extend(comparison.scenarios.iter().flat_map(scenario));
    lines.push(String::new());
    lines.extend(wrap(&score(comparison), WIDTH, LINES));
    ended(lines)
}

/// `109 scenarios in both: 1 worse, 0 better, 2 other, 106 the same. 1 newly skipped, 0 new, 0 gone.`
pub(super) fn score(comparison: &Comparison) -> String {
    let told = |weight: Weight| format!("{} {}", comparison.count(weight), weight.label());
    let weights = [Weight::Worse, Weight::Better, Weight::Other].map(told).join(", ");
    let changed = comparison.scenarios.len();
    let (new, gone) = (comparison.count_of(Presence::New), comparison.count_of(Presence::Gone));
    let same = (comparison.in_both + new + gone).saturating_sub(changed);
    let skipped = comparison.scenarios.iter().filter(|it| it.is_newly_skipped).count();
    let both = count(comparison.in_both, "scenario");
    format!(
        "{both} in both, {new} new, {gone} gone: {weights}, {same} the same; {skipped} newly skipped."
    )
}

fn whole(change: &Change) -> Vec<String> {
    let word = change.weight.label().to_uppercase();
    let text = format!("{}: {}", change.what, arrow(change));
    headed(&word, &text)
}

/// Text behind a word, and below itself.
fn headed(word: &str, text: &str) -> Vec<String> {
    let indent = word.len() + 2;
    let mut lines = wrap(text, WIDTH - indent, LINES).into_iter();
    let first = format!("{word}  {}", lines.next().unwrap_or_default());
    std::iter::once(first).chain(lines.map(|line| format!("{:indent$}{line}", ""))).collect()
}

fn scenario(change: &ScenarioChange) -> Vec<String> {
    let place =
        if change.place.is_empty() { String::new() } else { format!(" ({})", change.place) };
    let word = change.weight.label().to_uppercase();
    let mut lines = vec![String::new()];
    lines.extend(headed(&word, &format!("{}{place}: {}", change.id, change.title)));
    lines.extend(told(2, &change.changes));
    lines.extend(change.attempts.iter().flat_map(attempt));
    lines
}

fn attempt(change: &AttemptChange) -> Vec<String> {
    let mut lines = entry(2, change.role, wrap(&change.who, WIDTH - 12, LINES));
    lines.extend(told(4, &change.changes));
    lines
}

/// Changes, a name before each. Of the evidence the first are shown.
fn told(indent: usize, changes: &[Change]) -> Vec<String> {
    let (evidence, others): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| !change.place.is_empty());
    let shown = others.into_iter().chain(evidence.iter().copied().take(MOST));
    let line = |change: &Change| {
        let place =
            if change.place.is_empty() { String::new() } else { format!("{}: ", change.place) };
        let text = format!("{place}{}", arrow(change));
        entry(indent, change.what, wrap(&text, WIDTH - indent - 10, LINES))
    };
    let mut lines: Vec<String> = shown.flat_map(line).collect();
    if evidence.len() > MOST {
        let more = format!("and {} more", evidence.len() - MOST);
        lines.extend(entry(indent, "", vec![more]));
    }
    lines
}

/// `passed → failed (bypassed)`
fn arrow(change: &Change) -> String {
    let told = |text: &str| if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() };
    format!("{} → {}", told(&change.before), told(&change.after))
}
