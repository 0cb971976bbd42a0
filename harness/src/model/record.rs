//! What is recorded of a scenario that was played: all that its verdict rests on, and no verdict. With it the scenario
//! can be judged at any later time.

use serde::{Deserialize, Serialize};

use super::{Answer, Effect, Log, Sent};

/// All that is recorded of a scenario.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Its attempts in order; fewer than the scenario asks for if it ended early.
    pub attempts: Vec<AttemptRecord>,
    /// Whether the API server stayed the same meanwhile.
    pub steadiness: Steadiness,
    /// What the attempts made and what could not be removed.
    pub left_over: Vec<LeftOver>,
    /// Why it ended early; `None` if it did not.
    pub cause: Option<String>,
}

/// What is recorded of one attempt.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptRecord {
    /// What was sent and seen, or why the attempt was not made.
    pub seen: Result<Seen, Unmade>,
    /// The Audit-ID of the same attempt where it was refused too soon after a step to tell.
    pub too_soon: Option<String>,
}

/// Why an attempt was not made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmade {
    /// It could not be, or not be observed.
    Failed(String),
    /// The way to the cluster does not have its door.
    Closed(String),
}

/// What was sent and seen.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// What was sent.
    pub sent: Sent,
    /// What came back.
    pub answer: Answer,
    /// What the admin saw afterwards.
    pub effect: Effect,
    /// What the audit log holds of it.
    pub log: Log,
    /// Every webhook that the cluster had then. Read only after an answer that speaks of a webhook; empty also if they
    /// could not be read.
    pub webhooks: Vec<Webhook>,
    /// Whether a workload was sent whose controller asks another API server: what that does is not seen here.
    pub is_controller_elsewhere: bool,
    /// Why it is not known that the one of several API servers that answered was awake; `None` where it was seen, and
    /// where there is one.
    pub unseen: Option<String>,
    /// Whether the API server had taken the persona's credentials before: one that takes them no more refuses
    /// everything.
    #[serde(default)]
    pub was_taken: bool,
}

/// A webhook, and the configuration that it is in.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Kind and name of the configuration: `ValidatingWebhookConfiguration/exec-guard`.
    pub configuration: String,
}

/// Whether one process of the API server answered everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steadiness {
    /// One process was awake from the first attempt to the last evidence, or to the last answer where evidence comes late.
    Steady,
    /// No process was awake at the beginning, or another one or none at the end.
    Restarted,
    /// There are several: what was not seen of the one that answered stands with each attempt.
    Several,
    /// It cannot be told which process answers, as behind a load balancer that looks into requests, or since another API
    /// server has joined the only one.
    Unknown,
}

/// What could not be removed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOver {
    /// The Audit-ID of the attempt that may have made it.
    pub attempt: String,
    /// What it is, and why it could not be removed.
    pub words: String,
}
