//! What a cluster must have for an action to tell anything. Derived, so that nobody can forget it.

use std::fmt;

use serde::Serialize;

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
    /// The API server's settings, as it was started with them.
    Settings,
    /// Pods of ours that run, made of an image of our own executable.
    OwnPods,
    /// Somebody of the cluster's in the place of a persona of ours: what a role of ours allows says nothing of theirs.
    Players,
    /// That something outside of our own namespaces is made or borrowed.
    Effects,
    /// That something is changed or deleted which we have not made.
    Changes,
    /// A ClusterRole of ours, by its name.
    OwnClusterRole,
    /// A namespace of ours for each that the target has.
    OwnNamespaces,
}

impl Need {
    /// Whether every cluster of our own meets it, so that it counts on an existing one alone.
    pub fn is_of_existing(self) -> bool {
        match self {
            Need::RealNode
            | Need::PodNetwork
            | Need::KubeletPort
            | Need::Etcd
            | Need::AuditLog
            | Need::Settings => false,
            Need::OwnPods
            | Need::Players
            | Need::Effects
            | Need::Changes
            | Need::OwnClusterRole
            | Need::OwnNamespaces => true,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::RealNode => "a node that really runs pods",
            Need::PodNetwork => "a network between pods",
            Need::KubeletPort => "a kubelet's own port",
            Need::Etcd => "etcd",
            Need::AuditLog => "the API server's audit log",
            Need::Settings => "the API server's settings",
            Need::OwnPods => "running pods of brinell's own (--image)",
            Need::Players => "somebody of the cluster's own as persona (`personas:` in a profile)",
            Need::Effects => {
                "effects outside of brinell's own namespaces (--allow cluster-effects)"
            }
            Need::Changes => "changes of what brinell has not made",
            Need::OwnClusterRole => "a ClusterRole of brinell's own, which is a Role in each namespace there",
            Need::OwnNamespaces => {
                "a namespace in the place of each of its target's (`cluster.namespaces` in a profile)"
            }
        })
    }
}
