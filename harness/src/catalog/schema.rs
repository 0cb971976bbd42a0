//! The JSON Schema of each kind of file: an editor completes and checks files by it.

use clap::ValueEnum;
use schemars::{Schema, json_schema, schema_for};

use crate::model::{
    CatalogFile, Control, Danger, Deviation, PersonaFile, Profile, Scenario, Waiver,
};

/// A kind of file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// scenarios/FAMILY/ID.yaml
    Scenario,
    /// manifests/controls/ID/control.yaml
    Control,
    /// manifests/targets/NAME.yaml, of which each document is an object
    Target,
    /// manifests/personas/NAME.yaml
    Persona,
    /// manifests/profiles/NAME.yaml
    Profile,
    /// manifests/deviations.yaml
    Deviations,
    /// manifests/rights.yaml
    Rights,
    /// catalog.yaml
    Catalog,
    /// The file of --expected
    Expected,
}

impl FileKind {
    /// The schema, as it is written into a file.
    pub fn schema(self) -> String {
        let (title, mut schema) = self.titled();
        schema.insert("title".to_owned(), title.into());
        serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
    }

    fn titled(self) -> (&'static str, Schema) {
        match self {
            FileKind::Scenario => ("A scenario of brinell", schema_for!(Scenario)),
            FileKind::Control => ("A control of brinell", schema_for!(Control)),
            FileKind::Target => ("An object of a target of brinell", object()),
            FileKind::Persona => ("A persona of brinell", schema_for!(PersonaFile)),
            FileKind::Profile => ("A profile of brinell", schema_for!(Profile)),
            FileKind::Deviations => {
                ("What a proof of brinell does not show", schema_for!(Vec<Deviation>))
            }
            FileKind::Rights => {
                ("Rights that are dangerous, for brinell", schema_for!(Vec<Danger>))
            }
            FileKind::Catalog => ("A catalog of brinell", schema_for!(CatalogFile)),
            FileKind::Expected => {
                ("Failures that are known, for brinell --expected", schema_for!(Vec<Waiver>))
            }
        }
    }
}

/// What every object of Kubernetes says of itself; what else its kind has is Kubernetes' own to say.
fn object() -> Schema {
    json_schema!({
        "description": "An object of Kubernetes. The first one of a target is a Namespace.",
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
                "required": ["name"],
            },
        },
        "required": ["apiVersion", "kind", "metadata"],
    })
}
