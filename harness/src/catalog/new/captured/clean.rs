//! What of an object decides, without what its server owns; and why some are not captured at all.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::catalog::substitutions;
use crate::model::{RUN_LABEL, api_group};
use crate::text::cut;

/// The group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// The group of priority levels and flow schemas.
const FLOW_CONTROL: &str = "flowcontrol.apiserver.k8s.io";

/// The label of roles and bindings that the API server makes when it starts
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>).
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// Says `false` where the API server no longer restores a default role or binding.
const RESTORED: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Says `true` where the API server keeps a priority level or a flow schema as its own
/// (<https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#maintenance-of-the-mandatory-and-suggested-configuration-objects>).
const KEPT: &str = "apf.kubernetes.io/autoupdate-spec";

/// Who writes default roles: the API server, and the controller that puts aggregated ones together.
const OWN_WRITERS: [&str; 3] =
    ["kube-apiserver", "kube-controller-manager", "clusterrole-aggregation-controller"];

/// What of metadata is captured.
const KEPT_METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// Hold an object as it was once, whatever was in it then.
const OLDER: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "objectset.rio.cattle.io/applied",
    "kapp.k14s.io/original",
    "banzaicloud.com/last-applied",
];

/// The label that the API server gives every namespace itself.
const OWN_NAME: [&str; 1] = ["kubernetes.io/metadata.name"];

/// Who owns an object that is not captured, because it would be there anyway.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// The API server, which makes roles and bindings.
    Roles,
    /// The API server, which makes priority levels and flow schemas.
    FlowControl,
    /// A run of brinell's.
    Brinell,
}

/// Who owns an object that would be there anyway; `None` if it belongs to the cluster's people or their programs.
pub(super) fn owner(object: &Value) -> Option<Owner> {
    let group = group(object);
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
    if !object["metadata"]["labels"][RUN_LABEL].is_null() {
        return Some(Owner::Brinell);
    }
    if group == FLOW_CONTROL && annotation(KEPT) == Some("true") {
        return Some(Owner::FlowControl);
    }
    let is_restored = is_default(object) && !is_kept_as_changed(object);
    (is_restored && is_untouched(object)).then_some(Owner::Roles)
}

/// Whether an API server leaves a default role or binding as somebody has changed it. Into others it puts back what is missing
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation>).
pub fn is_kept_as_changed(object: &Value) -> bool {
    is_default(object) && object["metadata"]["annotations"][RESTORED] == "false"
}

/// Whether an API server makes a role or a binding of this name when it starts.
pub(super) fn is_default(object: &Value) -> bool {
    group(object) == RBAC && object["metadata"]["labels"][BOOTSTRAPPING] == "rbac-defaults"
}

/// Whether it is known that nobody else has written to a default role or binding.
fn is_untouched(object: &Value) -> bool {
    has_writers(object) && strangers(object).is_empty()
}

/// Whether it is known who has written to an object.
pub(super) fn has_writers(object: &Value) -> bool {
    object["metadata"]["managedFields"].as_array().is_some_and(|entries| !entries.is_empty())
}

/// Who else has written to a default role or binding.
pub(super) fn strangers(object: &Value) -> BTreeSet<&str> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let managers = entries.map(|entry| entry["manager"].as_str().unwrap_or("somebody unnamed"));
    managers.filter(|manager| !OWN_WRITERS.contains(manager)).collect()
}

/// The API group of an object; empty is the core one.
pub(super) fn group(object: &Value) -> &str {
    api_group(object["apiVersion"].as_str().unwrap_or_default())
}

/// Why an object cannot be captured, whoever's it is; `None` if it can.
pub(super) fn unfit(object: &Value) -> Option<String> {
    if object["kind"] == "Secret" && group(object).is_empty() {
        return Some("it is a Secret, of which nothing is ever captured".to_owned());
    }
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Some("it is being deleted".to_owned());
    }
    if !object["metadata"]["name"].is_string() {
        return Some("it has no name".to_owned());
    }
    None
}

/// What stands in an object for a value of a run's in a file of a catalog; `None` if nothing does.
pub(super) fn substituted(object: &Value) -> Option<String> {
    let text = object.to_string();
    let name = substitutions(&text).next()?;
    Some(format!("${{{}", cut(name, 40)))
}

/// An object as somebody would write it who wants it again: without what its server owns.
pub(super) fn cleaned(object: &Value) -> Value {
    let mut cleaned = object.clone();
    let Some(fields) = cleaned.as_object_mut() else { return cleaned };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        clean(metadata);
    }
    match object["kind"].as_str() {
        // Its finalizers.
        Some("Namespace") => drop(fields.remove("spec")),
        // A controller puts them together.
        Some("ClusterRole") if object["aggregationRule"].is_object() => {
            fields.insert("rules".to_owned(), json!([]));
        }
        Some("CustomResourceDefinition") if converts(object) => {
            cleaned["spec"]["conversion"] = json!({"strategy": "None"});
        }
        _ => {}
    }
    cleaned
}

/// Whether a webhook of theirs converts what is of this kind.
pub(super) fn converts(object: &Value) -> bool {
    object["spec"]["conversion"]["strategy"] == "Webhook"
}

fn clean(metadata: &mut Map<String, Value>) {
    metadata.retain(|key, _| KEPT_METADATA.contains(&key.as_str()));
    for (field, owned) in [("labels", &OWN_NAME[..]), ("annotations", &OLDER)] {
        let Some(words) = metadata.get_mut(field).and_then(Value::as_object_mut) else { continue };
        words.retain(|key, _| !owned.contains(&key.as_str()));
        if words.is_empty() {
            metadata.remove(field);
        }
    }
}
