//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::collections::BTreeSet;

use super::{ControlEntry, Entry};
use crate::model::Need;

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
