//! What is different between two results, as a page.

use std::io;

use askama::Template;

use super::document;
use super::run::Count;
use crate::compare::{Comparison, Weight};
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
    })
}
