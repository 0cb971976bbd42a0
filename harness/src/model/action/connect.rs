//! A TCP connection that a running pod opens.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// A TCP connection that a pod opens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Connect {
    /// The pod that connects: `name`, or `namespace/name` in another namespace than the target's.
    pub from: String,
    /// What it connects to.
    pub to: To,
    /// The TCP port: of a Service its own, which need not be its pods'.
    pub port: u16,
    /// The pod that connects to the same meanwhile: silence counts as a block only beside this proof that somebody
    /// listens. Without it a pod connects to itself, and one behind a Service to the Service; an address has no proof.
    #[serde(default)]
    pub proven_from: Option<String>,
}

impl Connect {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: &[Need::RealNode, Need::PodNetwork],
            waits: false,
            is_logged: false,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}

/// What a pod connects to. Each address that it has is tried.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// A pod: `name`, or `namespace/name` in another namespace than the target's.
    Pod(String),
    /// A Service, by its cluster IP: `name`, or `namespace/name`.
    Service(String),
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
}

impl To {
    /// The keys that it is written with.
    pub const KINDS: [&str; 3] = ["pod", "service", "address"];
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Pod(name) => write!(f, "pod {name}"),
            To::Service(name) => write!(f, "Service {name}"),
            To::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Namespace and name of what is written `name` or `namespace/name`.
pub fn place<'a>(written: &'a str, own: &'a str) -> (&'a str, &'a str) {
    written.split_once('/').unwrap_or((own, written))
}
