//! What controllers make of Deployments and DaemonSets: waiting for it, and keeping it from the nodes.

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::{OwnStage, StageError, in_time, not_ready};
use crate::catalog::Document;
use crate::cluster::STARTING;
use crate::poll;

/// Where the cluster's own DaemonSets are.
const NAMESPACE: &str = "kube-system";

/// A label that no node has.
const NOWHERE: &str = "brinell.dev/nowhere";

impl OwnStage {
    /// Waits until whatever serves webhooks in the place of Deployments does.
    ///
    /// # Errors
    /// When something of it has ended by itself, or does not listen, with its last words.
    pub async fn see_servers(&self) -> Result<(), StageError> {
        Ok(self.cluster.see_servers().await?)
    }

    /// Waits until only the newest pods of these Deployments are there: an older one may still answer.
    ///
    /// # Errors
    /// When one does not get there.
    pub async fn see_rolled_out(&self, documents: &[Document]) -> Result<(), StageError> {
        let is_made = |it: &&Document| {
            it.object["kind"] == "Deployment" && self.stage.applier.is_sent(&it.object)
        };
        let deployments = documents.iter().filter(is_made);
        try_join_all(deployments.map(|it| self.see_deployment(&it.object))).await?;
        self.see_servers().await
    }

    async fn see_deployment(&self, object: &Value) -> Result<(), StageError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let admin = || self.stage.world.access.admin.clone();
        let deployments = Api::<Deployment>::namespaced(admin(), namespace);
        let pods = Api::<Pod>::namespaced(admin(), namespace);
        let rolled_out = async {
            let found = await_condition(deployments, name, is_rolled_out).await?;
            let spec = found.and_then(|it| it.spec).unwrap_or_default();
            let labels = spec.selector.match_labels.unwrap_or_default();
            let labels: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let theirs = ListParams::default().labels(&labels.join(","));
            let expected = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
            Ok::<_, StageError>(no_more_than(expected, &pods, &theirs).await?)
        };
        let what = format!("Deployment {namespace}/{name}");
        let late = "its older pods are still there, or its newer ones are not";
        match in_time(rolled_out, what.clone(), late).await? {
            true => Ok(()),
            false => Err(not_ready(what, late)),
        }
    }

    /// Keeps the cluster's own DaemonSets with these labels from every node, and waits until their pods are gone: what
    /// enforces NetworkPolicies is none of a control's objects.
    ///
    /// # Errors
    /// When there is no such DaemonSet, or its pods stay.
    pub async fn stop(&self, labels: &str) -> Result<(), StageError> {
        self.select_nodes(labels, json!("true"), is_on_no_node).await?;
        let pods = Api::<Pod>::namespaced(self.stage.world.access.admin.clone(), NAMESPACE);
        let theirs = ListParams::default().labels(labels);
        match no_more_than(0, &pods, &theirs).await? {
            true => Ok(()),
            false => Err(not_ready(daemon_set(labels), "its pods are still there")),
        }
    }

    /// Lets the DaemonSets with these labels onto their nodes again, and waits until they are ready there.
    ///
    /// # Errors
    /// When there is no such DaemonSet, or it does not become ready.
    pub async fn resume(&self, labels: &str) -> Result<(), StageError> {
        self.select_nodes(labels, Value::Null, is_on_its_nodes).await
    }

    async fn select_nodes(
        &self,
        labels: &str,
        nowhere: Value,
        there: fn(Option<&DaemonSet>) -> bool,
    ) -> Result<(), StageError> {
        let sets = Api::<DaemonSet>::namespaced(self.stage.world.access.admin.clone(), NAMESPACE);
        let found = sets.list_metadata(&ListParams::default().labels(labels)).await?.items;
        let names: Vec<String> = found.into_iter().filter_map(|set| set.metadata.name).collect();
        if names.is_empty() {
            return Err(not_ready(daemon_set(labels), "there is none"));
        }
        let node_selector = json!({NOWHERE: nowhere});
        let patch = json!({"spec": {"template": {"spec": {"nodeSelector": node_selector}}}});
        for name in &names {
            sets.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        let waiting = names.iter().map(|name| await_condition(sets.clone(), name, there));
        let placed = try_join_all(waiting);
        in_time(placed, daemon_set(labels), "it is not where it should be").await.map(drop)
    }
}

/// Waits until there are this many pods or fewer, and tells whether there are. What is being deleted is in no status:
/// it is looked at until it is gone.
async fn no_more_than(
    number: usize,
    pods: &Api<Pod>,
    theirs: &ListParams,
) -> Result<bool, kube::Error> {
    let fewer = poll::until(STARTING, async || match pods.list_metadata(theirs).await {
        Ok(list) if list.items.len() > number => Err(()),
        listed => Ok(listed),
    });
    fewer.await.map_or(Ok(false), |listed| listed.map(|_| true))
}

/// Whether a Deployment's status is that of its newest template, with as many pods ready as it wants.
fn is_rolled_out(deployment: Option<&Deployment>) -> bool {
    let Some(deployment) = deployment else { return false };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation >= deployment.metadata.generation
            && status.updated_replicas.unwrap_or_default() == wanted
            && status.replicas.unwrap_or_default() == wanted
            && status.ready_replicas.unwrap_or_default() == wanted
    })
}

fn is_on_no_node(set: Option<&DaemonSet>) -> bool {
    stands(set, |wanted, ready| wanted == 0 && ready == 0)
}

fn is_on_its_nodes(set: Option<&DaemonSet>) -> bool {
    stands(set, |wanted, ready| wanted > 0 && ready == wanted)
}

/// Whether a DaemonSet's status is that of its newest template, and its numbers of pods are as they should be.
fn stands(set: Option<&DaemonSet>, there: impl Fn(i32, i32) -> bool) -> bool {
    let Some(set) = set else { return false };
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation >= set.metadata.generation
            && there(status.desired_number_scheduled, status.number_ready)
    })
}

/// The DaemonSets with these labels, for an error.
fn daemon_set(labels: &str) -> String {
    format!("the DaemonSet {labels} in {NAMESPACE}")
}
