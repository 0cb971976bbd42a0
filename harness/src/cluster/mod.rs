//! Clusters: making them, reaching them, and leaving nothing behind. Nothing else knows kind.

mod applying;
pub mod assets;
mod choice;
mod commands;
mod elf;
mod embedded;
mod engine;
mod image;
mod kind;
mod process;
mod run_folder;
mod settings;
mod supervisor;
mod sweep;
mod webhooks;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub use applying::{Applier, ApplyError, is_pod_ready, until_pod_ready};
pub use choice::{Choice, ClusterKind};
pub use commands::RUN_VARIABLE;
pub use embedded::Embedded;
pub use engine::{Engine, RUN_LABEL};
use futures::FutureExt;
use futures::future::BoxFuture;
pub use image::{Image, ImageError, can_run_in_pods};
pub use kind::{DEFAULT_VERSION, Kind, node_image, version as kind_version, versions};
use kube::config::{KubeConfigOptions, Kubeconfig};
pub use process::{Group, ProcessError};
pub use run_folder::RunFolder;
use serde_json::Value;
pub use settings::{EtcdAccess, LOGS, SETTINGS, Settings};
pub use supervisor::{Supervision, Tied};
pub use sweep::{Sweeping, Swept, keep, remove, sweep};
pub use webhooks::{Webhook, webhooks};

use crate::pod::probe::{EtcdAnswer, EtcdOrder, NoAnswer, RequestAnswer, RequestOrder};

/// A cluster of this run, of either kind.
pub enum Cluster {
    /// Real nodes, by kind.
    Kind(Box<Kind>),
    /// A real API server beside a simulated node.
    Embedded(Box<Embedded>),
}

/// A cluster could not be made, reached or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// kind gave up.
    #[error("kind could not make the cluster: {kind}{words}")]
    NotCreated {
        /// kind's own words.
        kind: ProcessError,
        /// The last words of the part of the node that did not start; empty where there are none.
        words: String,
    },
    /// There is nothing to make nodes from.
    #[error(
        "the node image {image} is not here, and cannot be pulled; --node-image or BRINELL_NODE_IMAGE names \
         another one, such as one of https://github.com/kubernetes-sigs/kind/releases\n{engine}"
    )]
    NoNodeImage {
        /// The image.
        image: String,
        /// The engine's own words.
        engine: ProcessError,
    },
    /// A part of an embedded cluster ended, or never became ready.
    #[error("{program} {state}; its last words:\n{words}")]
    NotRunning {
        /// The part.
        program: String,
        /// What became of it.
        state: String,
        /// The end of its log.
        words: String,
    },
    /// A command of the engine or of kind failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The image of our own executable could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The run's folder could not be written.
    #[error("the run's own folder could not be written: {0}")]
    Folder(std::io::Error),
    /// A port on loopback could not be opened.
    #[error("no port could be opened on 127.0.0.1: {0}")]
    Port(std::io::Error),
    /// A certificate could not be made.
    #[error("the cluster's certificates could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate could not be used.
    #[error("the cluster's certificates cannot be used: {0}")]
    Tls(#[from] crate::pod::TlsError),
    /// The Deployment of exec-guard says what its program does not take.
    #[error("exec-guard does not take the arguments of its container: {0}")]
    GuardArguments(#[from] clap::Error),
    /// The API server of an embedded cluster refused what makes it one.
    #[error("the API server could not be asked: {}", crate::text::api_words(.0))]
    Api(#[from] kube::Error),
    /// The kubeconfig of the new cluster could not be read.
    #[error("the new cluster's kubeconfig cannot be used: {}", crate::text::without_credentials(&.0.to_string()))]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// No API server runs in the node.
    #[error("no kube-apiserver runs in the node")]
    NoApiServer,
    /// A probe answered in another form than it should.
    #[error("the probe's {verb} answered no JSON: {answer}")]
    ProbeAnswer {
        /// What was asked.
        verb: String,
        /// The answer's start.
        answer: String,
    },
    /// A port of the node that the engine does not show.
    #[error("the engine says {answer:?} of port {port} of {node}")]
    NoPort {
        /// The node's container.
        node: String,
        /// The port.
        port: u16,
        /// What the engine says.
        answer: String,
    },
    /// The kubelet's configuration is not what kubeadm writes.
    #[error("the node's kubelet configuration cannot be understood")]
    NoKubelet,
    /// Processes of the run are there although they were killed.
    #[error(
        "{0} processes of the run cannot be ended; `ps` shows them in the environment of BRINELL_RUN"
    )]
    NotEnded(usize),
    /// The node's container ended.
    #[error("the node's container ended by itself")]
    NodeEnded,
    /// What is asked needs real nodes.
    #[error("an embedded cluster has no {0}")]
    Lacking(&'static str),
}

/// How long an API server may take to become ready. It takes 2 to 3 seconds (measured).
const STARTING: Duration = Duration::from_secs(60);

/// The way in that a kubeconfig of ours describes. It leads to loopback, where no proxy belongs: kube asks the
/// environment for one only where the cluster names none, and the one that is named here is never used.
async fn way_in(kubeconfig: &Path) -> Result<kube::Config, ClusterError> {
    let mut kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.proxy_url = Some("http://none".to_owned());
    }
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.proxy_url = None;
    Ok(config)
}

/// Whether an API server says that it is ready.
async fn is_ready(client: &kube::Client) -> Result<bool, ClusterError> {
    let request = http::Request::get("/readyz").body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(client.request_text(request).await.is_ok())
}

/// The image of our own executable, as a run's pods name it.
fn image_name(run: &str) -> String {
    format!("brinell.dev/harness:{run}")
}

impl Cluster {
    /// Which of the two it is.
    pub fn kind(&self) -> ClusterKind {
        match self {
            Cluster::Kind(_) => ClusterKind::Kind,
            Cluster::Embedded(_) => ClusterKind::Embedded,
        }
    }

    /// Makes the cluster with the given settings. Returns how long its own programs took.
    ///
    /// # Errors
    /// When one of them does not start; its last words are in the error.
    pub async fn create(&self, settings: &Settings) -> Result<Duration, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.create(settings).await,
            Cluster::Embedded(embedded) => embedded.create(settings).await,
        }
    }

    /// Waits until a program of the cluster, or its node, has ended by itself, and says which. While all is well it
    /// waits for ever.
    pub fn ended(&self) -> BoxFuture<'static, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.ended().boxed(),
            Cluster::Embedded(embedded) => embedded.ended().boxed(),
        }
    }

    /// The image of our own executable, as pods name it.
    pub fn image(&self) -> String {
        match self {
            Cluster::Kind(kind) => image_name(kind.run()),
            Cluster::Embedded(embedded) => image_name(embedded.run()),
        }
    }

    /// The admin's way in.
    ///
    /// # Errors
    /// When the cluster's kubeconfig is of no use.
    pub async fn admin(&self) -> Result<kube::Config, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.admin().await,
            Cluster::Embedded(embedded) => embedded.admin().await,
        }
    }

    /// The flags with which the API server really runs, as settings name them.
    ///
    /// # Errors
    /// When it does not run or cannot be looked at.
    pub async fn api_server_flags(&self) -> Result<BTreeMap<String, String>, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.api_server_flags().await,
            Cluster::Embedded(embedded) => embedded.api_server_flags(),
        }
    }

    /// Whether a settings' file lies where the API server reads it, with this text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn has_settings_file(&self, name: &str, text: &str) -> Result<bool, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.has_settings_file(name, text).await,
            Cluster::Embedded(embedded) => embedded.has_settings_file(name, text),
        }
    }

    /// The audit log from its beginning, and on while it grows.
    ///
    /// # Errors
    /// When the command that reads it does not start.
    pub fn audit_log(&self) -> Result<Group, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.audit_log(),
            Cluster::Embedded(embedded) => embedded.audit_log(),
        }
    }

    /// Starts a second API server on the same etcd, with settings of its own, and waits until it is ready. The
    /// first is not touched. Returns the admin's way in to it.
    ///
    /// # Errors
    /// When it does not start; its last words are in the error.
    pub async fn start_beside(&self, settings: &Settings) -> Result<kube::Config, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.start_beside(settings).await,
            Cluster::Embedded(embedded) => embedded.start_beside(settings).await,
        }
    }

    /// Ends the second API server.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn end_beside(&self) -> Result<(), ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.end_beside().await,
            Cluster::Embedded(embedded) => {
                embedded.end_beside();
                Ok(())
            }
        }
    }

    /// The second API server's audit log from its beginning, and on while it grows.
    ///
    /// # Errors
    /// When the command that reads it does not start.
    pub fn beside_log(&self) -> Result<Group, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.beside_log(),
            Cluster::Embedded(embedded) => embedded.beside_log(),
        }
    }

    /// Whether the second API server has written an audit log.
    ///
    /// # Errors
    /// When the node cannot be asked.
    pub async fn has_beside_log(&self) -> Result<bool, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.has_beside_log().await,
            Cluster::Embedded(embedded) => Ok(embedded.has_beside_log()),
        }
    }

    /// Restarts the kubelet with settings laid over its own; with none, which restores it.
    ///
    /// # Errors
    /// When its configuration cannot be written, or there is no real kubelet.
    pub async fn set_kubelet(&self, settings: Option<&Value>) -> Result<(), ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.set_kubelet(settings).await,
            Cluster::Embedded(_) => Err(ClusterError::Lacking("real nodes")),
        }
    }

    /// An object of a control or a target as this cluster takes it; none where it takes its place itself.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn adapt(&self, object: Value) -> Result<Option<Value>, ClusterError> {
        match self {
            Cluster::Kind(_) => Ok(Some(object)),
            Cluster::Embedded(embedded) => embedded.adapt(object).await,
        }
    }

    /// Ends what the cluster did in the place of an object, which goes.
    pub async fn release(&self, object: &Value) {
        match self {
            Cluster::Kind(_) => {}
            Cluster::Embedded(embedded) => embedded.release(object).await,
        }
    }

    /// The WebSocket protocols to offer for exec and attach. The API server answers v5 itself and speaks SPDY to
    /// the kubelet, which a simulated one does not understand; v4 it passes on as it is (measured).
    pub fn stream_protocols(&self) -> &'static str {
        match self {
            Cluster::Kind(_) => "v5.channel.k8s.io, v4.channel.k8s.io",
            Cluster::Embedded(_) => "v4.channel.k8s.io",
        }
    }

    /// Sends a request from beside the node, without any identity of the cluster.
    ///
    /// # Errors
    /// When the probe does not answer, or there is no real node to stand beside.
    pub async fn probe_request(
        &self,
        order: &RequestOrder,
    ) -> Result<Result<RequestAnswer, NoAnswer>, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.probe("request", order).await,
            Cluster::Embedded(_) => Err(ClusterError::Lacking("real nodes")),
        }
    }

    /// Reads etcd past the API server.
    ///
    /// # Errors
    /// When the probe does not answer.
    pub async fn probe_etcd(
        &self,
        order: &EtcdOrder,
    ) -> Result<Result<EtcdAnswer, NoAnswer>, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.probe("etcd", order).await,
            Cluster::Embedded(embedded) => embedded.probe_etcd(order).await,
        }
    }

    /// The API server's own certificate for etcd.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn etcd_access(&self) -> Result<EtcdAccess, ClusterError> {
        match self {
            Cluster::Kind(kind) => kind.etcd_access().await,
            Cluster::Embedded(embedded) => Ok(embedded.etcd_access()),
        }
    }

    /// Whether parts of the cluster itself run as pods.
    pub fn has_own_pods(&self) -> bool {
        match self {
            Cluster::Kind(_) => true,
            Cluster::Embedded(_) => false,
        }
    }
}
