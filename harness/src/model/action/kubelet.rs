//! A request to a kubelet's own port.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Method, Need};

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

impl Kubelet {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: &[Need::RealNode, Need::KubeletPort],
            waits: false,
            is_logged: false,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}

fn kubelet_port() -> u16 {
    10250
}
