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

/// The metadata and spec of a pod that the restricted Pod Security Standard admits, with what the scenario lays over
/// it.
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
    let over =
        with_image(action.spec.as_ref().unwrap_or(&Value::Null), container(attempt, "first"));
    lay_limited_over(&mut template["spec"], &over);
    Ok(template)
}

/// What is laid over a pod's spec, each init container that names no image laid over one of ours: it is admitted as
/// such.
fn with_image(over: &Value, ours: Value) -> Value {
    let mut over = over.clone();
    let containers = over.get_mut("initContainers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter(|it| it.get("image").is_none()) {
        let mut whole = ours.clone();
        merge::lay_over(&mut whole, container);
        *container = whole;
    }
    over
}

/// Lays over a pod's spec what the scenario says. A container whose `resources` the scenario does not say gets small
/// ones: a quota refuses a container without any, and so does many a policy. Where the scenario says them, ours are
/// left out: its request may be above our limit. Debug containers may not have any.
fn lay_limited_over(spec: &mut Value, over: &Value) {
    merge::lay_over(spec, over);
    let resources = json!({
        "requests": {"cpu": "1m", "memory": "8Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    });
    // A null says it, too, and is not there any more.
    let is_said = |of: &Value| of.get("resources").is_some();
    // The limits of the whole pod are its containers' too.
    if is_said(over) {
        return;
    }
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (position, container) in containers.enumerate() {
            if container.is_object() && !is_said(&over[list][position]) {
                container["resources"] = resources.clone();
            }
        }
    }
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

    fn laid(over: &Value) -> Value {
        let mut spec = json!({"containers": [{"name": "attack"}]});
        lay_limited_over(&mut spec, over);
        spec
    }

    #[test]
    fn no_container_is_without_limits_unless_the_scenario_says_so() {
        let over = json!({
            "initContainers": [{"name": "first"}],
            "containers": [{"stdin": true}, {"name": "b"}, {"name": "c", "resources": {}}],
        });
        let spec = laid(&over);
        let limits = |list: &str, at: usize| spec[list][at]["resources"]["limits"].clone();
        let tiny = json!({"cpu": "100m", "memory": "64Mi"});
        for (list, at) in [("initContainers", 0), ("containers", 0), ("containers", 1)] {
            assert_eq!(limits(list, at), tiny, "{list} {at}");
        }
        assert_eq!(
            (limits("containers", 2), &spec["containers"][0]["stdin"]),
            (json!(null), &json!(true))
        );
        assert_eq!(laid(&Value::Null)["containers"][0]["resources"]["limits"], tiny);
        assert!(laid(&json!("no spec")).is_string());
    }

    /// Who looks at containers alone lets it in there, and nothing else of it may be refused.
    #[test]
    fn an_init_container_without_an_image_is_ours_but_for_what_is_said() {
        let ours = json!({"name": "first", "image": "ours", "securityContext": {"capabilities": {"drop": ["ALL"]}}});
        let theirs = json!({"name": "x", "image": "theirs"});
        let over = json!({"initContainers": [
            {}, theirs, {"name": "y", "securityContext": {"privileged": true, "capabilities": null}},
        ]});
        let laid = with_image(&over, ours.clone());
        let privileged =
            json!({"name": "y", "image": "ours", "securityContext": {"privileged": true}});
        assert_eq!(laid["initContainers"], json!([ours, theirs, privileged]));
        for other in [json!(null), json!("no spec"), json!({"initContainers": ["none"]})] {
            assert_eq!(with_image(&other, json!({})), other);
        }
    }

    /// Together with ours, each of these is one that the API server does not take: a request above its limit.
    #[test]
    fn what_a_scenario_says_of_a_container_is_all_that_it_has() {
        for own in [
            json!(null),
            json!({"requests": {"cpu": "500m"}}),
            json!({"limits": {"memory": "4Mi"}}),
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}),
        ] {
            let both = json!([{"resources": own}, {"name": "b", "resources": own}]);
            let spec = laid(&json!({"containers": both, "initContainers": both}));
            for list in ["containers", "initContainers"] {
                for at in [0, 1] {
                    assert_eq!(spec[list][at]["resources"], own, "{list} {at}");
                }
            }
        }
        let whole = laid(&json!({"resources": {"limits": {"cpu": "10m"}}}));
        assert_eq!(whole["containers"][0].get("resources"), None);
    }
}
