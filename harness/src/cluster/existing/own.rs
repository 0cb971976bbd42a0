//! A cluster of ours that stands for one that is there: seen as that is, and tried in the same way.

use super::{Existing, Outside, Way};
use crate::cluster::{Access, RunFolder, Sight};
use crate::model::Context;

/// What the context of our own kubeconfig is called.
const CONTEXT: &str = "brinell";

impl Existing {
    /// A cluster of a run of ours, of which nothing is seen but what is seen of one that is not ours.
    pub(crate) fn of_ours(
        access: Access,
        sight: Sight,
        version: String,
        folder: &RunFolder,
    ) -> Existing {
        let kubeconfig = Some(folder.file("kubeconfig"));
        let server = access.config.cluster_url.to_string();
        Existing {
            way: Way::Context(Context { kubeconfig, context: CONTEXT.to_owned() }),
            sight: Sight { node: None, etcd: None, settings: None, ..sight },
            version,
            identity: server.clone(),
            server,
            api_servers: Some(1),
            access,
        }
    }

    /// Where it is written down what is made outside of our own namespaces, on a cluster that goes with its run.
    pub fn passing(run: &str, folder: &RunFolder) -> Outside {
        Outside::new(run, folder.path())
    }

    /// Finds a request that the log holds, where it is read. Returns why it is of no use, where it is of none.
    pub async fn try_log(&mut self, run: &str) -> Option<String> {
        self.choose_fence(run).await
    }
}
