//! A pod, made directly or through a workload. It carries a scheduling gate: admitted, it never runs.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use super::http::name;
use super::{ActionError, Attempt, Observation, Traced};
use crate::catalog::{Method, PodAction, Workload};
use crate::merge;
use crate::verdict::{Answer, Effect, Response, Through};

/// How long a controller may take to make a pod or to say that it cannot.
const CONTROLLER: Duration = Duration::from_secs(30);

/// Who makes a Deployment's pods.
const CONTROLLER_USER: &str = "system:serviceaccount:kube-system:replicaset-controller";

/// Makes the pod and looks whether it is there.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    action: &PodAction,
) -> Result<Observation, ActionError> {
    match action.through {
        None => directly(attempt, action).await,
        Some(Workload::Deployment) => through_deployment(attempt, action).await,
    }
}

async fn directly(attempt: &Attempt<'_>, action: &PodAction) -> Result<Observation, ActionError> {
    let unique = attempt.unique();
    let path = format!("/api/v1/namespaces/{}/pods", attempt.scene.namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": unique},
        "spec": spec(attempt, action),
    });
    let answer = attempt.ask(Method::Post, &path, "application/json", Some(&body)).await;
    Ok(Observation {
        sent: attempt.sent(name(Method::Post), &path, "create"),
        answer,
        effect: attempt.look_and_remove(&format!("{path}/{unique}"), &unique).await?,
        traced: None,
    })
}

async fn through_deployment(
    attempt: &Attempt<'_>,
    action: &PodAction,
) -> Result<Observation, ActionError> {
    let unique = attempt.unique();
    let namespace = &attempt.scene.namespace;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let labels = json!({"brinell.dev/attempt": attempt.audit_id});
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": unique},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec(attempt, action)},
        },
    });
    let answer = attempt.ask(Method::Post, &path, "application/json", Some(&body)).await;
    let answer = match answer {
        Answer::Http(workload) if workload.is_success() => {
            let pod = controllers_answer(attempt).await?;
            Answer::Through(Through { workload, pod })
        }
        refused => refused,
    };
    let made = is_pod_there(attempt).await?;
    let workload = attempt.look_and_remove(&format!("{path}/{unique}"), &unique).await?;
    let effect = match &answer {
        _ if made => Effect::Present("the controller's pod".to_owned()),
        Answer::Through(_) => Effect::Absent,
        _ => workload,
    };
    Ok(Observation {
        sent: attempt.sent(name(Method::Post), &path, "create"),
        answer,
        effect,
        traced: Some(Traced {
            user: CONTROLLER_USER,
            namespace: namespace.clone(),
            // Its ReplicaSet's name follows. Without the hyphen attempt 1 would find the traces of attempt 12.
            prefix: format!("{unique}-"),
        }),
    })
}

/// Whether the controller's pod is there, whatever the controller was answered.
async fn is_pod_there(attempt: &Attempt<'_>) -> Result<bool, ActionError> {
    let pods = Api::<Pod>::namespaced(attempt.world.admin.clone(), &attempt.scene.namespace);
    let labelled = ListParams::default().labels(&selector(attempt));
    Ok(!pods.list_metadata(&labelled).await?.items.is_empty())
}

fn selector(attempt: &Attempt<'_>) -> String {
    format!("brinell.dev/attempt={}", attempt.audit_id)
}

/// What the ReplicaSet's controller was answered: its status says either that a pod is there or why not.
async fn controllers_answer(attempt: &Attempt<'_>) -> Result<Response, ActionError> {
    let sets = Api::<ReplicaSet>::namespaced(attempt.world.admin.clone(), &attempt.scene.namespace);
    let parameters = WatchParams::default().labels(&selector(attempt));
    let watching = async {
        let mut changes = std::pin::pin!(sets.watch(&parameters, "0").await?);
        while let Some(change) = changes.try_next().await? {
            if let WatchEvent::Added(set) | WatchEvent::Modified(set) = change
                && let Some(answer) = pod_answer(&set)
            {
                return Ok(answer);
            }
        }
        Err(ActionError::Missing("the watch on the ReplicaSet ended".to_owned()))
    };
    let late = || ActionError::Missing(format!("the controller did nothing within {CONTROLLER:?}"));
    tokio::time::timeout(CONTROLLER, watching).await.unwrap_or_else(|_| Err(late()))
}

fn pod_answer(set: &ReplicaSet) -> Option<Response> {
    let status = set.status.as_ref()?;
    if status.replicas > 0 {
        return Some(Response { code: 201, kind: Some("Pod".to_owned()), ..Response::default() });
    }
    let failure = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    Some(Response {
        code: 403,
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        ..Response::default()
    })
}

/// A pod that the restricted Pod Security Standard admits, with what the scenario lays over it.
fn spec(attempt: &Attempt<'_>, action: &PodAction) -> Value {
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "schedulingGates": [{"name": "brinell.dev/never"}],
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "attack",
            "image": attempt.world.cluster.image(),
            "imagePullPolicy": "IfNotPresent",
            "command": ["probe", "wait"],
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
            },
        }],
    });
    if let Some(over) = &action.spec {
        merge::patch(&mut spec, over);
    }
    spec
}
