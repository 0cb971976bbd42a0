//! A search of the whole audit log.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// A search of the audit log, as someone would who may read it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditLogSearch {}

impl AuditLogSearch {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: &[Need::AuditLog],
            waits: false,
            is_logged: true,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}
