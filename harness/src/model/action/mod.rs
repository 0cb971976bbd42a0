//! What is sent: an action is one of these. Each has a file here, which says what it is and what must be known of it, and
//! one in `attack`, which sends it.

mod attach;
mod audit_log;
mod connect;
mod door;
mod ephemeral;
mod etcd;
mod exec;
mod grants;
mod kubelet;
mod need;
mod pod;
mod port_forward;
mod request;
mod resolve;
mod review;
mod rights;

pub use attach::Attach;
pub use audit_log::AuditLogSearch;
pub use connect::{Connect, To, place};
pub use door::Door;
pub use ephemeral::Ephemeral;
pub use etcd::Etcd;
pub use exec::Exec;
pub use grants::Grants;
pub use kubelet::Kubelet;
pub use need::Need;
pub use pod::{Owner, PodAction, PodMetadata, Workload};
pub use port_forward::PortForward;
pub use request::{Aim, Method, Patch, Request, is_question};
pub use resolve::Resolve;
pub use review::*;
pub use rights::{Holder, Rights};

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::ApiPath;

/// What is sent. The names are the keys under `do:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A command in a running container.
    Exec(Exec),
    /// The streams of a running container's main process.
    Attach(Attach),
    /// A connection to a port of a running pod, through the API server.
    PortForward(PortForward),
    /// A debug container added to a running pod.
    Ephemeral(Ephemeral),
    /// A pod that is created, directly or through a workload.
    Pod(PodAction),
    /// Any request to the API server.
    Request(Request),
    /// A TCP connection from a running pod.
    Connect(Connect),
    /// A DNS look-up from a running pod.
    Resolve(Resolve),
    /// A request to the kubelet's own port from a container beside the node.
    Kubelet(Kubelet),
    /// A read of everything that etcd holds.
    Etcd(Etcd),
    /// A Secret that is made, read and changed, and a search of the whole audit log for its value.
    AuditLog(AuditLogSearch),
    /// A review of everybody who is granted something.
    Grants(Grants),
    /// A review of configuration that decides tomorrow.
    Review(Review),
    /// Questions to the API server: may somebody do what is dangerous?
    Rights(Rights),
}

/// What brinell must know of an action beside how it is sent. An action's own file says all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Every door that it can be sent through, the common one first.
    pub doors: &'static [Door],
    /// What it needs beyond the API server. A simulated kubelet answers attach and port-forward, and exec of harmless
    /// commands.
    pub needs: &'static [Need],
    /// Whether it takes as long as it says itself, such as a watch that ends after a second.
    pub waits: bool,
    /// Whether the API server is asked, so that its audit log can hold an event of it.
    pub is_logged: bool,
    /// Whether a command's output comes back.
    pub prints: bool,
    /// How long what it changes may take to act on other requests; `None` where nobody is decided by what it changes.
    pub settles: Option<Duration>,
    /// Whether a controller does its own part of it.
    pub by_controller: bool,
}

impl Action {
    /// What must be known of it.
    pub fn facts(&self) -> Facts {
        match self {
            Action::Exec(exec) => exec.facts(),
            Action::Attach(attach) => attach.facts(),
            Action::PortForward(forward) => forward.facts(),
            Action::Ephemeral(ephemeral) => ephemeral.facts(),
            Action::Pod(pod) => pod.facts(),
            Action::Request(request) => request.facts(),
            Action::Connect(connect) => connect.facts(),
            Action::Resolve(resolve) => resolve.facts(),
            Action::Kubelet(kubelet) => kubelet.facts(),
            Action::Etcd(etcd) => etcd.facts(),
            Action::AuditLog(search) => search.facts(),
            Action::Grants(grants) => grants.facts(),
            Action::Review(review) => review.facts(),
            Action::Rights(rights) => rights.facts(),
        }
    }

    /// Whether it looks at all that is there, and tells of many at once.
    pub fn is_at_large(&self) -> bool {
        matches!(self, Action::Grants(_) | Action::Review(_) | Action::Rights(_))
    }

    /// Whether it changes who may do what.
    pub fn changes_rights(&self) -> bool {
        let Action::Request(Request { method, path, .. }) = self else { return false };
        let is_of = |path: ApiPath| path.group == "rbac.authorization.k8s.io";
        *method != Method::Get && ApiPath::parse(path).is_some_and(is_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(command: &[&str]) -> Action {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Action::Exec(Exec {
            namespace: None,
            pod: None,
            container: None,
            command,
            stdin: false,
            tty: false,
        })
    }

    fn request(method: Method, path: &str) -> Action {
        Action::Request(Request { method, path: path.to_owned(), patch: None, body: None })
    }

    fn get(path: &str) -> Action {
        request(Method::Get, path)
    }

    #[test]
    fn a_command_that_is_not_ours_needs_a_real_node() {
        assert!(exec(&["probe", "echo", "foo"]).facts().needs.is_empty());
        assert_eq!(exec(&["touch", "/tmp/x"]).facts().needs, [Need::RealNode]);
        assert_eq!(exec(&["probe", "connect", "10.0.0.1", "80"]).facts().needs, [Need::RealNode]);
    }

    #[test]
    fn who_may_do_what_is_changed_by_its_own_group() {
        let changes = |path: &str| request(Method::Post, path).changes_rights();
        assert!(changes("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"));
        assert!(!get("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings").changes_rights());
        assert!(changes("/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles/r"));
        assert!(!changes("/api/v1/namespaces/a"));
        assert!(!changes("/metrics"));
    }

    #[test]
    fn what_is_passed_on_needs_somebody_behind_the_api_server() {
        for path in [
            "/api/v1/nodes/n/proxy/pods",
            "/api/v1/namespaces/a/pods/p:80/proxy",
            "/api/v1/namespaces/a/services/https:s:443/proxy/x?y=z",
        ] {
            assert!(get(path).facts().needs.contains(&Need::RealNode), "{path}");
        }
        assert!(get("/api/v1/namespaces/proxy/pods?limit=1").facts().needs.is_empty());
    }
}
