//! What is made last of its kind. The API server follows the objects of a kind by a watch, which brings changes in their
//! order: when the newest acts, all of its kind do.

use serde_json::{Value, json};

use crate::catalog::Document;

/// An object that is made last of its kind, called so.
pub(super) fn newest(version: &str, kind: &str, name: &str, what: &Value) -> Document {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    crate::merge::lay_over(&mut object, what);
    Document { file: format!("the newest {kind}"), object }
}
