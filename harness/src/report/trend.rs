//! A trend as text: a letter for each run, when a verdict turned, and times.

use super::block::{WIDTH, entry, seconds};
use super::text::{ended, wrap};
use crate::model::Verdict;
use crate::text::{count, visible};
use crate::trend::{Course, Place, Run, Seen, Times, Trend, Turn};

/// How many runs have a letter: the last ones.
const LETTERS: usize = 40;

/// The whole trend, each line ended.
pub fn trend(trend: &Trend) -> String {
    let mut lines = entry(0, "marks", wrap(&legend(), WIDTH - 12, 4));
    for place in &trend.places {
        lines.push(String::new());
        lines.extend(wrap(&heading(place), WIDTH, 4));
        lines.extend(place.courses.iter().flat_map(|course| told(place, course)));
    }
    ended(lines)
}

/// What the letters mean.
fn legend() -> String {
    use Verdict::{Failed, Inconclusive, Passed, Skipped};
    let verdicts =
        [Passed, Failed, Inconclusive, Skipped].map(|it| Seen { verdict: it, is_waived: false });
    let waived = Seen { verdict: Failed, is_waived: true };
    let told = |seen: Seen| format!("{} {}", letter(Some(seen)), seen.label());
    let told: Vec<String> = verdicts.into_iter().chain([waived]).map(told).collect();
    format!("{}, a blank where it was not in the run", told.join(", "))
}

/// `kind, profile hardened: 12 runs from … to …`
pub(super) fn heading(place: &Place) -> String {
    let day = |at: Option<&Run>| at.map(|run| run.started.clone()).unwrap_or_default();
    let early = place.runs.iter().filter(|run| run.is_early).count();
    let early = if early == 0 { String::new() } else { format!(", of which {early} ended early") };
    let (first, last) = (day(place.runs.first()), day(place.runs.last()));
    let runs = count(place.runs.len(), "run");
    format!("{}: {runs} from {first} to {last}{early}", place.name)
}

fn told(place: &Place, course: &Course) -> Vec<String> {
    let from = course.seen.len().saturating_sub(LETTERS);
    let letters: String = course.seen.iter().skip(from).map(|seen| letter(*seen)).collect();
    let mut lines = vec![format!("  {letters}  {}", visible(&course.id))];
    let indent = letters.chars().count() + 4;
    let turns = course.turns.iter().rev().map(|it| turn(place, it));
    let times = course.times.as_ref().map(times);
    let told = turns.take(MOST).chain(times).flat_map(|text| wrap(&text, WIDTH - indent, 4));
    lines.extend(told.map(|line| format!("{:indent$}{line}", "")));
    lines
}

/// `passed → failed at 2026-11-20T03:00:00Z (run 97a0a8)`
pub(super) fn turn(place: &Place, turn: &Turn) -> String {
    let at = place.runs.get(turn.run).map(|run| format!("{} (run {})", run.started, run.id));
    format!("{} → {} at {}", turn.before.label(), turn.after.label(), at.unwrap_or_default())
}

/// How many turns of a scenario are told: the last ones.
const MOST: usize = 5;

/// `0.4 s, of 0.2 s to 0.9 s, half of them within 0.3 s`
pub(super) fn times(times: &Times) -> String {
    let Times { least, median, most, last } = times;
    format!(
        "last {}, of {} to {}, half of them within {}",
        seconds(*last),
        seconds(*least),
        seconds(*most),
        seconds(*median)
    )
}

/// What stands for a run.
pub(super) fn letter(seen: Option<Seen>) -> char {
    match seen {
        None => ' ',
        Some(seen) if seen.is_waived => 'w',
        Some(seen) => match seen.verdict {
            Verdict::Passed => '.',
            Verdict::Skipped => 's',
            Verdict::Inconclusive => '?',
            Verdict::Failed => 'F',
        },
    }
}
