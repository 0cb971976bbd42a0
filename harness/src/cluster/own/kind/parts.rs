//! The parts of a cluster that kubeadm runs as pods.

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};

use crate::cluster::own::Needed;
use crate::cluster::{ClusterError, STARTING, is_pod_ready};

/// Where they run.
const NAMESPACE: &str = "kube-system";

/// The parts, by the labels that their pods carry.
const PARTS: [(&str, &str); 6] = [
    (STATIC, "kube-apiserver"),
    (STATIC, "etcd"),
    (STATIC, "kube-controller-manager"),
    (STATIC, "kube-scheduler"),
    ("k8s-app", "kube-proxy"),
    ("k8s-app", DNS),
];

/// The label of those that the kubelet starts from files. They run long before it says so: up to six seconds (measured).
const STATIC: &str = "component";

const DNS: &str = "kube-dns";

/// Waits until every part runs that is needed. Where names are looked up, CoreDNS must be ready.
pub(super) async fn see(admin: &Client, needed: Needed) -> Result<(), ClusterError> {
    let pods = Api::<Pod>::namespaced(admin.clone(), NAMESPACE);
    if let Ok(missing) = tokio::time::timeout(STARTING, watch(&pods, needed)).await
        && missing?.is_empty()
    {
        return Ok(());
    }
    let missing = missing(&pods.list(&ListParams::default()).await?.items, needed);
    Err(ClusterError::NotReady {
        what: "the cluster's own pods".to_owned(),
        state: format!("missing: {}", missing.join(", ")),
    })
}

/// Watches the pods until no part is missing, or until the server ends the watch, which it does after some minutes.
/// Returns what is missing then.
async fn watch(pods: &Api<Pod>, needed: Needed) -> Result<Vec<&'static str>, kube::Error> {
    let first = pods.list(&ListParams::default()).await?;
    let mut present = first.items;
    let version = first.metadata.resource_version.unwrap_or_default();
    let changes = pods.watch(&WatchParams::default(), &version).await?;
    let mut changes = std::pin::pin!(changes);
    while !missing(&present, needed).is_empty() {
        match changes.try_next().await? {
            Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                present.retain(|other| other.metadata.name != pod.metadata.name);
                present.push(pod);
            }
            Some(_) => {}
            None => break,
        }
    }
    Ok(missing(&present, needed))
}

/// The parts of which no pod runs.
fn missing(pods: &[Pod], needed: Needed) -> Vec<&'static str> {
    let acts = |part: &str, pod: &Pod| match part {
        DNS if needed.names => is_pod_ready(pod),
        _ => pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")),
    };
    let is_there = |label: &str, part: &str| {
        pods.iter().any(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(label)).is_some_and(|value| value == part)
                && acts(part, pod)
        })
    };
    let is_needed = |label: &str| label != STATIC || needed.pods;
    let missing = PARTS.iter().filter(|(label, part)| is_needed(label) && !is_there(label, part));
    missing.map(|(_, part)| *part).collect()
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
        let needed = |names, pods| Needed { names, pods };
        assert_eq!(missing(&pods, needed(false, true)), [""; 0]);
        assert_eq!(missing(&pods, needed(true, true)), [DNS]);
        assert_eq!(missing(&pods[1..], needed(false, true)), ["kube-apiserver"]);
    }

    #[test]
    fn what_the_kubelet_starts_from_files_is_waited_for_only_where_requests_go_there() {
        let pods: Vec<Pod> = PARTS[4..].iter().map(|part| pod(*part, "True")).collect();
        let needed = |pods| Needed { names: true, pods };
        assert_eq!(missing(&pods, needed(false)), [""; 0]);
        assert_eq!(missing(&pods, needed(true)).len(), 4);
        assert_eq!(missing(&pods[1..], needed(false)), ["kube-proxy"]);
    }
}
