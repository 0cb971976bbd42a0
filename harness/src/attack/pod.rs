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
            "containers": [container(attempt, "attack")],
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
        merge::lay_over(&mut template["spec"], over);
    }
    Ok(template)
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
