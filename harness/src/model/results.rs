//! A whole run as one value: what the terminal, the report files and the exit code are made from, and what later
//! commands read back.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::core::Core;
use super::{
    AttemptResult, MergedRun, Proof, Role, RunEvent, ScenarioResult, SettledWaiver, Summary,
    Verdict, WeakeningResult,
};

/// The format that is written and read. It changes when a reader of the old one would misread the new one.
const FORMAT: u32 = 1;

/// What a run's report says until the run has finished, so that a killed one leaves no green file.
const UNFINISHED: &str = "the run did not finish";

/// What is said of a run of which nothing says that it ended.
const NO_END: &str = "it has no end";

/// All that is known of a run.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Results {
    /// The format of this document.
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// When it began, in UTC: `2026-11-20T10:00:00Z`.
    #[serde(default)]
    pub started: String,
    /// The Kubernetes version.
    pub kubernetes: String,
    /// The profile's name.
    pub profile: String,
    /// The cluster, and why this one was chosen.
    pub cluster: String,
    /// The scenarios that were judged or skipped, in the order of the catalog: two runs can be compared.
    pub scenarios: Vec<ScenarioResult>,
    /// The runs that were merged into this; empty where it is one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<MergedRun>,
    /// What became of the waivers of a run, in the order of their file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<SettledWaiver>,
    /// What a proof found; `None` when it was no proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The controls that were not as the profile says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Unmet>,
    /// Where the profile's controls are in files of the reader's, in the order of their ids; those that are in none are
    /// left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<ControlPlace>,
    /// Why the run ended early; `None` when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// The end of the run; `None` when it was not reached.
    pub summary: Option<Summary>,
}

/// A control that is not as the profile says.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unmet {
    /// The run that it is of, in a merged result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The control.
    pub control: String,
    /// What it lacks.
    pub cause: String,
}

/// Where a control is in a file of the reader's: what they would change where it fails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ControlPlace {
    /// The run that it is of, in a merged result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The control.
    pub control: String,
    /// The file, as it was found below the folder or by the name that the reader gave.
    pub file: String,
    /// The line in it; `None` where it is the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// A document is not a result that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another version of brinell wrote it.
    #[error(
        "its format is {0}, and this brinell reads format {FORMAT}: use the brinell that wrote it"
    )]
    Format(u32),
    /// It is broken, or something else.
    #[error("{}: a result is what `brinell --json FILE` writes", what_is_broken(.0))]
    Broken(serde_json::Error),
}

fn what_is_broken(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "it ends in the middle".to_owned(),
        Category::Io | Category::Syntax => format!("it is no JSON ({error})"),
        Category::Data => format!("it is JSON, but no result of brinell ({error})"),
    }
}

impl Default for Results {
    fn default() -> Self {
        Results {
            format: FORMAT,
            run: String::new(),
            started: String::new(),
            kubernetes: String::new(),
            profile: String::new(),
            cluster: String::new(),
            scenarios: Vec::new(),
            runs: Vec::new(),
            waivers: Vec::new(),
            proof: None,
            unmet: Vec::new(),
            places: Vec::new(),
            aborted: Some(UNFINISHED.to_owned()),
            summary: None,
        }
    }
}

impl Results {
    /// The day on which it began, in UTC: `2026-11-20`; empty where it did not begin.
    pub fn day(&self) -> &str {
        self.started.split('T').next().unwrap_or_default()
    }

    /// Takes one event into account.
    pub fn on(&mut self, event: RunEvent) {
        match event {
            RunEvent::Started { run, at, cluster, kubernetes, profile, places } => {
                (self.run, self.started, self.cluster) = (run, at, cluster);
                (self.kubernetes, self.profile, self.places) = (kubernetes, profile, places);
            }
            RunEvent::ControlUnmet { control, cause } => {
                self.unmet.push(Unmet { run: None, control, cause });
                self.unmet.sort_by(|one, other| one.control.cmp(&other.control));
            }
            RunEvent::Aborted { error } => self.aborted = Some(error),
            RunEvent::ScenarioFinished(result) => self.add_scenario(*result),
            RunEvent::WeakeningFinished(result) => self.add_weakening(*result),
            RunEvent::Proven(proof) => self.proof = Some(*proof),
            RunEvent::WaiversSettled(waivers) => self.waivers = waivers,
            RunEvent::Finished(summary) => {
                self.aborted.take_if(|error| error == UNFINISHED);
                self.summary = Some(summary);
            }
            RunEvent::StepStarted { .. }
            | RunEvent::StepFinished { .. }
            | RunEvent::Planned { .. }
            | RunEvent::ScenarioStarted { .. }
            | RunEvent::ScenarioDoing { .. }
            | RunEvent::WeakeningStarted { .. }
            | RunEvent::Judged => {}
        }
    }

    fn add_scenario(&mut self, result: ScenarioResult) {
        let is_before =
            |other: &ScenarioResult| (&other.family, &other.id) <= (&result.family, &result.id);
        let place = self.scenarios.partition_point(is_before);
        self.scenarios.insert(place, result);
    }

    /// What a proof has found counts, even where the proof does not end.
    fn add_weakening(&mut self, result: WeakeningResult) {
        let weakenings = &mut self.proof.get_or_insert_default().weakenings;
        let place = weakenings.partition_point(|other| other.id() < result.id());
        weakenings.insert(place, result);
    }

    /// The end of the run, counted over all that was judged.
    pub fn summarise(&self, took: Duration, took_by_cluster: Duration, tidy: String) -> Summary {
        let counted =
            |verdict| move |it: &&ScenarioResult| it.verdict == verdict && !it.is_waived();
        let count = |verdict| self.scenarios.iter().filter(counted(verdict)).count();
        let unmet: BTreeSet<&str> = self.unmet.iter().map(|it| it.control.as_str()).collect();
        Summary {
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed),
            inconclusive: count(Verdict::Inconclusive),
            skipped: count(Verdict::Skipped),
            waived: self.scenarios.iter().filter(|it| it.is_waived()).count(),
            bad_waivers: self.waivers.iter().filter(|it| it.state.is_bad()).count(),
            unmet: unmet.len(),
            attempts: self.scenarios.iter().map(|it| it.attempts.len()).sum(),
            took,
            took_by_cluster,
            left_behind: false,
            tidy,
        }
    }

    /// Why it ended early; `None` where it came to its end.
    pub fn early_end(&self) -> Option<&str> {
        match (&self.aborted, &self.summary) {
            (Some(error), _) => Some(error),
            (None, None) => Some(NO_END),
            (None, Some(_)) => None,
        }
    }

    /// What the run says of what may be there of it still; `None` where it left nothing behind.
    pub fn left_behind(&self) -> Option<&str> {
        let summary = self.summary.as_ref().filter(|summary| summary.left_behind);
        summary.map(|summary| summary.tidy.as_str())
    }

    /// How many attempts were reviews, which attack nobody.
    pub fn reviews(&self) -> usize {
        let attempts = self.scenarios.iter().flat_map(|result| &result.attempts);
        attempts.filter(|attempt| attempt.role == Role::Review).count()
    }

    /// How many attempts were made whose outcome could not be seen.
    pub fn unobserved(&self) -> usize {
        let attempts = self.scenarios.iter().flat_map(|result| &result.attempts);
        let is_unobserved = |attempt: &&AttemptResult| match attempt.judgement.verdict {
            Verdict::Inconclusive => true,
            Verdict::Skipped => attempt.evidence.is_none(),
            Verdict::Passed | Verdict::Failed => false,
        };
        attempts.filter(is_unobserved).count()
    }

    /// Reads what a JSON report holds.
    pub fn read(document: &[u8]) -> Result<Results, ReadError> {
        /// The one field that every format has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format } = serde_json::from_slice(document).map_err(ReadError::Broken)?;
        if format != FORMAT {
            return Err(ReadError::Format(format));
        }
        serde_json::from_slice(document).map_err(ReadError::Broken)
    }

    /// Reads what every format has: verdicts, and what they are of. The rest is empty, and `format` is the document's.
    pub fn read_core(document: &[u8]) -> Result<Results, ReadError> {
        let core: Core = serde_json::from_slice(document).map_err(ReadError::Broken)?;
        Ok(core.results())
    }

    /// Whether it is of a format of which only what every format has can be read.
    pub fn is_core(&self) -> bool {
        self.format != FORMAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_summary_counts_all_that_was_judged() {
        let mut results = sample::results(&sample::mixed());
        for control in ["exec-guard", "exec-guard", "audit-policy"] {
            let control = control.to_owned();
            results.on(RunEvent::ControlUnmet { control, cause: "not there".to_owned() });
        }
        let made = results.scenarios.iter().map(|result| result.attempts.len());
        let (made, took) = (made.sum::<usize>(), Duration::from_secs(1));
        let summary = results.summarise(took, took, String::new());
        let Summary { passed, failed, inconclusive, skipped, unmet, attempts, .. } = summary;
        let expected = results.summary.as_ref().expect("a run that ended");
        let counted = [expected.passed, expected.failed, expected.inconclusive, expected.skipped];
        assert_eq!([passed, failed, inconclusive, skipped], counted);
        assert_eq!((unmet, attempts), (2, made));
    }

    #[test]
    fn what_a_proof_has_found_counts_where_it_does_not_end() {
        let mut events = sample::proof();
        events.retain(|event| !matches!(event, RunEvent::Proven(_)));
        let weakenings = sample::results(&events).proof.expect("a proof").weakenings;
        assert!(!weakenings.is_empty());
        assert!(weakenings.is_sorted_by_key(WeakeningResult::id));
    }
}
