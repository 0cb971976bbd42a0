//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::collections::BTreeSet;

use super::{ControlEntry, Entry};
use crate::model::Need;

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
        let actions = self.scenario.actions().flat_map(|action| action.facts().needs);
        actions.copied().chain(self.scenario.is_logged().then_some(Need::AuditLog)).collect()
    }
}

impl ControlEntry {
    /// What its settings and its own questions need.
    pub fn needs(&self) -> BTreeSet<Need> {
        let asked = self.control.ready.iter().flat_map(|ready| ready.r#do.facts().needs);
        asked.copied().chain(self.control.kubelet.is_some().then_some(Need::RealNode)).collect()
    }
}
