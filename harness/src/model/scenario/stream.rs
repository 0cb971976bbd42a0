//! Ways into a running pod.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// `kubectl exec`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exec {
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

/// `kubectl port-forward`. Whether it is let in is all that is asked: nothing is sent to any port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortForward {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
}

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
