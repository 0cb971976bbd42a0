//! A review of everybody who is granted something.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts, Need};

/// A reading of all roles and their bindings, in every namespace and for the whole cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// The verb that is granted.
    pub verb: String,
    /// The resource, with its subresource: `pods/exec`.
    #[serde(default)]
    pub resource: Option<String>,
    /// The resource's API group; the core group without it.
    #[serde(default)]
    pub group: String,
    /// Instead of a resource: a path that is none, such as `/metrics`.
    #[serde(default)]
    pub url: Option<String>,
    /// Who may have it: `Group/name`, `User/name`, `ServiceAccount/namespace/name`, with `*` for any text.
    pub allowed: Vec<String>,
}

impl Grants {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            // Which authorizers there are: those who hold it by another one than RBAC are not seen.
            needs: &[Need::Settings],
            waits: false,
            // A review is many requests of the admin's, none of them an attack.
            is_logged: false,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}
