//! One HTML page that needs no network and no script: what did not hold first, and all evidence behind it. The engine
//! escapes every text; what hides or turns is made visible in the page as a whole, so that nothing is forgotten.

pub(super) mod comparison;
mod proof;
mod run;
pub(super) mod trend;

use std::io;

use askama::Template;

use self::run::Run;
use super::Format;
use crate::model::{Results, Verdict, WAIVED};
use crate::text::visible;

/// HTML.
pub(super) const FORMAT: Format =
    Format { name: "HTML", word: "html", endings: &["html", "htm"], flag: None, render };

/// The page of a result.
#[derive(Template)]
#[template(path = "results.html")]
struct Page<'a> {
    title: String,
    version: &'static str,
    /// What a scenario is shown as: each can be hidden.
    words: [&'static str; 5],
    /// The verdicts that are counted for each control.
    labels: [&'static str; 5],
    /// What any run has of them.
    shown: Vec<&'static str>,
    runs: Vec<Run<'a>>,
}

/// What a scenario is shown as, the worst first.
const WORDS: [&str; 5] = [
    Verdict::Failed.label(),
    Verdict::Inconclusive.label(),
    WAIVED,
    Verdict::Skipped.label(),
    Verdict::Passed.label(),
];

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let parts = results.split();
    let runs: Vec<Run<'_>> =
        parts.iter().enumerate().map(|(number, run)| Run::of(number, run)).collect();
    let title = runs.first().map_or_else(String::new, |run| run.heading.clone());
    let counts = |word: &&str| {
        let counted =
            runs.iter().filter(|run| !run.families.is_empty()).flat_map(|run| &run.counts);
        counted.map(|count| count.class).any(|class| class == *word)
    };
    let shown = WORDS.into_iter().filter(counts).collect();
    let version = env!("CARGO_PKG_VERSION");
    document(&Page { title, version, words: WORDS, labels: WORDS, shown, runs })
}

/// The page as it is written: line breaks are the only characters left in it that are not shown.
fn document(page: &impl Template) -> io::Result<Vec<u8>> {
    let text = page.render().map_err(io::Error::other)?;
    let lines: Vec<String> =
        text.lines().filter(|line| !line.trim().is_empty()).map(visible).collect();
    Ok((lines.join("\n") + "\n").into_bytes())
}

#[cfg(test)]
mod tests;
