//! What the `catalog.yaml` of a reader's catalog says, as types.

use schemars::JsonSchema;
use serde::Deserialize;

/// How a catalog of the reader's is laid over what is below it: ours, and those of the reader's that were named before.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CatalogFile {
    /// What of this catalog takes the place of what has the same name below it.
    #[serde(default)]
    pub replaces: Replaced,
}

/// Names of what is replaced, by kind. A control is replaced with all its files.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Replaced {
    /// Scenarios, by id.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// Controls, by id.
    #[serde(default)]
    pub controls: Vec<String>,
    /// Targets.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Personas.
    #[serde(default)]
    pub personas: Vec<String>,
    /// Profiles.
    #[serde(default)]
    pub profiles: Vec<String>,
}
