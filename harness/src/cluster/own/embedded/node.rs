//! A simulated node: a Node object, and pods that it says are running. What it says of them shows nothing; what
//! needs a pod that really runs never comes here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::keys::LOOPBACK;
use crate::lock::lock;

/// The node's name.
const NAME: &str = "simulated";

/// Namespace and name of a pod.
type PodKey = (String, String);

/// The main commands of a pod's containers, by the container's name.
type Commands = BTreeMap<String, Vec<String>>;

/// The commands of the node's containers.
#[derive(Clone, Default)]
pub(super) struct Containers(Arc<Mutex<BTreeMap<PodKey, Commands>>>);

impl Containers {
    /// The main command of a container; `None` if there is no such container.
    pub(super) fn command(&self, namespace: &str, pod: &str, name: &str) -> Option<Vec<String>> {
        let pods = lock(&self.0);
        pods.get(&(namespace.to_owned(), pod.to_owned()))?.get(name).cloned()
    }

    fn insert(&self, pod: &Pod) {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let commands = containers.map(|container| {
            let command = container.command.iter().chain(&container.args).flatten().cloned();
            (container.name.clone(), command.collect())
        });
        let mut pods = lock(&self.0);
        pods.insert(key(pod), commands.collect());
    }

    fn remove(&self, pod: &Pod) {
        lock(&self.0).remove(&key(pod));
    }

    /// A pod of one container, for tests.
    #[cfg(test)]
    pub(super) fn of_one(command: &[&str]) -> Self {
        let containers = Containers::default();
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p"},
            "spec": {"containers": [{"name": "c", "command": command}]},
        });
        containers.insert(&serde_json::from_value(pod).unwrap());
        containers
    }
}

fn key(pod: &Pod) -> PodKey {
    let metadata = &pod.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// Registers the node, whose kubelet listens on `port`.
pub(super) async fn register(client: &Client, port: u16) -> Result<(), kube::Error> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/hostname": NAME}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": LOOPBACK}],
            // A pod is resized to no more than its node has. Nothing that is simulated needs any of it.
            "capacity": {"cpu": "64", "memory": "64Gi", "pods": "1000"},
            "allocatable": {"cpu": "64", "memory": "64Gi", "pods": "1000"},
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Simulated",
                "message": "nothing runs on this node",
            }],
        },
    });
    let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
    let nodes = Api::<Node>::all(client.clone());
    nodes.create(&PostParams::default(), &node).await?;
    // Admission taints every new node as not ready, and no controller removes the taint here: no DaemonSet would get a
    // pod on it.
    let ready = Patch::Merge(json!({"spec": {"taints": null}}));
    nodes.patch(NAME, &PatchParams::default(), &ready).await.map(drop)
}

/// Takes every pod that waits for a node, and says of it that it runs.
pub(super) async fn run(client: Client, containers: Containers) {
    let pods = Api::<Pod>::all(client.clone());
    let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()));
    loop {
        match events.try_next().await {
            Ok(Some(Event::Apply(pod) | Event::InitApply(pod))) if is_waiting(&pod) => {
                containers.insert(&pod);
                // A pod that was deleted meanwhile cannot be run; any other failure shows in its status.
                let _ = start(&client, &pod).await;
            }
            Ok(Some(Event::Delete(pod))) => containers.remove(&pod),
            Ok(Some(_)) => {}
            // The watcher begins again by itself.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Ok(None) => return,
        }
    }
}

/// A pod with a gate is admitted but never runs.
fn is_waiting(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| {
        spec.node_name.is_none() && spec.scheduling_gates.iter().flatten().next().is_none()
    })
}

async fn start(client: &Client, pod: &Pod) -> Result<(), kube::Error> {
    let (namespace, name) = key(pod);
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
    });
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
    let request = http::Request::post(uri)
        .header("Content-Type", "application/json")
        .body(binding.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request::<Value>(request).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let status = Patch::Merge(json!({"status": status(pod)}));
    pods.patch_status(&name, &PatchParams::default(), &status).await.map(drop)
}

fn status(pod: &Pod) -> Value {
    let since = pod.metadata.creation_timestamp.as_ref();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let running: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": "",
                "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {"startedAt": since}},
                // A pod whose status has no resources cannot be resized (KEP-1287).
                "resources": container.resources,
            })
        })
        .collect();
    json!({
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True", "reason": "Simulated"},
        ],
        "containerStatuses": running,
        "startTime": since,
    })
}
