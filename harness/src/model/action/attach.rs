//! The streams of a running container's main process.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts};

/// `kubectl attach`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attach {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
    /// The container; needed where the pod has several.
    #[serde(default)]
    pub container: Option<String>,
    /// Ask for standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Ask for a terminal.
    #[serde(default)]
    pub tty: bool,
}

impl Attach {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: Door::STREAMS,
            needs: &[],
            waits: false,
            is_logged: true,
            prints: true,
            settles: None,
            by_controller: false,
        }
    }
}
