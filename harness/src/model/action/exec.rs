//! A command in a running container.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// `kubectl exec`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exec {
    /// The pod's namespace; without it the target's own.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
    /// The container; needed where the pod has several.
    #[serde(default)]
    pub container: Option<String>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Ask for standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Ask for a terminal.
    #[serde(default)]
    pub tty: bool,
}

impl Exec {
    /// Whether a simulated node may do it: those verbs of our own probe that reach nothing but their own input and output.
    pub fn is_harmless(&self) -> bool {
        let words: Vec<&str> = self.command.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["probe" | "/bin/probe", "echo", ..]
                | ["probe" | "/bin/probe", "cat" | "tick" | "wait"]
        )
    }

    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: Door::STREAMS,
            needs: if self.is_harmless() { &[] } else { &[Need::RealNode] },
            waits: false,
            is_logged: true,
            prints: true,
            settles: None,
            by_controller: false,
        }
    }
}
