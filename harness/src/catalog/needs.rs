//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Action, Entry};

/// Something that not every cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A node that really runs pods.
    RealNode,
    /// A network between pods.
    PodNetwork,
    /// The kubelet's own port, reached from beside the node.
    KubeletPort,
    /// etcd, read past the API server.
    Etcd,
    /// The API server's audit log.
    AuditLog,
}

impl Action {
    /// What it needs beyond the API server. A simulated kubelet answers exec and attach.
    pub fn needs(&self) -> &'static [Need] {
        match self {
            Action::Exec(_)
            | Action::Attach(_)
            | Action::Ephemeral(_)
            | Action::Pod(_)
            | Action::Request(_) => &[],
            Action::Connect(_) | Action::Resolve(_) => &[Need::RealNode, Need::PodNetwork],
            Action::Kubelet(_) => &[Need::RealNode, Need::KubeletPort],
            Action::Etcd(_) => &[Need::Etcd],
        }
    }

    /// Whether the API server is asked, so that its audit log can hold an event of it.
    pub fn reaches_api_server(&self) -> bool {
        match self {
            Action::Exec(_)
            | Action::Attach(_)
            | Action::Ephemeral(_)
            | Action::Pod(_)
            | Action::Request(_) => true,
            Action::Connect(_) | Action::Resolve(_) | Action::Kubelet(_) | Action::Etcd(_) => false,
        }
    }
}

impl Entry {
    /// What all its attacks and permits need together.
    pub fn needs(&self) -> BTreeSet<Need> {
        let actions = self.scenario.actions().flat_map(Action::needs).copied();
        actions.chain(self.scenario.is_logged().then_some(Need::AuditLog)).collect()
    }
}
