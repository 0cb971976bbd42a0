//! Clusters of our own: brinell makes them, changes them for its proofs, and removes them.

mod choice;
pub(super) mod embedded;
pub(super) mod kind;
mod second;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, LocalBoxFuture};
use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::Semaphore;

pub use choice::{Choice, ChoiceError, ClusterType, DEFAULT_VERSION};
use embedded::Embedded;
pub use embedded::assets;
use kind::Kind;
pub use kind::{KindError, NoCluster, node_image};
pub use second::Second;
pub use settings::{LOGS, SETTINGS, Settings};

use super::access::{AT_A_TIME, client, first_node, who_am_i};
use super::{Access, ClusterError, Group, Pace, Refused, RunFolder, Sight, StandIn};
use crate::model::WebhookServer;

/// A cluster of our own. Only such a cluster has a second API server and takes settings, so that nothing else can be
/// weakened:
///
/// ```no_run
/// # use brinell::cluster::{ClusterError, Own, Second, Settings};
/// async fn weaken(ours: &dyn Own, settings: &Settings) -> Result<Second, ClusterError> {
///     ours.start_second(settings).await
/// }
/// ```
///
/// What every cluster gives has none of it:
///
/// ```compile_fail,E0599
/// # use brinell::cluster::{Access, ClusterError, Second, Settings};
/// async fn weaken(theirs: &Access, settings: &Settings) -> Result<Second, ClusterError> {
///     theirs.start_second(settings).await
/// }
/// ```
pub trait Own: Send + Sync {
    /// Makes the cluster with the given settings.
    ///
    /// # Errors
    /// When one of its programs does not start; its last words are in the error.
    fn create<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<Created, ClusterError>>;

    /// Waits until the cluster is as it should be. It takes objects when it is made, but until it is complete it makes
    /// those of its own, and nobody may be attacked.
    ///
    /// # Errors
    /// When one of its programs does not start; its last words are in the error.
    fn complete(&self) -> LocalBoxFuture<'_, Result<(), ClusterError>>;

    /// Waits until a program of the cluster, or its node, has ended by itself, and says which. While all is well it
    /// waits for ever.
    fn ended(&self) -> BoxFuture<'static, ClusterError>;

    /// The audit log from its beginning, and on while it grows.
    ///
    /// # Errors
    /// When the command that reads it does not start.
    fn log(&self) -> Result<Group, ClusterError>;

    /// Reads back what the API server really runs with, of these settings.
    ///
    /// # Errors
    /// When it does not run or cannot be looked at.
    fn read_back<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<ReadBack, ClusterError>>;

    /// Starts a second API server on the same etcd, with settings of its own, and waits until it is ready. The
    /// first is not touched.
    ///
    /// # Errors
    /// When it does not start; its last words are in the error.
    fn start_second<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<Second, ClusterError>>;

    /// Waits until the cluster's own pods run, as far as scenarios need them.
    ///
    /// # Errors
    /// When they do not become ready.
    fn see_parts<'a>(
        &'a self,
        admin: &'a Client,
        needed: Needed,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>>;

    /// Waits until whatever serves webhooks in the place of Deployments does, where there are no nodes.
    ///
    /// # Errors
    /// When something of it has ended by itself, or does not listen, with its last words.
    fn see_servers(&self) -> LocalBoxFuture<'_, Result<(), ClusterError>> {
        Box::pin(async { Ok(()) })
    }

    /// The kubelet; `None` if the node is simulated.
    fn kubelet(&self) -> Option<&dyn Kubelet>;

    /// What a new one has beside what Kubernetes itself makes, as kind and name.
    fn brings(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Gives images of the engine's to the nodes, where there are any.
    ///
    /// # Errors
    /// When the engine has no such image, or a node does not take it.
    fn bring_images<'a>(
        &'a self,
        _images: &'a BTreeSet<&str>,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(async { Ok(()) })
    }

    /// What stands in for objects that this cluster cannot run, with these servers of webhooks where it has no nodes;
    /// `None` if it takes all objects as they are.
    ///
    /// # Errors
    /// When no port can be opened.
    fn stand_in(
        self: Arc<Self>,
        servers: WebhookServers,
    ) -> Result<Option<Arc<dyn StandIn>>, ClusterError>;
}

/// What serves webhooks where there are no nodes.
#[derive(Default)]
pub struct WebhookServers {
    /// Each with the folder in which its command is run.
    pub servers: Vec<(PathBuf, WebhookServer)>,
    /// The certificate that a command shows, PEM.
    pub certificate: Vec<u8>,
    /// Its key, PEM.
    pub key: Vec<u8>,
}

/// The parts of a cluster that scenarios need beside those that let pods run, which every pod of a target has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// Names are looked up.
    pub names: bool,
    /// A request goes to a pod of the cluster's own.
    pub pods: bool,
}

/// A kubelet whose settings can be changed.
pub trait Kubelet {
    /// Restarts it with settings laid over its own; with none, which restores it.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    fn set<'a>(
        &'a self,
        settings: Option<&'a Value>,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>>;
}

/// A cluster that was made.
pub struct Created {
    /// How long its own programs took until it took objects.
    pub took: Duration,
    /// What was made, for people.
    pub words: &'static str,
    /// The ways in.
    pub access: Access,
    /// What can be seen of it. The log is not read yet.
    pub sight: Sight,
}

/// What an API server really runs with.
pub struct ReadBack {
    /// Its flags, as settings name them.
    pub flags: BTreeMap<String, String>,
    /// The files of the settings whose content is another where it reads them.
    pub different: BTreeSet<String>,
}

/// Which cluster is wanted.
pub struct Wanted<'a> {
    /// The run that it belongs to.
    pub run: &'a str,
    /// The node image, where there are nodes.
    pub node_image: &'a str,
    /// The run's own folder.
    pub folder: Arc<RunFolder>,
}

/// A cluster that is not made yet. If it needs programs, `programs` finds them.
///
/// # Errors
/// When the programs are not found, or no port can be opened or no certificate made.
pub async fn own<E: From<ClusterError>>(
    cluster: ClusterType,
    wanted: Wanted<'_>,
    programs: impl AsyncFnOnce() -> Result<assets::Assets, E>,
) -> Result<Arc<dyn Own>, E> {
    let Wanted { run, node_image, folder } = wanted;
    Ok(match cluster {
        ClusterType::Kind => Arc::new(Kind::new(run, node_image, folder)),
        ClusterType::Embedded => {
            Embedded::mark(&folder)?;
            Arc::new(Embedded::new(run, programs().await?, folder)?)
        }
    })
}

/// The image of our own executable, as a run's pods name it.
pub fn image_name(run: &str) -> String {
    format!("brinell.dev/harness:{run}")
}

/// The ways in to a cluster of a run, and its node's address.
async fn access(
    run: &str,
    config: Config,
    stream_protocols: &'static str,
) -> Result<(Access, std::net::IpAddr), ClusterError> {
    let pace = Pace::free();
    let admin = client(config.clone(), &pace).await?;
    let (node_name, address) = first_node(&admin).await?;
    let access = Access {
        user: who_am_i(&admin).await?.username,
        config,
        admin,
        node_name,
        image: image_name(run),
        stream_protocols,
        pace,
        questions: Arc::new(Semaphore::new(AT_A_TIME)),
        refused: Refused::default(),
    };
    Ok((access, address))
}
