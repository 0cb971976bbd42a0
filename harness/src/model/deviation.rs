//! `manifests/deviations.yaml`: what the proof does not show, and why. An entry that is no longer needed fails the
//! proof just as one that is missing.

use schemars::JsonSchema;
use serde::Deserialize;

/// One exception from the proof.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deviation {
    /// A weakening that nobody can notice.
    Missed(Missed),
    /// An attack that no weakening of a control that it tests turns red.
    Vacuous(VacuousAttack),
    /// A scenario of another control that turns red.
    Collateral(CollateralScenario),
}

impl Deviation {
    /// The controls and scenarios that it is about.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Deviation::Missed(it) => vec![control_of(&it.weakening)],
            Deviation::Vacuous(it) => vec![&it.scenario, &it.control],
            Deviation::Collateral(it) => vec![control_of(&it.weakening), &it.scenario],
        }
    }
}

/// The control of a weakening.
fn control_of(weakening: &str) -> &str {
    weakening.split('/').next().unwrap_or_default()
}

/// A weakening that nobody can notice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Missed {
    /// The control and its weakening: `exec-guard/misses-attach`.
    pub weakening: String,
    /// Why not.
    pub why: String,
}

/// An attack that catches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VacuousAttack {
    /// Its scenario's id.
    pub scenario: String,
    /// Its name.
    pub attack: String,
    /// The control of which it catches nothing.
    pub control: String,
    /// What it is good for all the same.
    pub why: String,
}

/// A scenario that turns red under the weakening of a control that it does not test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CollateralScenario {
    /// The control and its weakening.
    pub weakening: String,
    /// The scenario's id.
    pub scenario: String,
    /// Why the one needs the other.
    pub why: String,
}
