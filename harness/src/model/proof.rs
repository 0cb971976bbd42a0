//! What a proof found: each weakening against the scenarios that test its control.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Reason, ScenarioResult};

/// All that a proof found.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// Whether only those were run against a weakening that are expected to notice it. Then neither attacks that catch
    /// nothing nor collateral are known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_expected: bool,
    /// Every weakening of the chosen controls, in the order of the catalog.
    pub weakenings: Vec<WeakeningResult>,
    /// The attacks that no weakening of a control that they test has turned red.
    pub vacuous: Vec<Vacuous>,
    /// Deviations that are no longer needed, in words.
    pub stale: Vec<String>,
}

/// One weakening, and who noticed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WeakeningResult {
    /// The control.
    pub control: String,
    /// The weakening's name.
    pub name: String,
    /// How it happens in practice, and what is lost.
    pub why: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What went wrong, or why it was skipped.
    pub cause: Option<String>,
    /// Why it may be missed, where a deviation says so.
    pub deviation: Option<String>,
    /// The scenarios that are expected to notice and were not run: not chosen, or this kind of cluster cannot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unasked: Vec<String>,
    /// The scenarios that test the control, and those of other controls that turned red, while it acted.
    pub cells: Vec<Cell>,
    /// From weakening to restored and seen green again.
    #[serde(with = "super::seconds")]
    #[schemars(with = "f64")]
    pub took: Duration,
}

/// What came of a weakening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every scenario that is expected to notice, and was run, did so for the expected reason, twice in a row.
    Caught,
    /// A scenario that is expected to notice did not.
    Missed,
    /// Something else than the expected came of it: inconclusive, a broken permit, another reason.
    Wrong,
    /// It was not tried.
    Skipped,
}

/// One scenario under one weakening.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Cell {
    /// The reason for which the scenario is expected to fail, where it is.
    pub expected: Option<Reason>,
    /// What the scenario did.
    pub mark: Mark,
    /// Why it may turn red, where a deviation says so of another control's scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<String>,
    /// The scenario's result, with all its evidence.
    pub result: ScenarioResult,
}

/// What a scenario did under a weakening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It failed for the expected reason, at the weakened control.
    Caught,
    /// It stayed green.
    Green,
    /// It failed at another control than the weakened one.
    Collateral,
    /// It is inconclusive, a permit broke, or it failed for another reason or at another control as well.
    Wrong,
}

/// An attack that no weakening of a control that it tests has turned red.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Vacuous {
    /// The scenario's id.
    pub scenario: String,
    /// The attack's name within it.
    pub attack: String,
    /// The control.
    pub control: String,
    /// Why it may, where a deviation says so.
    pub deviation: Option<String>,
}

impl WeakeningResult {
    /// `exec-guard/misses-attach`
    pub fn id(&self) -> String {
        format!("{}/{}", self.control, self.name)
    }

    /// The scenarios of other controls that turned red, and that no deviation excuses.
    pub fn collateral(&self) -> impl Iterator<Item = &str> {
        let red = self.cells.iter().filter(|cell| cell.mark == Mark::Collateral);
        red.filter(|cell| cell.deviation.is_none()).map(|cell| cell.result.id.as_str())
    }

    /// Whether it must be mended before the proof holds.
    pub fn is_failure(&self) -> bool {
        self.collateral().next().is_some()
            || self.outcome == Outcome::Missed && self.deviation.is_none()
    }
}

impl Proof {
    /// How many weakenings came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.weakenings.iter().filter(|weakening| weakening.outcome == outcome).count()
    }

    /// How many were tried: all that the score is counted of.
    pub fn tried(&self) -> usize {
        self.weakenings.len() - self.count(Outcome::Skipped)
    }

    /// How many scenarios turned red that test other controls.
    pub fn collateral(&self) -> usize {
        self.weakenings.iter().map(|weakening| weakening.collateral().count()).sum()
    }

    /// Whether a scenario noticed any weakening.
    pub fn notices(&self, scenario: &str) -> bool {
        let mut cells = self.weakenings.iter().flat_map(|weakening| &weakening.cells);
        cells.any(|cell| cell.result.id == scenario && cell.mark == Mark::Caught)
    }

    /// Whether every weakening was tried, and everybody asked who is expected to notice.
    pub fn is_all(&self) -> bool {
        let whole = |it: &WeakeningResult| it.outcome != Outcome::Skipped && it.unasked.is_empty();
        self.weakenings.iter().all(whole)
    }

    /// Whether anything must be mended before the proof holds.
    pub fn is_failure(&self) -> bool {
        self.weakenings.iter().any(WeakeningResult::is_failure)
            || self.vacuous.iter().any(|vacuous| vacuous.deviation.is_none())
            || !self.stale.is_empty()
    }

    /// The scenarios that were run, by their ids.
    pub fn scenarios(&self) -> BTreeSet<&str> {
        let cells = self.weakenings.iter().flat_map(|weakening| &weakening.cells);
        cells.map(|cell| cell.result.id.as_str()).collect()
    }
}
