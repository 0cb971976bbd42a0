//! The file that `--expected` names: failures that are known, and who answers for each of them until when. A waiver covers
//! what it names and nothing beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reason;

/// A failure that somebody answers for until a day.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Waiver {
    /// The scenario's id.
    pub scenario: String,
    /// The attempt's name, as results have it. Without one, every attempt is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Who acts. Without one, everybody is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The door, as results have it: `GET WebSocket`. Without one, every door is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
    /// What is known to come: failed, if nothing is said.
    #[serde(default)]
    pub verdict: KnownVerdict,
    /// What it is known to fail for: `[bypassed, unlogged]`. What fails for something else as well fails. Without one,
    /// every reason is covered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Reason>,
    /// What came, word for word as results tell it after `got`. Needed where one attempt tells of many at once, as a review
    /// does: what is known of one must not hide another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// Why it is put up with.
    pub why: String,
    /// Who answers for it: a person, a team, a ticket.
    pub owner: String,
    /// The last day on which it counts, in UTC: `2026-12-31`.
    pub expires: String,
}

/// What a waiver knows to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KnownVerdict {
    /// It fails.
    #[default]
    Failed,
    /// It is tried, and what comes back does not tell.
    Inconclusive,
}

impl Waiver {
    /// Whether it no longer counts on a day, which is written as it is itself: `2026-12-31`.
    pub fn is_expired(&self, today: &str) -> bool {
        self.expires.as_str() < today
    }
}

/// A waiver with where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaiverEntry {
    /// Its file and line: `expected.yaml:12`.
    pub place: String,
    /// What it says.
    pub waiver: Waiver,
}

/// What of a scenario is waived.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Waived {
    /// Whether everything is that is wrong with it: then the scenario counts as waived, and else as what it is.
    pub all: bool,
    /// By which waivers, in the order of their file.
    pub by: Vec<WaivedBy>,
}

/// What of a scenario one waiver covers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaivedBy {
    /// The waiver.
    #[serde(flatten)]
    pub entry: WaiverEntry,
    /// The attempts of which it covers something, by their places in the scenario's list, from 0.
    pub attempts: Vec<usize>,
}

/// What became of a waiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SettledWaiver {
    /// The run that it is of, in a merged result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The waiver.
    #[serde(flatten)]
    pub entry: WaiverEntry,
    /// What became of it.
    pub state: WaiverState,
    /// Why.
    pub told: String,
}

/// What became of a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaiverState {
    /// What it knows of came.
    Needed,
    /// Its scenario ran after its last day.
    Expired,
    /// Its scenario ran, and what it knows of did not come.
    Stale,
    /// Nothing is known of it: its scenario did not run, or what it is about did not tell.
    Untouched,
}

impl WaiverState {
    /// Whether somebody must change the file.
    pub fn is_bad(self) -> bool {
        matches!(self, WaiverState::Expired | WaiverState::Stale)
    }
}
