//! A proof as text: a line for each weakening, the matrix of weakenings against scenarios, and the score.

use std::collections::BTreeMap;

use super::block::{self, WIDTH, entry, seconds};
use super::paint::Paint;
use super::text::{ended, wrap, wrap_lines};
use crate::model::{
    AS_KNOWN, Cell, Mark, Outcome, Proof, STALE, ScenarioResult, VACUOUS, Vacuous, Verdict,
    WeakeningResult,
};
use crate::text::count;

/// How many scenarios one table holds, each with a letter of its own.
const COLUMNS: usize = 52;

/// Where the columns begin.
const NAMES: usize = 36;

/// What the marks mean.
const LEGEND: &str = "C caught, M expected to notice and did not, . green, ! another control's scenario turned red, ? something else";

/// What became of a weakening; `verbose` adds the scenarios that noticed.
pub(super) fn weakening(result: &WeakeningResult, verbose: bool, paint: Paint) -> String {
    let heading = result.outcome.heading();
    let (verdict, word) = match (result.outcome, &result.deviation) {
        (Outcome::Caught, _) => (Verdict::Passed, heading),
        (Outcome::Missed, None) => (Verdict::Failed, heading),
        (Outcome::Missed, Some(_)) => (Verdict::Skipped, format!("{heading}, {AS_KNOWN}")),
        (Outcome::Wrong, _) => (Verdict::Inconclusive, heading),
        (Outcome::Skipped, _) => (Verdict::Skipped, heading),
    };
    let indent = word.len() + 2;
    let by = if result.outcome == Outcome::Caught { by(result) } else { String::new() };
    let mut told = format!("{}{by}", result.id());
    if result.outcome != Outcome::Skipped {
        told.push_str(&format!(", {}", seconds(result.took)));
    }
    let mut lines: Vec<String> =
        wrap(&told, WIDTH - indent, 8).into_iter().map(|line| " ".repeat(indent) + &line).collect();
    if let Some(first) = lines.first_mut() {
        first.replace_range(..word.len(), &paint.verdict(verdict, &word));
    }
    let cause = result.deviation.as_ref().or(result.cause.as_ref());
    lines.extend(cause.into_iter().flat_map(|text| entry(2, "", wrap_lines(text, WIDTH - 12, 8))));
    if !result.unasked.is_empty() {
        let text = format!("not asked: {}", result.unasked.join(", "));
        lines.extend(entry(2, "", wrap(&text, WIDTH - 12, 8)));
    }
    let collateral: Vec<&str> = result.collateral().collect();
    if !collateral.is_empty() {
        let text = format!("{}: {}", Mark::Collateral.label(), collateral.join(", "));
        lines.extend(entry(2, "", wrap(&text, WIDTH - 12, 8)));
    }
    let mut text = ended(lines);
    for cell in &result.cells {
        let is_shown = match cell.mark {
            Mark::Wrong => true,
            Mark::Collateral => cell.deviation.is_none() || verbose,
            Mark::Caught => verbose,
            Mark::Green => verbose && cell.expected.is_some(),
        };
        if is_shown {
            text.push('\n');
            text.push_str(&block::scenario(&cell.result, verbose, paint));
            text.push('\n');
        }
    }
    text
}

/// The scenarios that noticed: of those that are expected to, or else all.
fn by(result: &WeakeningResult) -> String {
    let caught = || result.cells.iter().filter(|cell| cell.mark == Mark::Caught);
    let mut ids: Vec<&str> = caught()
        .filter(|cell| cell.expected.is_some())
        .map(|cell| cell.result.id.as_str())
        .collect();
    if ids.is_empty() {
        ids = caught().map(|cell| cell.result.id.as_str()).collect();
    }
    if ids.is_empty() { String::new() } else { format!(" by {}", ids.join(", ")) }
}

/// The weakenings of one control and the scenarios that test it.
pub(super) struct Table<'a> {
    /// The control.
    pub(super) control: &'a str,
    /// Its weakenings.
    pub(super) rows: Vec<&'a WeakeningResult>,
    /// The scenarios that were run against any of them.
    pub(super) columns: Vec<&'a ScenarioResult>,
}

/// One table for each control of which a weakening was tried.
pub(super) fn tables(proof: &Proof) -> Vec<Table<'_>> {
    let mut controls: BTreeMap<&str, Vec<&WeakeningResult>> = BTreeMap::new();
    for result in proof.weakenings.iter().filter(|result| !result.cells.is_empty()) {
        controls.entry(&result.control).or_default().push(result);
    }
    controls
        .into_iter()
        .map(|(control, rows)| {
            let mut columns: Vec<&ScenarioResult> = Vec::new();
            for cell in rows.iter().flat_map(|row| &row.cells) {
                if !columns.iter().any(|known| known.id == cell.result.id) {
                    columns.push(&cell.result);
                }
            }
            Table { control, rows, columns }
        })
        .collect()
}

impl Table<'_> {
    /// The cell of a weakening and a scenario; `None` where the scenario was not run.
    pub(super) fn cell<'r>(row: &'r WeakeningResult, column: &ScenarioResult) -> Option<&'r Cell> {
        row.cells.iter().find(|cell| cell.result.id == column.id)
    }
}

/// Every table, with letters for the scenarios.
pub(super) fn matrix(proof: &Proof) -> String {
    let tables = tables(proof);
    let mut lines = Vec::new();
    if !tables.is_empty() {
        lines.extend(entry(0, "marks", wrap(LEGEND, WIDTH - 12, 8)));
    }
    for table in &tables {
        for columns in table.columns.chunks(COLUMNS) {
            lines.push(String::new());
            lines.extend(drawn(table, columns));
        }
    }
    ended(lines)
}

fn drawn(table: &Table<'_>, columns: &[&ScenarioResult]) -> Vec<String> {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').take(columns.len()).collect();
    let mut lines = vec![format!("{:NAMES$}{}", table.control, letters.iter().collect::<String>())];
    for row in &table.rows {
        let marks: String = columns.iter().map(|column| letter(Table::cell(row, column))).collect();
        let row = format!("  {:width$}{marks}", row.name, width = NAMES - 2);
        lines.push(row.trim_end().to_owned());
    }
    let named: Vec<String> = letters
        .iter()
        .zip(columns)
        .map(|(letter, column)| format!("{letter} {}", column.id))
        .collect();
    let legend = wrap(&named.join(", "), WIDTH - 4, 40);
    lines.extend(legend.into_iter().map(|line| format!("    {line}")));
    lines
}

fn letter(cell: Option<&Cell>) -> char {
    match cell {
        None => ' ',
        Some(cell) => match (cell.mark, cell.expected) {
            (Mark::Caught, _) => 'C',
            (Mark::Green, Some(_)) => 'M',
            (Mark::Green, None) => '.',
            (Mark::Collateral, _) => '!',
            (Mark::Wrong, _) => '?',
        },
    }
}

/// `61 of 62 weakenings caught, 1 missed, 0 went wrong, 4 skipped; 40 scenarios, 0 vacuous; 0 collateral`, and what
/// must be mended beside.
pub(super) fn score(proof: &Proof) -> String {
    let known = proof
        .weakenings
        .iter()
        .filter(|it| it.outcome == Outcome::Missed && it.deviation.is_some())
        .count();
    let known = if known == 0 { String::new() } else { format!(" ({known} {AS_KNOWN})") };
    let outcome = |outcome: Outcome| format!("{} {}", proof.count(outcome), outcome.label());
    let beside = match proof.only_expected {
        true => format!("; {VACUOUS} and {} are not known", Mark::Collateral.label()),
        false => {
            let (vacuous, collateral) = (proof.vacuous.len(), proof.collateral());
            format!(", {vacuous} {VACUOUS}; {collateral} {}", Mark::Collateral.label())
        }
    };
    let mut told = format!(
        "{} of {} {}, {}{known}, {}, {}; {}{beside}.",
        proof.count(Outcome::Caught),
        count(proof.tried(), "weakening"),
        Outcome::Caught.label(),
        outcome(Outcome::Missed),
        outcome(Outcome::Wrong),
        outcome(Outcome::Skipped),
        count(proof.scenarios().len(), "scenario"),
    );
    for Vacuous { scenario, attack, control, deviation } in &proof.vacuous {
        let known =
            deviation.as_ref().map(|why| format!(", {AS_KNOWN}: {why}")).unwrap_or_default();
        told.push_str(&format!(
            "\n{}: {scenario}, {attack}: it catches no weakening of {control}{known}",
            VACUOUS.to_uppercase()
        ));
    }
    for stale in &proof.stale {
        let heading = STALE.to_uppercase();
        told.push_str(&format!("\n{heading}: {stale}; remove it from manifests/deviations.yaml"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_was_not_asked_is_not_counted() {
        let mut proof = sample::results(&sample::proof()).proof.expect("a proof");
        let counted = "1 vacuous; 1 collateral.";
        assert!(score(&proof).contains(counted), "{}", score(&proof));
        proof.only_expected = true;
        let told = score(&proof);
        assert!(told.contains("; vacuous and collateral are not known."), "{told}");
        assert!(!told.contains(counted), "{told}");
    }
}
