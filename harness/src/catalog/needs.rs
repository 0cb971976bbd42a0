//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::collections::BTreeSet;

use super::{ControlEntry, Entry};
use crate::model::{Action, Attack, Need};

/// What a cluster has not of what actions may need, and whose lack it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    /// As sentences name it: `embedded clusters`.
    pub who: String,
    /// What is not there.
    pub needs: BTreeSet<Need>,
}

impl Lacks {
    /// Why nothing that has these needs can be tried there; `None` if all of them are met.
    pub fn why_not(&self, needs: &BTreeSet<Need>) -> Option<String> {
        let unmet: Vec<String> = self.needs.intersection(needs).map(ToString::to_string).collect();
        (!unmet.is_empty())
            .then(|| format!("needs {}, which {} lack", unmet.join(" and "), self.who))
    }
}

impl Entry {
    /// What all its attacks and permits need together.
    pub fn needs(&self) -> BTreeSet<Need> {
        let attacks = self.scenario.attacks.iter().flat_map(Attack::needs);
        let permits = self.scenario.permits.iter().flat_map(|permit| permit.r#do.facts().needs);
        let log = self.scenario.is_logged().then_some(Need::AuditLog);
        attacks.chain(permits).copied().chain(log).collect()
    }
}

impl Attack {
    /// A command that must be refused is refused before a node is asked. Where it is let in, a simulated node answers as
    /// one does whose image has no such program.
    fn needs(&self) -> &'static [Need] {
        match (&self.r#do, self.blocked()) {
            (Action::Exec(_), Some(_)) => &[],
            (action, _) => action.facts().needs,
        }
    }
}

impl ControlEntry {
    /// What its settings and its own questions need.
    pub fn needs(&self) -> BTreeSet<Need> {
        let asked = self.control.ready.iter().flat_map(|ready| ready.r#do.facts().needs);
        asked.copied().chain(self.control.kubelet.is_some().then_some(Need::RealNode)).collect()
    }
}
