//! What a scenario file says, as types. The id is the file's name and the family its folder; neither is
//! written in the file.

mod attack;
mod expectation;

pub use attack::*;
pub use expectation::*;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{AUDIT_POLICY, Action, Door};

/// One YAML file: attacks that must be stopped or leave evidence, and the legitimate uses beside them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What is attempted, in a few words.
    pub title: String,
    /// Why an attacker wants it, or what is lost when it works.
    pub why: String,
    /// What to change on a cluster where it fails.
    pub fix: String,
    /// Free labels, for `--tag`: `mitre/T1609`, `cis/5.1.2`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The staged objects that it acts on: a file of `manifests/targets`.
    pub target: String,
    /// What must be stopped or leave evidence.
    pub attacks: Vec<Attack>,
    /// What must keep working.
    pub permits: Vec<Permit>,
}

impl Scenario {
    /// Every action of it.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let attacks = self.attacks.iter().map(|attack| &attack.r#do);
        attacks.chain(self.permits.iter().map(|permit| &permit.r#do))
    }

    /// The controls that it tests: those that must block, and the audit policy where evidence is asked for.
    pub fn controls(&self) -> BTreeSet<&str> {
        let named = self.attacks.iter().filter_map(Attack::control);
        let recording = self.is_logged().then_some(AUDIT_POLICY);
        named.chain(recording).collect()
    }

    /// Whether all of it is questions to authorizers, which nothing but these decides.
    pub fn only_asks(&self) -> bool {
        self.actions().all(|action| matches!(action, Action::Rights(_)))
    }

    /// Whether any of it must leave evidence in the audit log.
    pub fn is_logged(&self) -> bool {
        self.attacks.iter().any(|attack| attack.expected.logged().is_some())
            || self.permits.iter().any(|permit| permit.logged.is_some())
    }

    /// Asks for no evidence in the audit log any more, which nobody can read. What would be nothing without it stays as it
    /// is, and needs the log.
    pub fn forget_log(&mut self) {
        let is_recorded = |attack: &Attack| matches!(attack.expected, Expectation::Recorded(_));
        let searches = |action: &Action| matches!(action, Action::AuditLog(_));
        if self.attacks.iter().any(is_recorded) || self.actions().any(searches) {
            return;
        }
        for attack in &mut self.attacks {
            attack.expected.forget_log();
        }
        for permit in &mut self.permits {
            permit.logged = None;
        }
    }
}

/// A legitimate use that a control must not break.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Permit {
    /// Names the permit within its scenario.
    pub name: String,
    /// Who acts: a file of `manifests/personas`, without `.yaml`.
    pub r#as: String,
    /// What is sent.
    pub r#do: Action,
    /// The door to use instead of the action's first one.
    #[serde(default)]
    pub only: Option<Door>,
    /// What shows that it worked.
    pub succeeds: Succeeds,
    /// The evidence that it must leave in the audit log.
    #[serde(default)]
    pub logged: Option<Logged>,
}
