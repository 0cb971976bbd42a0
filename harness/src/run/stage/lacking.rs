//! What objects need and a new cluster will lack: told by its name before the cluster is made.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalog::{Document, identity};
use crate::cluster::ApplyError;
use crate::model::{api_group, is_built_in};
use crate::run::Plan;

/// The kind of object that defines others.
pub(super) const DEFINITION: &str = "CustomResourceDefinition";

/// What Kubernetes itself makes in every cluster.
const EVERYWHERE: [(&str, &str); 6] = [
    ("Namespace", "default"),
    ("Namespace", "kube-node-lease"),
    ("Namespace", "kube-public"),
    ("Namespace", "kube-system"),
    ("PriorityClass", "system-cluster-critical"),
    ("PriorityClass", "system-node-critical"),
];

/// Where workloads have the spec of their pods.
const POD_SPECS: [&str; 3] =
    ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];

/// Sees that a new cluster, which `brings` some things, will have all that the objects of a plan need.
pub(super) fn see_none(
    plan: &Plan<'_>,
    brings: &[(&'static str, &'static str)],
) -> Result<(), ApplyError> {
    let objects: Vec<&Document> = plan.objects().collect();
    see_kinds(&objects)?;
    see_names(&objects, brings)
}

/// Every kind is Kubernetes' own, or defined among the objects.
fn see_kinds(objects: &[&Document]) -> Result<(), ApplyError> {
    let definitions = objects.iter().map(|it| &it.object).filter(|it| it["kind"] == DEFINITION);
    let defined = definitions.map(|it| (&it["spec"]["group"], &it["spec"]["names"]["kind"]));
    let defined: Vec<(&Value, &Value)> = defined.collect();
    for Document { file, object } in objects.iter().copied() {
        let parameters = &object["spec"]["paramKind"];
        for named in [object, parameters].into_iter().filter(|it| it["kind"].is_string()) {
            let version = named["apiVersion"].as_str().unwrap_or_default();
            let group = api_group(version);
            let is_it = |(of, kind): &(&Value, &Value)| **of == group && **kind == named["kind"];
            if !is_built_in(group) && !defined.iter().any(is_it) {
                let kind = format!("{version} {}", named["kind"].as_str().unwrap_or_default());
                return Err(ApplyError::UnknownKind { file: file.clone(), kind });
            }
        }
    }
    Ok(())
}

/// What an object names is there, or among the objects.
fn see_names(
    objects: &[&Document],
    brings: &[(&'static str, &'static str)],
) -> Result<(), ApplyError> {
    let made = objects.iter().filter_map(|it| {
        Some((it.object["kind"].as_str()?, it.object["metadata"]["name"].as_str()?))
    });
    let there = EVERYWHERE.into_iter().chain(brings.iter().copied());
    // A claim is bound to a volume of its class, whether there is such a class or not.
    let volumes = objects.iter().filter(|it| it.object["kind"] == "PersistentVolume");
    let classes = volumes.filter_map(|it| {
        Some(("StorageClass", it.object.pointer("/spec/storageClassName")?.as_str()?))
    });
    let there: BTreeSet<(&str, &str)> = there.chain(made).chain(classes).collect();
    for Document { file, object } in objects.iter().copied() {
        if let Some((kind, name)) = needed(object).into_iter().find(|it| !there.contains(it)) {
            let (file, object, name) = (file.clone(), identity(object), name.to_owned());
            return Err(ApplyError::Lacking { file, object, kind, name });
        }
    }
    Ok(())
}

/// What an object names and cannot be without, as kind and name.
fn needed(object: &Value) -> Vec<(&'static str, &str)> {
    let mut named = vec![("Namespace", object.pointer("/metadata/namespace"))];
    for spec in POD_SPECS.iter().filter_map(|pointer| object.pointer(pointer)) {
        named.push(("PriorityClass", spec.get("priorityClassName")));
        named.push(("RuntimeClass", spec.get("runtimeClassName")));
    }
    if object["kind"] == "PersistentVolumeClaim" {
        named.push(("StorageClass", object.pointer("/spec/storageClassName")));
    }
    for claim in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        named.push(("StorageClass", claim.pointer("/spec/storageClassName")));
    }
    let mut needed = Vec::new();
    for (kind, name) in named {
        let name = name.and_then(Value::as_str).filter(|name| !name.is_empty());
        needed.extend(name.map(|name| (kind, name)));
    }
    needed
}

#[cfg(test)]
mod tests {
    use std::slice;

    use serde_json::json;

    use super::*;

    fn told(objects: &[Value], brings: &[(&'static str, &'static str)]) -> String {
        let document =
            |object: &Value| Document { file: "mine.yaml".to_owned(), object: object.clone() };
        let documents: Vec<Document> = objects.iter().map(document).collect();
        let documents: Vec<&Document> = documents.iter().collect();
        let seen = see_kinds(&documents).and_then(|()| see_names(&documents, brings));
        seen.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn object(version: &str, kind: &str, spec: Value) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "it"}, "spec": spec})
    }

    #[test]
    fn a_kind_that_nobody_defines_is_told_by_its_name() {
        let registry = object("example.com/v1", "Registry", json!({}));
        let unknown = "mine.yaml: this cluster has no example.com/v1 Registry; the CustomResourceDefinition of it belongs \
                       in `objects`";
        assert_eq!(told(slice::from_ref(&registry), &[]), unknown);
        let names = json!({"group": "example.com", "names": {"kind": "Registry"}});
        let definition = object("apiextensions.k8s.io/v1", DEFINITION, names);
        assert_eq!(told(&[registry, definition.clone()], &[]), "");
        let policy = |kind: &str| {
            let parameters = json!({"paramKind": {"apiVersion": "example.com/v1", "kind": kind}});
            object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", parameters)
        };
        assert_eq!(told(&[policy("Registry"), definition.clone()], &[]), "");
        assert_eq!(told(&[policy("Registry")], &[]), unknown);
        assert!(told(&[policy("Limits"), definition], &[]).contains("example.com/v1 Limits"));
    }

    #[test]
    fn what_an_object_names_and_nobody_makes_is_told_by_its_name() {
        let claim =
            |class: &str| object("v1", "PersistentVolumeClaim", json!({"storageClassName": class}));
        assert_eq!(
            told(&[claim("fast")], &[]),
            "mine.yaml: PersistentVolumeClaim/it needs the StorageClass `fast`, which this cluster lacks and nothing makes: \
             add it to `objects`"
        );
        let standard = [("StorageClass", "standard")];
        assert_eq!(told(&[claim("standard")], &standard), "");
        assert_eq!(told(&[claim("")], &[]), "");
        let set = json!({"volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]});
        assert!(told(&[object("apps/v1", "StatefulSet", set)], &[]).contains("`fast`"));
        let pod = |field: &str| json!({"template": {"spec": {field: "it"}}});
        for (field, kind) in
            [("priorityClassName", "PriorityClass"), ("runtimeClassName", "RuntimeClass")]
        {
            let workload = object("apps/v1", "Deployment", pod(field));
            assert!(told(slice::from_ref(&workload), &[]).contains(&format!("the {kind} `it`")));
            assert_eq!(told(&[workload, object("v1", kind, json!({}))], &[]), "");
        }
        let mut within = object("v1", "ConfigMap", json!({}));
        within["metadata"]["namespace"] = json!("team");
        assert!(told(slice::from_ref(&within), &[]).contains("the Namespace `team`"));
        within["metadata"]["namespace"] = json!("kube-system");
        assert_eq!(told(&[within], &[]), "");
    }
}
