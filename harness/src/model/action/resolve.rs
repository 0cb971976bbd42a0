//! A name that a running pod looks up.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// A name that a pod looks up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resolve {
    /// The pod that asks: `name`, or `namespace/name` in another namespace than the target's.
    pub from: String,
    /// The name.
    pub name: String,
}

impl Resolve {
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
