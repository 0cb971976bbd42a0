//! A connection to a port of a running pod.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts};

/// `kubectl port-forward`. Whether it is let in is all that is asked: nothing is sent to any port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortForward {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
}

impl PortForward {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: Door::STREAMS,
            needs: &[],
            waits: false,
            is_logged: true,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}
