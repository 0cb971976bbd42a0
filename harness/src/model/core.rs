//! What every format of results has: a later brinell keeps these fields and what they mean (docs/results.md). Results of
//! another format than ours are compared as far as this goes.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{AttemptResult, Judgement, Results, Role, ScenarioResult, Verdict};

/// A result of any format.
#[derive(Deserialize)]
pub(super) struct Core {
    format: u32,
    run: String,
    started: String,
    kubernetes: String,
    profile: String,
    cluster: String,
    scenarios: Vec<Scenario>,
    #[serde(default)]
    aborted: Option<String>,
    summary: Option<IgnoredAny>,
}

/// A scenario of any format.
#[derive(Deserialize)]
struct Scenario {
    id: String,
    family: String,
    title: String,
    verdict: Verdict,
    attempts: Vec<Attempt>,
}

/// An attempt of any format.
#[derive(Deserialize)]
struct Attempt {
    name: String,
    role: Role,
    persona: String,
    door: String,
    judgement: Judged,
}

/// A judgement of any format.
#[derive(Deserialize)]
struct Judged {
    verdict: Verdict,
}

impl Core {
    /// These fields as results, in which everything else is empty.
    pub(super) fn results(self) -> Results {
        let Core { format, run, started, kubernetes, profile, cluster, aborted, .. } = self;
        let scenarios = self.scenarios.into_iter().map(Scenario::result).collect();
        let head =
            Results { format, run, started, kubernetes, profile, cluster, ..Results::default() };
        let results = Results { scenarios, aborted, ..head };
        let took = Duration::ZERO;
        let summary = self.summary.map(|_| results.summarise(took, took, String::new()));
        Results { summary, ..results }
    }
}

impl Scenario {
    fn result(self) -> ScenarioResult {
        let Scenario { id, family, title, verdict, attempts } = self;
        ScenarioResult {
            run: None,
            id,
            family,
            file: None,
            title,
            why: String::new(),
            fix: String::new(),
            tags: Vec::new(),
            controls: Vec::new(),
            verdict,
            cause: None,
            waived: None,
            audit_lines: None,
            attempts: attempts.into_iter().map(Attempt::result).collect(),
            took: Duration::ZERO,
        }
    }
}

impl Attempt {
    fn result(self) -> AttemptResult {
        let Attempt { name, role, persona, door, judgement } = self;
        AttemptResult {
            name,
            role,
            persona,
            door,
            line: None,
            judgement: Judgement::bare(judgement.verdict),
            evidence: None,
            too_soon: None,
        }
    }
}
