//! A cluster of ours that stands for one that is there: seen as that is, and tried in the same way.

use super::{Existing, Way};
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
}
