//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::{ControlEntry, Entry};
use crate::model::Action;
use crate::pod::probe::harmless;

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

impl Action {
    /// What it needs beyond the API server. A simulated kubelet answers attach and
    /// port-forward, and exec of harmless commands.
    pub fn needs(&self) -> &'static [Need] {
        match self {
            Action::Exec(exec) if harmless(&exec.command).is_none() => &[Need::RealNode],
            Action::Request(request) if is_forwarded(&request.path) => {
                &[Need::RealNode, Need::PodNetwork]
            }
            Action::Exec(_)
            | Action::Attach(_)
            | Action::PortForward(_)
            | Action::Ephemeral(_)
            | Action::Pod(_)
            | Action::Request(_)
            | Action::Grants(_) => &[],
            Action::Connect(_) | Action::Resolve(_) => &[Need::RealNode, Need::PodNetwork],
            Action::Kubelet(_) => &[Need::RealNode, Need::KubeletPort],
            Action::Etcd(_) => &[Need::Etcd],
            Action::AuditLog(_) => &[Need::AuditLog],
        }
    }

    /// Whether it takes as long as it says itself, such as a watch that ends after a second.
    pub fn waits(&self) -> bool {
        matches!(self, Action::Request(request) if request.path.contains("timeoutSeconds="))
    }

    /// Whether the API server is asked, so that its audit log can hold an event of it.
    pub fn reaches_api_server(&self) -> bool {
        match self {
            Action::Exec(_)
            | Action::Attach(_)
            | Action::PortForward(_)
            | Action::Ephemeral(_)
            | Action::Pod(_)
            | Action::Request(_)
            | Action::AuditLog(_) => true,
            // A review is many requests of the admin's, none of them an attack.
            Action::Grants(_) => false,
            Action::Connect(_) | Action::Resolve(_) | Action::Kubelet(_) | Action::Etcd(_) => false,
        }
    }
}

/// Whether the API server passes the request on to a node, a pod or a service.
fn is_forwarded(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    segments.windows(3).any(|three| {
        matches!(three, ["nodes" | "pods" | "services", _, "proxy"])
            || matches!(three, ["api", "v1", "proxy"])
    })
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::RealNode => "a node that really runs pods",
            Need::PodNetwork => "a network between pods",
            Need::KubeletPort => "a kubelet's own port",
            Need::Etcd => "etcd",
            Need::AuditLog => "the API server's audit log",
        })
    }
}

impl Entry {
    /// What all its attacks and permits need together.
    pub fn needs(&self) -> BTreeSet<Need> {
        let actions = self.scenario.actions().flat_map(Action::needs).copied();
        actions.chain(self.scenario.is_logged().then_some(Need::AuditLog)).collect()
    }
}

impl ControlEntry {
    /// What its settings and its own questions need.
    pub fn needs(&self) -> BTreeSet<Need> {
        let asked = self.control.ready.iter().flat_map(|ready| ready.r#do.needs()).copied();
        asked.chain(self.control.kubelet.is_some().then_some(Need::RealNode)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Exec, Method, Request};

    fn exec(command: &[&str]) -> Action {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Action::Exec(Exec { pod: None, container: None, command, stdin: false, tty: false })
    }

    fn get(path: &str) -> Action {
        Action::Request(Request {
            method: Method::Get,
            path: path.to_owned(),
            patch: None,
            body: None,
        })
    }

    #[test]
    fn a_command_that_is_not_ours_needs_a_real_node() {
        assert!(exec(&["probe", "echo", "foo"]).needs().is_empty());
        assert_eq!(exec(&["touch", "/tmp/x"]).needs(), [Need::RealNode]);
        assert_eq!(exec(&["probe", "connect", "10.0.0.1", "80"]).needs(), [Need::RealNode]);
    }

    #[test]
    fn what_is_passed_on_needs_somebody_behind_the_api_server() {
        for path in [
            "/api/v1/nodes/n/proxy/pods",
            "/api/v1/namespaces/a/pods/p:80/proxy",
            "/api/v1/namespaces/a/services/https:s:443/proxy/x?y=z",
        ] {
            assert!(get(path).needs().contains(&Need::RealNode), "{path}");
        }
        assert!(get("/api/v1/namespaces/proxy/pods?limit=1").needs().is_empty());
    }
}
