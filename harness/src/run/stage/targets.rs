//! Targets in place: their objects applied, their pods ready.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;
use serde_json::json;

use super::{Stage, StageError, in_time, not_ready};
use crate::catalog::Target;
use crate::cluster::{ClusterError, STARTING, until_pod_ready};

/// Pods that are not ready in time, by namespace and name, and how they are.
pub(super) type Late<'p> = BTreeMap<&'p (String, String), String>;

impl Stage {
    /// Waits until pods are ready, or their time is over.
    ///
    /// # Errors
    /// When one cannot have its image, or the API server cannot be asked.
    pub(super) async fn late<'p>(
        &self,
        pods: BTreeSet<&'p (String, String)>,
    ) -> Result<Late<'p>, StageError> {
        let waiting =
            pods.into_iter().map(async |pod| match self.await_pod(&pod.0, &pod.1).await {
                Err(StageError::Cluster(error @ ClusterError::NotReady { .. })) => {
                    Ok(Some((pod, error.to_string())))
                }
                ready => ready.map(|()| None),
            });
        let late: Vec<_> = try_join_all(waiting).await?;
        Ok(late.into_iter().flatten().collect())
    }

    /// Waits until pods are ready, which are told by namespace and name.
    pub(super) async fn until_ready(
        &self,
        pods: impl IntoIterator<Item = &(String, String)>,
    ) -> Result<(), StageError> {
        let ready = pods.into_iter().map(|(namespace, pod)| self.await_pod(namespace, pod));
        try_join_all(ready).await?;
        Ok(())
    }

    /// Stages a target anew, as an attack may have changed it. A debug container that was let in stays in its pod for
    /// good: where there may be one, the pod is made again.
    ///
    /// # Errors
    /// When an object cannot be applied, or a pod does not become ready.
    pub async fn restage(&self, target: &Target, debugged: bool) -> Result<(), StageError> {
        if debugged {
            for (namespace, pod) in &target.pods {
                self.remove_debugged(namespace, pod).await?;
            }
        }
        self.applier.apply(&target.objects).await?;
        self.until_ready(&target.pods).await
    }

    /// Deletes a pod that holds a debug container, and waits until it is gone.
    async fn remove_debugged(&self, namespace: &str, name: &str) -> Result<(), StageError> {
        let pods = Api::<Pod>::namespaced(self.world.access.admin.clone(), namespace);
        let Some(pod) = pods.get_opt(name).await? else { return Ok(()) };
        let spec = pod.spec.unwrap_or_default();
        if spec.ephemeral_containers.unwrap_or_default().is_empty() {
            return Ok(());
        }
        let uid = pod.metadata.uid.unwrap_or_default();
        pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
        let gone = await_condition(pods, name, conditions::is_deleted(&uid));
        let what = format!("pod {namespace}/{name}");
        in_time(gone, what, "it was deleted, and is still there").await.map(drop)
    }

    async fn await_pod(&self, namespace: &str, pod: &str) -> Result<(), StageError> {
        let waiting = until_pod_ready(&self.world.access.admin, namespace, pod);
        let what = format!("pod {namespace}/{pod}");
        match tokio::time::timeout(STARTING, waiting).await {
            Ok(Ok(ready)) => {
                self.world.crowds.see(&ready);
                Ok(())
            }
            Ok(Err(state)) => Err(ClusterError::Unready { what, state }.into()),
            Err(_) => {
                let pods = Api::<Pod>::namespaced(self.world.access.admin.clone(), namespace);
                let status =
                    pods.get_opt(pod).await?.and_then(|pod| pod.status).unwrap_or_default();
                let state = json!({"conditions": status.conditions, "containers": status.container_statuses});
                let state = state.to_string();
                Err(not_ready(what, &state))
            }
        }
    }
}
