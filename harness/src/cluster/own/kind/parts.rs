//! The parts of a cluster that kubeadm runs as pods.

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};

use crate::cluster::{ClusterError, STARTING, is_pod_ready};

/// Where they run.
const NAMESPACE: &str = "kube-system";

/// The parts, by the labels that their pods carry.
const PARTS: [(&str, &str); 6] = [
    ("component", "kube-apiserver"),
    ("component", "etcd"),
    ("component", "kube-controller-manager"),
    ("component", "kube-scheduler"),
    ("k8s-app", "kube-proxy"),
    ("k8s-app", DNS),
];

const DNS: &str = "kube-dns";

/// Waits until every part runs. `names` asks for more of CoreDNS: to be ready.
pub(super) async fn see(admin: &Client, names: bool) -> Result<(), ClusterError> {
    let pods = Api::<Pod>::namespaced(admin.clone(), NAMESPACE);
    if let Ok(missing) = tokio::time::timeout(STARTING, watch(&pods, names)).await
        && missing?.is_empty()
    {
        return Ok(());
    }
    let missing = missing(&pods.list(&ListParams::default()).await?.items, names);
    Err(ClusterError::NotReady {
        what: "the cluster's own pods".to_owned(),
        state: format!("missing: {}", missing.join(", ")),
    })
}

/// Watches the pods until no part is missing, or until the server ends the watch, which it does after some minutes.
/// Returns what is missing then.
async fn watch(pods: &Api<Pod>, names: bool) -> Result<Vec<&'static str>, kube::Error> {
    let first = pods.list(&ListParams::default()).await?;
    let mut present = first.items;
    let version = first.metadata.resource_version.unwrap_or_default();
    let changes = pods.watch(&WatchParams::default(), &version).await?;
    let mut changes = std::pin::pin!(changes);
    while !missing(&present, names).is_empty() {
        match changes.try_next().await? {
            Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                present.retain(|other| other.metadata.name != pod.metadata.name);
                present.push(pod);
            }
            Some(_) => {}
            None => break,
        }
    }
    Ok(missing(&present, names))
}

/// The parts of which no pod runs.
fn missing(pods: &[Pod], names: bool) -> Vec<&'static str> {
    let acts = |part: &str, pod: &Pod| match part {
        DNS if names => is_pod_ready(pod),
        _ => pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")),
    };
    let is_there = |label: &str, part: &str| {
        pods.iter().any(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(label)).is_some_and(|value| value == part)
                && acts(part, pod)
        })
    };
    PARTS.iter().filter(|(label, part)| !is_there(label, part)).map(|(_, part)| *part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod((label, part): (&str, &str), ready: &str) -> Pod {
        let pod = json!({
            "metadata": {"name": part, "labels": {label: part}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn coredns_must_be_ready_only_where_names_are_looked_up() {
        let pods: Vec<Pod> = PARTS.iter().map(|part| pod(*part, "False")).collect();
        assert_eq!(missing(&pods, false), [""; 0]);
        assert_eq!(missing(&pods, true), [DNS]);
        assert_eq!(missing(&pods[1..], false), ["kube-apiserver"]);
    }
}
