//! A debug container added to a running pod.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Door, Facts};

/// `kubectl debug`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ephemeral {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
    /// The namespace of the pod; without it the target's.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Laid over a debug container that the restricted Pod Security Standard admits.
    #[serde(default)]
    pub container: Option<Value>,
}

impl Ephemeral {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::StrategicMerge, Door::Apply, Door::ApplyYaml, Door::Put],
            needs: &[],
            waits: false,
            is_logged: true,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}
