//! What is different between two results, as a page.

use std::io;

use askama::Template;

use super::document;
use super::run::Count;
use crate::compare::{Comparison, Weight};
use crate::model::Verdict;
use crate::report::comparison::score;

/// Which ways there are, the worst first.
const WEIGHTS: [Weight; 3] = [Weight::Worse, Weight::Better, Weight::Other];

/// The page of a comparison.
#[derive(Template)]
#[template(path = "comparison.html")]
struct Page<'a> {
    title: &'static str,
    version: &'static str,
    words: [&'static str; 3],
    it: &'a Comparison,
    counts: Vec<Count>,
    score: String,
    /// The ways that can be hidden.
    shown: [&'static str; 3],
    /// What a scenario can be, after.
    labels: [&'static str; 5],
    rows: Vec<Row>,
}

/// What a scenario can be before and after; `None` is that it is not there.
const VERDICTS: [Option<Verdict>; 5] = [
    Some(Verdict::Failed),
    Some(Verdict::Inconclusive),
    Some(Verdict::Skipped),
    Some(Verdict::Passed),
    None,
];

/// All scenarios that were the same before.
struct Row {
    label: &'static str,
    cells: [Option<Cell>; 5],
}

/// How many of them are the same after, and which way that is.
struct Cell {
    class: &'static str,
    word: &'static str,
    number: usize,
}

fn label(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("not there", Verdict::label)
}

fn row(comparison: &Comparison, before: Option<Verdict>) -> Row {
    let cell = |after| {
        let (weight, number) = comparison.moves.get(&(before, after)).copied()?;
        let word = weight.label();
        Some(match before == after {
            true => Cell { class: "faint", word: "the same", number },
            false => Cell { class: word, word, number },
        })
    };
    Row { label: label(before), cells: VERDICTS.map(cell) }
}

/// The whole page.
pub(in crate::report) fn page(comparison: &Comparison) -> io::Result<Vec<u8>> {
    let count = |weight: Weight| {
        let label = weight.label();
        Count { class: label, number: comparison.count(weight), label: label.to_owned() }
    };
    document(&Page {
        title: "What is different between two results",
        version: env!("CARGO_PKG_VERSION"),
        words: WEIGHTS.map(Weight::label),
        it: comparison,
        counts: WEIGHTS.map(count).into(),
        score: score(comparison),
        shown: WEIGHTS.map(Weight::label),
        labels: VERDICTS.map(label),
        rows: VERDICTS.into_iter().map(|before| row(comparison, before)).collect(),
    })
}
