//! Debug containers, by strategic merge, apply (as JSON and as YAML) and PUT: the ways in which one reaches a pod.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::{Value, json};

use super::http::Content;
use super::{ActionError, Attempt, Observation, mutation, pod};
use crate::merge;
use crate::model::{Door, Effect, Ephemeral, Method, Patch};

/// Adds a debug container, by a name of its own where the scenario gives it none, so that each door adds rather than
/// changes one.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    ephemeral: &Ephemeral,
) -> Result<Observation, ActionError> {
    let name = attempt.pod(ephemeral.pod.as_ref())?;
    let namespace = ephemeral.namespace.as_ref().unwrap_or(&attempt.target.namespace);
    let pods = Api::<Pod>::namespaced(attempt.world.access.admin.clone(), namespace);
    let container = container(attempt, ephemeral);
    let mut present = pods.get(name).await?;
    let before = effect(&container["name"], &Value::Null, &value(&present)?);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/ephemeralcontainers");
    let added = json!({"spec": {"ephemeralContainers": [container]}});
    let (method, uri, content) = match attempt.door {
        Door::Put => {
            // With it the kubelet, which writes the pod's status meanwhile, would be in the way (409).
            present.metadata.resource_version = None;
            let whole = with_container(&present, &container)?;
            (Method::Put, path, Content::json("application/json", &whole))
        }
        Door::Apply | Door::ApplyYaml => {
            let mut whole = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}});
            merge::lay_over(&mut whole, &added);
            let uri = format!("{path}?fieldManager={}", attempt.unique());
            let encode = if attempt.door == Door::Apply { Content::json } else { Content::yaml };
            (Method::Patch, uri, encode(Patch::Apply.media_type(), &whole))
        }
        _ => (Method::Patch, path, Content::json(Patch::Strategic.media_type(), &added)),
    };
    let (sent, answer) = attempt.ask(method, &uri, Some(content)).await;
    let asked = ephemeral.container.as_ref().unwrap_or(&Value::Null);
    let effect = match before {
        Effect::Absent => effect(&container["name"], asked, &value(&pods.get(name).await?)?),
        // One of this name was there, and stays for good: only the answer tells.
        _ => Effect::NotApplicable,
    };
    Ok(Observation { sent, answer, effect, traced: None })
}

/// The container, with what the scenario lays over it. Nothing is known of the pod that it joins, so it names the user
/// that it runs as.
fn container(attempt: &Attempt<'_>, ephemeral: &Ephemeral) -> Value {
    let mut container = pod::container(attempt, &attempt.unique());
    merge::lay_over(
        &mut container["securityContext"],
        &json!({
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }),
    );
    if let Some(over) = &ephemeral.container {
        merge::lay_over(&mut container, over);
    }
    container
}

fn value(pod: &Pod) -> Result<Value, ActionError> {
    serde_json::to_value(pod).map_err(|error| ActionError::Missing(error.to_string()))
}

fn with_container(pod: &Pod, container: &Value) -> Result<Value, ActionError> {
    let mut whole = value(pod)?;
    let containers = &mut whole["spec"]["ephemeralContainers"];
    if containers.is_null() {
        *containers = json!([]);
    }
    if let Some(containers) = containers.as_array_mut() {
        containers.retain(|present| present["name"] != container["name"]);
        containers.push(container.clone());
    }
    Ok(whole)
}

fn effect(name: &Value, asked: &Value, pod: &Value) -> Effect {
    let containers = pod["spec"]["ephemeralContainers"].as_array();
    match containers.into_iter().flatten().find(|container| container["name"] == *name) {
        Some(found) => mutation::effect(
            &format!("debug container {}", name.as_str().unwrap_or_default()),
            asked,
            found,
        ),
        None => Effect::Absent,
    }
}
