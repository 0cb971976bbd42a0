//! What came of an attempt or a scenario.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict of attempt, scenario and run alike. The order is from best to worst: the worst wins.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that was expected was seen.
    Passed,
    /// Not tried.
    Skipped,
    /// Tried, and what came back does not tell.
    Inconclusive,
    /// The cluster did not do what was expected.
    Failed,
}

impl Verdict {
    /// Whether a person must look at it: it failed, or is inconclusive.
    pub fn is_bad(self) -> bool {
        matches!(self, Verdict::Failed | Verdict::Inconclusive)
    }
}

/// Why an attempt failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The attack was let in, or had its effect.
    Bypassed,
    /// It was refused, but not by the layer that should refuse it.
    WrongLayer,
    /// It was refused by the layer that should refuse it, but for something else.
    OtherReason,
    /// Nobody was attacked, and what will decide is configured wrongly.
    Misconfigured,
    /// The audit log holds nothing of it.
    Unlogged,
    /// The audit log holds something else than what was sent or asked for.
    WronglyLogged,
    /// A legitimate use no longer works.
    PermitBroken,
    /// Something that the run made could not be removed.
    LeftOver,
}

/// One thing that is wrong, in words for a person.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What kind of failure.
    pub reason: Reason,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Who decided, or why no control did; empty if that adds nothing.
    pub who: String,
    /// Where to look on the cluster.
    pub look_at: String,
}

/// The verdict on one attempt, with what a line of output says.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What came of it: `blocked by exec-guard (webhook, 403)`, `BYPASSED: the shell opened`, `worked: "foo"`.
    pub outcome: String,
    /// What the log says: `logged`, `UNLOGGED`, `not in its log`, or empty where no evidence was asked for.
    pub logged: String,
    /// What is wrong, when failed.
    pub findings: Vec<Finding>,
    /// What could not be told, when inconclusive.
    pub causes: Vec<String>,
    /// How many of the causes are of the log alone, whatever came of the attempt.
    #[serde(default, skip_serializing_if = "super::run_event::is_none")]
    pub causes_of_log: usize,
}

impl Judgement {
    /// Every reason for which it failed.
    pub fn reasons(&self) -> BTreeSet<Reason> {
        self.findings.iter().map(|finding| finding.reason).collect()
    }

    /// The verdict, with the reasons for which it failed: `failed (bypassed, unlogged)`.
    pub fn verdict_words(&self) -> String {
        let reasons: Vec<&str> = self.reasons().into_iter().map(Reason::label).collect();
        match reasons.is_empty() {
            true => self.verdict.label().to_owned(),
            false => format!("{} ({})", self.verdict.label(), reasons.join(", ")),
        }
    }

    /// A verdict of which nothing else is known.
    pub(super) fn bare(verdict: Verdict) -> Judgement {
        Judgement {
            verdict,
            outcome: String::new(),
            logged: String::new(),
            findings: Vec::new(),
            causes: Vec::new(),
            causes_of_log: 0,
        }
    }
}
