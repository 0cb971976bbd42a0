//! The kubelet's settings, changed in the node.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::{Kind, KindError};
use crate::catalog::documents;
use crate::cluster::ClusterError;
use crate::cluster::own::Kubelet;

/// The kubelet's configuration, as kubeadm wrote it.
const KUBELET: &str = "/var/lib/kubelet/config.yaml";

impl Kubelet for Kind {
    fn set<'a>(
        &'a self,
        settings: Option<&'a Value>,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        self.set_kubelet(settings).boxed_local()
    }
}

impl Kind {
    /// Lays settings over the kubelet's own, or nothing, which restores them; and restarts it.
    async fn set_kubelet(&self, settings: Option<&Value>) -> Result<(), ClusterError> {
        let node = self.node();
        let read = || self.engine.execute(&node, &["cat", KUBELET], &[]);
        let original = self.kubelet.get_or_try_init(read).await?;
        let content = match settings {
            None => original.clone(),
            Some(over) => laid_over(original, over)?,
        };
        self.engine.execute(&node, &["tee", KUBELET], &content).await?;
        let restart = ["systemctl", "restart", "kubelet"];
        Ok(self.engine.execute(&node, &restart, &[]).await.map(drop)?)
    }
}

/// A KubeletConfiguration with settings laid over it, as JSON, which is YAML and which the kubelet reads.
fn laid_over(original: &[u8], over: &Value) -> Result<Vec<u8>, ClusterError> {
    let text = String::from_utf8_lossy(original);
    let mut configuration = documents(&text)
        .ok()
        .and_then(|documents| documents.into_iter().next())
        .ok_or(KindError::Kubelet)?;
    crate::merge::lay_over(&mut configuration, over);
    Ok(configuration.to_string().into_bytes())
}
