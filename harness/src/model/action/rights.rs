//! Questions about what somebody may do.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Door, Facts};
use crate::model::Right;

/// What somebody may do, asked of the API server, so that every authorizer answers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rights {
    /// Who may.
    pub of: Holder,
    /// One right that is asked about. Without it: everything in `manifests/rights.yaml`, in every namespace.
    #[serde(default)]
    pub to: Option<Right>,
}

/// Whose rights are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// A persona: what its file says is its own.
    Persona(String),
    /// Anybody who is in these groups, and nobody in particular.
    Groups(Vec<String>),
    /// The ServiceAccount `default` of every namespace, which pods run as that name none.
    DefaultAccounts,
}

impl Rights {
    /// What brinell must know of it beside how it is sent.
    pub fn facts(&self) -> Facts {
        Facts {
            doors: &[Door::Direct],
            needs: &[],
            waits: false,
            // The admin asks, thousands of times; none of it is an attack.
            is_logged: false,
            prints: false,
            settles: None,
            by_controller: false,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Persona(name) => f.write_str(name),
            Holder::Groups(groups) => f.write_str(&groups.join(" and ")),
            Holder::DefaultAccounts => f.write_str("the default ServiceAccounts"),
        }
    }
}
