//! A read of everything that etcd holds.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// A read of etcd with the API server's own certificate, as someone with the node's disk would.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Etcd {
    /// The keys that must be encrypted, by their prefix.
    pub prefix: String,
}

impl Etcd {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: &[Need::Etcd],
            waits: false,
            is_logged: false,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}
