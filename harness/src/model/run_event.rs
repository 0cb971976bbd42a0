//! What a run tells about itself while it goes: its results are gathered from these events and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ControlPlace, Evidence, Judgement, Proof, Reason, SettledWaiver, Verdict, Waived,
    WeakeningResult,
};

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// The run begins.
    Started {
        /// Labels every object of the run.
        run: String,
        /// When, in UTC: `2026-11-20T10:00:00Z`.
        at: String,
        /// `kind`, and why this one was chosen.
        cluster: String,
        /// The Kubernetes version that is asked for, such as `1.36`.
        kubernetes: String,
        /// The profile's name.
        profile: String,
        /// Where its controls are in files of the reader's.
        places: Vec<ControlPlace>,
    },
    /// Something that takes time begins.
    StepStarted {
        /// Names the step: `cluster`.
        name: String,
        /// What it does: `creating`.
        doing: String,
    },
    /// It ended well.
    StepFinished {
        /// The step's name.
        name: String,
        /// What came of it: `created, 1 node`.
        detail: String,
        /// How long it took.
        took: Duration,
    },
    /// A control is not as the profile says. What it should have stopped is judged all the same.
    ControlUnmet {
        /// The control.
        control: String,
        /// What it lacks.
        cause: String,
    },
    /// The cluster could not be set up or is gone, or the run was ended: no scenario runs any more.
    Aborted {
        /// What went wrong and what to do.
        error: String,
    },
    /// It is known how much there is to do.
    Planned {
        /// How much.
        all: usize,
        /// Of what: attempts of a run, weakenings of a proof.
        of: Unit,
    },
    /// A scenario begins.
    ScenarioStarted {
        /// Its id.
        id: String,
    },
    /// A scenario goes on to something.
    ScenarioDoing {
        /// Its id.
        id: String,
        /// What: an attempt, or what is waited for after the last of them.
        doing: String,
        /// How many of its attempts are over.
        sent: usize,
    },
    /// A scenario ended.
    ScenarioFinished(Box<ScenarioResult>),
    /// A control is being weakened.
    WeakeningStarted {
        /// The control and its weakening: `exec-guard/misses-attach`.
        id: String,
    },
    /// A weakening was tried, or skipped.
    WeakeningFinished(Box<WeakeningResult>),
    /// The proof is over.
    Proven(Box<Proof>),
    /// Everything is judged. What was made is removed now, which may take minutes.
    Judged,
    /// This became of the waivers.
    WaiversSettled(Vec<SettledWaiver>),
    /// The run is over and has tidied up.
    Finished(Summary),
}

/// What is counted while a run or a proof goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// An attempt of a run.
    Attempt,
    /// A weakening of a proof.
    Weakening,
}

impl Unit {
    /// As a sentence names one of them.
    pub fn label(self) -> &'static str {
        match self {
            Unit::Attempt => "attempt",
            Unit::Weakening => "weakening",
        }
    }
}

/// All that is known of one scenario of a run.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ScenarioResult {
    /// The run that it is of, in a merged result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The file's name.
    pub id: String,
    /// The folder's name.
    pub family: String,
    /// The file of the user's that it is; `None` where it is built in.
    pub file: Option<String>,
    /// What is attempted.
    pub title: String,
    /// What is lost when it works.
    pub why: String,
    /// What to change.
    pub fix: String,
    /// Labels.
    pub tags: Vec<String>,
    /// The controls that it tests.
    pub controls: Vec<String>,
    /// The worst verdict of its attempts.
    pub verdict: Verdict,
    /// Why it was skipped, or why it could not be judged to its end.
    pub cause: Option<String>,
    /// What of it is waived; `None` where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
    /// The file with the lines of the audit log behind its attempts, in the folder that `--keep-evidence` named; `None` where
    /// none were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_lines: Option<String>,
    /// What was sent and what came of it, in order.
    pub attempts: Vec<AttemptResult>,
    /// From the first attempt to the last evidence.
    #[serde(with = "super::seconds")]
    #[schemars(with = "f64")]
    pub took: Duration,
}

/// One attempt of a scenario.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptResult {
    /// The attack's or permit's name.
    pub name: String,
    /// Which of them it is.
    pub role: Role,
    /// Who acted.
    pub persona: String,
    /// The door's label, empty where there is one only.
    pub door: String,
    /// The line at which it begins in the scenario's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The verdict.
    pub judgement: Judgement,
    /// What it rests on; `None` when the attempt could not be made.
    pub evidence: Option<Evidence>,
    /// The Audit-ID of the same attempt where it was refused too soon after a step to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_soon: Option<String>,
}

impl AttemptResult {
    /// Who acted, and how: `a shell, operator, GET WebSocket`.
    pub fn who(&self) -> String {
        who(&self.name, &self.persona, &self.door)
    }
}

/// Who acts, and how: `a shell, operator, GET WebSocket`.
pub fn who(name: &str, persona: &str, door: &str) -> String {
    let parts = [name, persona, door].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

/// What an attempt is in its scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Must be stopped or leave evidence.
    Attack,
    /// Attacks nobody: what is read must be configured rightly.
    Review,
    /// Must work, because the attacks after it rest on it.
    Step,
    /// Must keep working.
    Permit,
}

impl Role {
    /// As results name it.
    pub fn label(self) -> &'static str {
        match self {
            Role::Attack => "attack",
            Role::Review => "review",
            Role::Step => "step",
            Role::Permit => "permit",
        }
    }
}

/// The end of a run.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// How many scenarios passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many are inconclusive.
    pub inconclusive: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// How many did not pass, and are waived: they are not among the others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub waived: usize,
    /// How many waivers have expired or are stale.
    #[serde(default, skip_serializing_if = "is_none")]
    pub bad_waivers: usize,
    /// How many controls were not as the profile says.
    #[serde(default)]
    pub unmet: usize,
    /// How many attempts were made.
    pub attempts: usize,
    /// From process start to here.
    #[serde(with = "super::seconds")]
    #[schemars(with = "f64")]
    pub took: Duration,
    /// The part of it spent by the cluster's own programs, which make and remove it.
    #[serde(with = "super::seconds")]
    #[schemars(with = "f64")]
    pub took_by_cluster: Duration,
    /// Whether something that the run made may still be there.
    #[serde(default, skip_serializing_if = "is_not")]
    pub left_behind: bool,
    /// What became of the cluster: `Cluster deleted, nothing left behind.`
    pub tidy: String,
}

/// Whether it is not so: what the summary does not say then.
fn is_not(is: &bool) -> bool {
    !is
}

/// Whether there are none: what a result does not say then.
pub(super) fn is_none(count: &usize) -> bool {
    *count == 0
}

impl ScenarioResult {
    /// Whether all that is wrong with it is waived.
    pub fn is_waived(&self) -> bool {
        self.waived.as_ref().is_some_and(|waived| waived.all)
    }

    /// Whether a person must look at it.
    pub fn is_bad(&self) -> bool {
        self.verdict.is_bad() && !self.is_waived()
    }

    /// Whether it attacked nobody: what had to be stopped was only read.
    pub fn is_review(&self) -> bool {
        let mut roles = self.attempts.iter().map(|attempt| attempt.role);
        roles.clone().any(|role| role == Role::Review) && roles.all(|role| role != Role::Attack)
    }

    /// Every reason for which its attempts failed.
    pub fn reasons(&self) -> BTreeSet<Reason> {
        self.attempts
            .iter()
            .flat_map(|attempt| &attempt.judgement.findings)
            .map(|finding| finding.reason)
            .collect()
    }
}
