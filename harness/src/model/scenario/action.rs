//! What is sent: one of these, and of those that no other file has, what they say.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Attach, Connect, Ephemeral, Exec, Method, PodAction, PortForward, Request, Resolve};

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
    /// A Secret that is made and read, and a search of the whole audit log for its value.
    AuditLog(AuditLogSearch),
    /// A review of everybody who is granted something.
    Grants(Grants),
}

/// A request to a node's kubelet, past the API server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kubelet {
    /// The HTTP method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// The port; the read-only port 10255 is plain HTTP.
    #[serde(default = "kubelet_port")]
    pub port: u16,
}

fn kubelet_port() -> u16 {
    10250
}

/// A read of etcd with the API server's own certificate, as someone with the node's disk would.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Etcd {
    /// The keys that must be encrypted, by their prefix.
    pub prefix: String,
}

/// A search of the audit log, as someone would who may read it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditLogSearch {}

/// A reading of all roles and their bindings, in every namespace and for the whole cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// The verb that is granted.
    pub verb: String,
    /// The resource, with its subresource: `pods/exec`.
    #[serde(default)]
    pub resource: Option<String>,
    /// The resource's API group; the core group without it.
    #[serde(default)]
    pub group: String,
    /// Instead of a resource: a path that is none, such as `/metrics`.
    #[serde(default)]
    pub url: Option<String>,
    /// Who may have it: `Group/name`, `User/name`, `ServiceAccount/namespace/name`, with `*` for any text.
    pub allowed: Vec<String>,
}
