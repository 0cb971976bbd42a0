//! Pods that a workload's controller makes. What the controller was answered is read from the Events that it writes
//! afterwards: `SuccessfulCreate` and `FailedCreate` (`pkg/controller/controller_utils.go` of Kubernetes 1.34).

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use super::ledger::selector;
use super::pod::{asked, template};
use super::{ActionError, Attempt, Observation, mutation};
use crate::cluster::pages;
use crate::model::{ATTEMPT_LABEL, Answer, Effect, PodAction, Response, Through, Traced, Workload};

/// How long a controller may take to make a pod or to say that it cannot.
const CONTROLLER: Duration = Duration::from_secs(30);

/// A controller that acts for a workload.
#[derive(Debug, PartialEq)]
struct Maker {
    /// The kind that it follows.
    kind: &'static str,
    /// Its ServiceAccount in kube-system.
    account: &'static str,
    /// What it makes.
    makes: &'static str,
}

/// All of them. Some make no pods but what makes pods.
const MAKERS: [Maker; 7] = [
    maker("Deployment", "deployment-controller", "replicasets"),
    maker("ReplicaSet", "replicaset-controller", "pods"),
    maker("ReplicationController", "replication-controller", "pods"),
    maker("StatefulSet", "statefulset-controller", "pods"),
    maker("DaemonSet", "daemon-set-controller", "pods"),
    maker("CronJob", "cronjob-controller", "jobs"),
    maker("Job", "job-controller", "pods"),
];

const fn maker(kind: &'static str, account: &'static str, makes: &'static str) -> Maker {
    Maker { kind, account, makes }
}

/// Makes the workload, waits for its controller, and looks whether there is a pod.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    action: &PodAction,
    workload: Workload,
) -> Result<Observation, ActionError> {
    let collection = collection(workload, &attempt.target.namespace);
    let mut template = template(attempt, action).await?;
    let asked = asked(action, &template);
    if workload == Workload::DaemonSet {
        keep_to(&attempt.world.access.node_name, &mut template)?;
    }
    // Its pods go with it, but later.
    attempt.ledger.label(&mut template);
    attempt
        .ledger
        .enter_outside(&format!("/api/v1/namespaces/{}/pods", attempt.target.namespace))?;
    let body = body(workload, &attempt.unique(), attempt.audit_id, template);
    let before = latest_event(attempt).await?;
    let (sent, answer) = attempt.create(&collection, body).await?;
    let (answer, traced) = match answer {
        Answer::Http(accepted) if accepted.is_success() && attempt.world.sight.controllers => {
            if workload == Workload::CronJob {
                turn_clock(attempt, &collection).await?;
            }
            let (pod, maker) = answered(attempt, &before).await?;
            let through = Answer::Through(Through { workload: accepted, pod });
            (through, Some(traced(attempt, maker)))
        }
        refused => (refused, None),
    };
    let pod = match attempt.world.sight.controllers {
        true => the_pod(attempt, asked).await?,
        false => Effect::Absent,
    };
    let workload = attempt.made(&answer, &Value::Null).await?;
    let effect = match &answer {
        Answer::Through(_) => pod,
        _ if pod != Effect::Absent => pod,
        _ => workload,
    };
    Ok(Observation { sent, answer, effect, traced })
}

/// Keeps the pods of a DaemonSet to one node: a cluster may have hundreds. Its controller writes each pod's own node
/// into the same field (`ReplaceDaemonSetPodNodeNameNodeAffinity` in `pkg/controller/daemon/util/daemonset_util.go`),
/// whatever stands there.
fn keep_to(node: &str, template: &mut Value) -> Result<(), ActionError> {
    if node.is_empty() {
        let why = "no node's name is known, and a DaemonSet would make a pod on each of them";
        return Err(ActionError::Missing(why.to_owned()));
    }
    let term =
        json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    let required = json!({"nodeSelectorTerms": [term]});
    template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        required;
    Ok(())
}

fn collection(workload: Workload, namespace: &str) -> String {
    match workload.resource() {
        ("", resource) => format!("/api/v1/namespaces/{namespace}/{resource}"),
        (group, resource) => format!("/apis/{group}/v1/namespaces/{namespace}/{resource}"),
    }
}

/// The workload, whose pods carry the attempt's label.
fn body(workload: Workload, name: &str, attempt: &str, mut template: Value) -> Value {
    let labels = json!({ATTEMPT_LABEL: attempt});
    template["metadata"]["labels"][ATTEMPT_LABEL] = attempt.into();
    let (version, spec) = match workload {
        Workload::Deployment | Workload::ReplicaSet | Workload::DaemonSet => {
            ("apps/v1", json!({"selector": {"matchLabels": labels}, "template": template}))
        }
        Workload::StatefulSet => (
            "apps/v1",
            json!({"serviceName": name, "selector": {"matchLabels": labels}, "template": template}),
        ),
        Workload::ReplicationController => {
            ("v1", json!({"selector": labels, "template": template}))
        }
        Workload::Job => ("batch/v1", job(template)),
        Workload::CronJob => (
            "batch/v1",
            json!({
                "schedule": "* * * * *",
                "jobTemplate": {"metadata": {"labels": labels}, "spec": job(template)},
            }),
        ),
    };
    json!({
        "apiVersion": version, "kind": format!("{workload:?}"),
        "metadata": {"name": name}, "spec": spec,
    })
}

/// A Job's pods end for good: it takes no other restart policy, and it tries once.
fn job(mut template: Value) -> Value {
    if template["spec"]["restartPolicy"].is_null() {
        template["spec"]["restartPolicy"] = "Never".into();
    }
    json!({"backoffLimit": 0, "template": template})
}

/// Lets a CronJob's minute have passed: its controller makes at once what it missed since it last did (measured on
/// 1.36.3). The persona would only have to wait for it.
async fn turn_clock(attempt: &Attempt<'_>, collection: &str) -> Result<(), ActionError> {
    let past = k8s_openapi::jiff::Timestamp::now() - Duration::from_secs(90);
    let status =
        json!({"status": {"lastScheduleTime": past.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}});
    let request = http::Request::patch(format!("{collection}/{}/status", attempt.unique()))
        .header("Content-Type", "application/merge-patch+json")
        .body(status.to_string().into_bytes())
        .map_err(|error| ActionError::Missing(error.to_string()))?;
    attempt.world.access.admin.request::<Value>(request).await?;
    Ok(())
}

fn traced(attempt: &Attempt<'_>, maker: &Maker) -> Traced {
    Traced {
        user: format!("system:serviceaccount:kube-system:{}", maker.account),
        namespace: attempt.target.namespace.clone(),
        resource: maker.makes,
        attempt: attempt.audit_id.to_owned(),
        name: attempt.unique(),
    }
}

/// Whether the workload's pod is there, whatever its controller was answered. The pod's owner is the controller,
/// whatever owner the template names.
async fn the_pod(attempt: &Attempt<'_>, mut asked: Value) -> Result<Effect, ActionError> {
    if let Some(metadata) = asked["metadata"].as_object_mut() {
        metadata.remove("ownerReferences");
    }
    let pods =
        Api::<Pod>::namespaced(attempt.world.access.admin.clone(), &attempt.target.namespace);
    let labelled = ListParams::default().labels(&selector(attempt.audit_id));
    let pods = pages(labelled, async |page| pods.list(page).await).await?;
    let found = pods.first().map(serde_json::to_value).transpose();
    let found = found.map_err(|error| ActionError::Missing(error.to_string()))?;
    let what = "the controller's pod";
    Ok(found.map_or(Effect::Absent, |found| mutation::effect(what, &asked, &found)))
}

fn events(attempt: &Attempt<'_>) -> Api<Event> {
    Api::namespaced(attempt.world.access.admin.clone(), &attempt.target.namespace)
}

/// The resource version of the namespace's Events now: from here on they are read. To read all of them for each attempt
/// would take longer with every attempt.
async fn latest_event(attempt: &Attempt<'_>) -> Result<String, ActionError> {
    let first = events(attempt).list_metadata(&ListParams::default().limit(1)).await?;
    Ok(first.metadata.resource_version.unwrap_or_default())
}

/// What the workload's controllers were answered: that the last one made a pod, or that one of them could not. A
/// controller writes its Event after it was answered, and the API server logs the request before it answers: so the
/// audit log's line is there. `before` is the resource version of the namespace's Events from before the workload.
async fn answered(
    attempt: &Attempt<'_>,
    before: &str,
) -> Result<(Response, &'static Maker), ActionError> {
    let events = events(attempt);
    let name = attempt.unique();
    let watching = async {
        let mut changes = std::pin::pin!(events.watch(&WatchParams::default(), before).await?);
        while let Some(change) = changes.try_next().await? {
            if let WatchEvent::Added(event) | WatchEvent::Modified(event) = change
                && let Some(answer) = answer(&event, &name)
            {
                return Ok(answer);
            }
        }
        Err(ActionError::Missing("the watch on the controller's Events ended".to_owned()))
    };
    let late = || ActionError::Missing(format!("the controller did nothing within {CONTROLLER:?}"));
    tokio::time::timeout(CONTROLLER, watching).await.unwrap_or_else(|_| Err(late()))
}

/// What an Event tells of an answer to a controller of the workload of this name.
fn answer(event: &Event, name: &str) -> Option<(Response, &'static Maker)> {
    let object = &event.involved_object;
    let below = object.name.as_deref()?.strip_prefix(name)?;
    if !below.is_empty() && !below.starts_with('-') {
        return None;
    }
    let maker = MAKERS.iter().find(|maker| object.kind.as_deref() == Some(maker.kind))?;
    let response = match event.reason.as_deref()? {
        "SuccessfulCreate" if maker.makes == "pods" => {
            Response { code: 201, kind: Some("Pod".to_owned()), ..Response::default() }
        }
        // The Event does not tell the code. The line of the audit log does, where there is one.
        "FailedCreate" | "ReplicaSetCreateError" => Response {
            code: 403,
            message: Some(refusal(event.message.as_deref()?).to_owned()),
            ..Response::default()
        },
        _ => return None,
    };
    Some((response, maker))
}

/// The words of the API server within a controller's Event.
fn refusal(message: &str) -> &str {
    let own = ["Error creating: ", "Error creating job: "];
    if let Some(words) = own.iter().find_map(|own| message.strip_prefix(own)) {
        return words;
    }
    // A StatefulSet's: create Pod NAME in StatefulSet NAME failed error: …, with a capital letter since 1.36.
    if let Some((own, words)) = message.split_once(" failed error: ")
        && own.to_ascii_lowercase().starts_with("create pod ")
    {
        return words;
    }
    // A Deployment's: Failed to create new replica set "NAME": …
    match message.strip_prefix("Failed to create new replica set \"") {
        Some(rest) => rest.split_once("\": ").map_or(message, |(_, words)| words),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, name: &str, reason: &str, message: &str) -> Event {
        let event = json!({
            "metadata": {}, "involvedObject": {"kind": kind, "name": name},
            "reason": reason, "message": message,
        });
        serde_json::from_value(event).expect("an Event")
    }

    #[test]
    fn a_refusal_is_heard_in_the_api_servers_own_words() {
        for (kind, reason, message, account) in [
            (
                "ReplicaSet",
                "FailedCreate",
                "Error creating: pods \"a-1-x\" is forbidden: no",
                "replicaset-controller",
            ),
            (
                "Job",
                "FailedCreate",
                "Error creating: pods \"a-1-x\" is forbidden: no",
                "job-controller",
            ),
            (
                "StatefulSet",
                "FailedCreate",
                "Create Pod a-1-0 in StatefulSet a-1 failed error: pods \"a-1-x\" is forbidden: no",
                "statefulset-controller",
            ),
            (
                "CronJob",
                "FailedCreate",
                "Error creating job: pods \"a-1-x\" is forbidden: no",
                "cronjob-controller",
            ),
            (
                "Deployment",
                "ReplicaSetCreateError",
                "Failed to create new replica set \"a-1-y\": pods \"a-1-x\" is forbidden: no",
                "deployment-controller",
            ),
        ] {
            let (response, maker) =
                answer(&event(kind, "a-1", reason, message), "a-1").expect(kind);
            assert_eq!(
                response.message.as_deref(),
                Some("pods \"a-1-x\" is forbidden: no"),
                "{kind}"
            );
            assert_eq!(maker.account, account);
        }
    }

    #[test]
    fn only_a_pod_that_was_made_is_a_success() {
        let made = |kind, name| answer(&event(kind, name, "SuccessfulCreate", "Created"), "a-1");
        assert_eq!(made("Job", "a-1-29").map(|(response, _)| response.code), Some(201));
        assert_eq!(made("CronJob", "a-1"), None, "a Job is no pod");
        assert_eq!(made("ReplicaSet", "a-12"), None, "another attempt's");
        assert_eq!(answer(&event("Pod", "a-1", "Scheduled", ""), "a-1"), None);
    }

    #[test]
    fn a_daemon_set_makes_one_pod_however_many_nodes_there_are() {
        let affinity = |own: Value| {
            let mut template = json!({"spec": {"affinity": own}});
            keep_to("node-a", &mut template).expect("it is known");
            template["spec"]["affinity"].take()
        };
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["node-a"]});
        let terms = json!([{"matchFields": [field]}]);
        let required =
            "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
        let broad = json!({"nodeSelectorTerms": [{"matchExpressions": []}, {}]});
        let broad = json!({"requiredDuringSchedulingIgnoredDuringExecution": broad});
        let own = json!({"podAntiAffinity": {"a": 1}, "nodeAffinity": broad});
        for (own, kept) in [(Value::Null, Value::Null), (own, json!({"a": 1}))] {
            let affinity = affinity(own);
            assert_eq!(affinity.pointer(required), Some(&terms));
            assert_eq!(affinity["podAntiAffinity"], kept);
        }
        let unknown = keep_to("", &mut json!({"spec": {}})).expect_err("which?").to_string();
        assert!(unknown.starts_with("no node's name is known"), "{unknown}");
    }

    #[test]
    fn a_job_is_tried_once_and_ends() {
        let template = json!({"metadata": {"labels": {}}, "spec": {}});
        let job = body(Workload::CronJob, "a-1", "1", template);
        let job = &job["spec"]["jobTemplate"]["spec"];
        assert_eq!(job["backoffLimit"], 0);
        assert_eq!(job["template"]["spec"]["restartPolicy"], "Never");
        assert_eq!(job["template"]["metadata"]["labels"]["brinell.dev/attempt"], "1");
    }
}
