//! The ways in which one action can be sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way to send an action. A control that watches one door may forget another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// GET with `Upgrade: websocket`: kubectl since 1.31. The verb is `get`.
    GetWebsocket,
    /// POST with `Upgrade: SPDY/3.1`: kubectl's fallback. The verb is `create`.
    PostSpdy,
    /// GET with `Upgrade: SPDY/3.1`. The verb is `get`.
    GetSpdy,
    /// PATCH with a strategic merge patch: what `kubectl debug` sends.
    StrategicMerge,
    /// PATCH by server-side apply, with a JSON body.
    Apply,
    /// PATCH by server-side apply, with a YAML body, which the audit log cannot hold.
    ApplyYaml,
    /// PUT of the whole object. The verb is `update`.
    Put,
    /// The action has one way only.
    Direct,
}

impl Door {
    /// The doors of what opens a stream.
    pub const STREAMS: &[Door] = &[Door::GetWebsocket, Door::PostSpdy, Door::GetSpdy];

    /// As YAML names it.
    pub fn name(self) -> &'static str {
        match self {
            Door::GetWebsocket => "get-websocket",
            Door::PostSpdy => "post-spdy",
            Door::GetSpdy => "get-spdy",
            Door::StrategicMerge => "strategic-merge",
            Door::Apply => "apply",
            Door::ApplyYaml => "apply-yaml",
            Door::Put => "put",
            Door::Direct => "direct",
        }
    }

    /// As results name it.
    pub fn label(self) -> &'static str {
        match self {
            Door::GetWebsocket => "GET WebSocket",
            Door::PostSpdy => "POST SPDY",
            Door::GetSpdy => "GET SPDY",
            Door::StrategicMerge => "strategic merge",
            Door::Apply => "apply",
            Door::ApplyYaml => "apply as YAML",
            Door::Put => "PUT",
            Door::Direct => "",
        }
    }
}
