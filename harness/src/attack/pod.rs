//! A pod, made directly or through a workload. It carries a scheduling gate: admitted, it never runs.

use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{ActionError, Attempt, Observation, workload};
use crate::merge;
use crate::model::{Owner, PodAction};

/// Makes the pod and looks whether it is there.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    action: &PodAction,
) -> Result<Observation, ActionError> {
    match action.through {
        None => directly(attempt, action).await,
        Some(kind) => workload::send(attempt, action, kind).await,
    }
}

async fn directly(attempt: &Attempt<'_>, action: &PodAction) -> Result<Observation, ActionError> {
    let path = format!("/api/v1/namespaces/{}/pods", attempt.target.namespace);
    let mut pod = template(attempt, action).await?;
    let asked = asked(action, &pod);
    merge::lay_over(
        &mut pod,
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": attempt.unique()}}),
    );
    let (sent, answer) = attempt.create(&path, pod).await?;
    let effect = attempt.made(&answer, &asked).await?;
    Ok(Observation { sent, answer, effect, traced: None })
}

/// What makes a pod of this template the scenario's own.
pub(super) fn asked(action: &PodAction, template: &Value) -> Value {
    json!({"metadata": template["metadata"], "spec": action.spec})
}

/// The metadata and spec of a pod that the restricted Pod Security Standard admits, with what the scenario lays over it.
pub(super) async fn template(
    attempt: &Attempt<'_>,
    action: &PodAction,
) -> Result<Value, ActionError> {
    let metadata = action.metadata.clone().unwrap_or_default();
    let mut template = json!({
        "metadata": {"labels": metadata.labels, "annotations": metadata.annotations},
        "spec": {
            "automountServiceAccountToken": false,
            "schedulingGates": [{"name": "brinell.dev/never"}],
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [limited(container(attempt, "attack"))],
        },
    });
    let mut owners = Vec::new();
    for owner in &metadata.owner_references {
        owners
            .push(reference(&attempt.world.access.admin, &attempt.target.namespace, owner).await?);
    }
    if !owners.is_empty() {
        template["metadata"]["ownerReferences"] = owners.into();
    }
    if let Some(over) = &action.spec {
        merge::lay_over(&mut template["spec"], &all_limited(over));
    }
    Ok(template)
}

/// A container with as little as one can have, unless it says itself what it has: a quota refuses one that says nothing, and so
/// does many a policy. Debug containers may not say it.
fn limited(mut container: Value) -> Value {
    let resources = json!({
        "requests": {"cpu": "1m", "memory": "8Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    });
    if let Some(fields) = container.as_object_mut() {
        fields.entry("resources").or_insert(resources);
    }
    container
}

/// What a scenario lays over the spec, where each container that it adds to ours is limited too.
fn all_limited(over: &Value) -> Value {
    let mut over = over.clone();
    for (list, ours) in [("initContainers", 0), ("containers", 1)] {
        let added = over.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        added.skip(ours).for_each(|container| *container = limited(container.take()));
    }
    over
}

/// A container that only waits, and that the restricted Pod Security Standard admits.
pub(super) fn container(attempt: &Attempt<'_>, name: &str) -> Value {
    json!({
        "name": name,
        "image": attempt.world.access.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["probe", "wait"],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

/// A reference to an owner. One without a UID names an object that is there: the garbage collector soon deletes what
/// belongs to nothing.
async fn reference(admin: &Client, namespace: &str, owner: &Owner) -> Result<Value, ActionError> {
    let uid = match &owner.uid {
        Some(uid) => uid.clone(),
        None => uid(admin, namespace, owner).await?,
    };
    Ok(json!({
        "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": uid,
        "controller": owner.controller, "blockOwnerDeletion": owner.block_owner_deletion,
    }))
}

async fn uid(admin: &Client, namespace: &str, owner: &Owner) -> Result<String, ActionError> {
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    let kind = GroupVersionKind::gvk(group, version, &owner.kind);
    let (resource, capabilities) = pinned_kind(admin, &kind).await?;
    let objects = match capabilities.scope {
        kube::discovery::Scope::Namespaced => {
            Api::<DynamicObject>::namespaced_with(admin.clone(), namespace, &resource)
        }
        kube::discovery::Scope::Cluster => Api::all_with(admin.clone(), &resource),
    };
    let found = objects.get_metadata(&owner.name).await?;
    found.metadata.uid.ok_or_else(|| ActionError::Missing("the owner has no UID".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_container_is_without_limits_unless_the_scenario_says_so() {
        let over = json!({
            "initContainers": [{"name": "first"}],
            "containers": [{"stdin": true}, {"name": "b"}, {"name": "c", "resources": {}}],
        });
        let mut spec = json!({"containers": [limited(json!({"name": "attack"}))]});
        merge::lay_over(&mut spec, &all_limited(&over));
        let limits = |list: &str, at: usize| spec[list][at]["resources"]["limits"].clone();
        let tiny = json!({"cpu": "100m", "memory": "64Mi"});
        for (list, at) in [("initContainers", 0), ("containers", 0), ("containers", 1)] {
            assert_eq!(limits(list, at), tiny, "{list} {at}");
        }
        assert_eq!(
            (limits("containers", 2), &spec["containers"][0]["stdin"]),
            (json!(null), &json!(true))
        );
        for (own, kept) in [
            (json!(null), json!(null)),
            (json!({"limits": {"cpu": "2"}}), json!({"cpu": "2", "memory": "64Mi"})),
        ] {
            let mut spec = json!({"containers": [limited(json!({"name": "attack"}))]});
            merge::lay_over(&mut spec, &all_limited(&json!({"containers": [{"resources": own}]})));
            assert_eq!(spec["containers"][0]["resources"]["limits"], kept);
        }
    }
}
