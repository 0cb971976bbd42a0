//! What is expected of a run of all our scenarios: a golden file for each type of cluster, profile and Kubernetes
//! version, in `cluster/golden`. It holds every attempt of each scenario that does not pass, with the reasons; a
//! scenario that is not in it passes.

use std::path::Path;

use brinell::catalog::Catalog;
use brinell::model::{AttemptResult, Results, ScenarioResult, Verdict};

use crate::support::golden;

/// The rows of one golden file.
pub struct Golden {
    file: String,
    rows: String,
}

impl Golden {
    /// Reads the file of a run, whose name is made of the words that tell it from others: `["kind", "open", "1.36"]`.
    /// `BRINELL_BLESS=1` writes into it first what came of the run.
    pub fn read(words: [&str; 3], results: &Results) -> Golden {
        let file = format!("cluster/golden/{}.txt", words.join("-"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(&file);
        Golden { rows: golden(&path, &table(results)), file }
    }

    /// Whether a scenario came out as the file says.
    ///
    /// # Errors
    /// When it did not: both, and how the attempts that came out otherwise were judged.
    pub fn check(&self, result: &ScenarioResult) -> Result<(), String> {
        let head = format!("{}: ", result.id);
        let expected: Vec<&str> = self.rows.lines().filter(|row| row.starts_with(&head)).collect();
        let found = rows(result);
        if found == expected {
            return Ok(());
        }
        let changed = result.attempts.iter().filter(|it| !expected.contains(&&*row(result, it)));
        let judgements: Vec<_> = changed.map(|it| (&it.name, &it.door, &it.judgement)).collect();
        let cause = &result.cause;
        Err(format!(
            "{} expects {expected:#?}, and not {found:#?}: {cause:?} {judgements:#?}",
            self.file
        ))
    }

    /// That the file holds the rows of this run and no others, in the order of the catalog.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_all(&self, results: &Results) -> Result<(), String> {
        let table = table(results);
        let new = table.lines().find(|row| !self.rows.lines().any(|it| it == *row));
        let gone = self.rows.lines().find(|row| !table.lines().any(|it| it == *row));
        if table == self.rows {
            return Ok(());
        }
        Err(format!(
            "{}: new is {new:?}, gone is {gone:?}, or the order is another; BRINELL_BLESS=1 writes it anew",
            self.file
        ))
    }
}

/// The rows of all scenarios that ran, in the order of the catalog.
fn table(results: &Results) -> String {
    let catalog = Catalog::load(None).expect("our own catalog");
    let result = |id: &str| results.scenarios.iter().find(|it| it.id == id);
    let ran = catalog.scenarios.iter().filter_map(|entry| result(&entry.id));
    let ran = ran.filter(|result| result.verdict != Verdict::Skipped);
    ran.flat_map(rows).map(|row| row + "\n").collect()
}

/// The rows of a scenario; none if it passed.
fn rows(result: &ScenarioResult) -> Vec<String> {
    let attempts = result.attempts.iter().map(|attempt| row(result, attempt));
    match result.verdict {
        Verdict::Passed => Vec::new(),
        verdict if result.attempts.is_empty() => {
            vec![format!("{}: {}", result.id, verdict.label())]
        }
        _ => attempts.collect(),
    }
}

/// `exec-interactive: attack a shell, GET SPDY: bypassed, unlogged`
fn row(result: &ScenarioResult, attempt: &AttemptResult) -> String {
    let AttemptResult { role, name, door, .. } = attempt;
    let separator = if door.is_empty() { "" } else { ", " };
    let reasons = reasons(attempt);
    format!("{}: {} {name}{separator}{door}: {reasons}", result.id, role.label())
}

/// Why an attempt failed, else its verdict.
pub fn reasons(attempt: &AttemptResult) -> String {
    let reasons: Vec<&str> =
        attempt.judgement.findings.iter().map(|finding| finding.reason.label()).collect();
    match attempt.judgement.verdict {
        Verdict::Failed => reasons.join(", "),
        verdict => verdict.label().to_owned(),
    }
}
