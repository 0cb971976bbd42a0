//! How the cluster must answer: who refuses, what shows that it worked, what stands in the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Door, Layer};

/// The block that is expected: by which control, and with which words.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blocked {
    /// The control that must refuse: a folder of `manifests/controls`.
    pub by: String,
    /// Which of the control's layers, where it decides in more than one.
    #[serde(default)]
    pub at: Option<Layer>,
    /// The reason that the refusal must give, apart from names: some of its words, or of Pod Security one of its checks,
    /// `host namespaces` or `host namespaces (hostPID=true)`.
    #[serde(default)]
    pub saying: Option<String>,
}

/// The audit event that is expected. Verb, user, URI, object and code follow from what was sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Logged {
    /// The exact level of the event. More is as wrong as less: bodies of Secrets must not be there.
    pub level: Level,
    /// Text that the event's request URI must contain.
    #[serde(default)]
    pub uri: Option<String>,
    /// Of an attack that nobody in particular must refuse: whether a refusal is as good. Without this it must be let in,
    /// because a refused one does not show what an admitted one leaves.
    #[serde(default)]
    pub refused_too: bool,
    /// The doors through which the log cannot hold more than that the request was received: neither body nor answer.
    #[serde(default)]
    pub received_only: Vec<Door>,
}

/// How much an audit event holds (`audit.k8s.io/v1` Level).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum Level {
    /// Nothing is logged.
    None,
    /// Who did what, without bodies.
    Metadata,
    /// With the request's body.
    Request,
    /// With both bodies.
    RequestResponse,
}

/// What shows that a permit worked. A permit without any of these needs a 2xx answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Succeeds {
    /// The exact output of the command, without its last line break.
    #[serde(default)]
    pub stdout: Option<String>,
    /// Text that the output must contain.
    #[serde(default)]
    pub stdout_contains: Option<String>,
}
