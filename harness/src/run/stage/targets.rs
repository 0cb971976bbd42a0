//! Targets in place: their objects applied, their pods ready.

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;

use super::{Stage, StageError, not_ready};
use crate::catalog::Target;
use crate::cluster::{ClusterError, STARTING, until_pod_ready};

impl Stage {
    /// Waits until the pods of a target are ready.
    pub(super) async fn until_ready(&self, target: &Target) -> Result<(), StageError> {
        let ready = target.pods.iter().map(|(namespace, pod)| self.await_pod(namespace, pod));
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
        self.until_ready(target).await
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
        match tokio::time::timeout(STARTING, gone).await {
            Ok(seen) => Ok(seen.map(drop)?),
            Err(_) => Err(not_ready(
                format!("pod {namespace}/{name}"),
                "it was deleted, and is still there",
            )),
        }
    }

    async fn await_pod(&self, namespace: &str, pod: &str) -> Result<(), StageError> {
        let waiting = until_pod_ready(&self.world.access.admin, namespace, pod);
        let what = format!("pod {namespace}/{pod}");
        match tokio::time::timeout(STARTING, waiting).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(state)) => Err(ClusterError::Unready { what, state }.into()),
            Err(_) => {
                let pods = Api::<Pod>::namespaced(self.world.access.admin.clone(), namespace);
                let state = pods.get(pod).await?.status.unwrap_or_default();
                let state = serde_json::to_string(&state.container_statuses).unwrap_or_default();
                Err(not_ready(what, &state))
            }
        }
    }
}
