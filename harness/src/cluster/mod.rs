//! Clusters: what each gives to those who act on it (access) and what can be seen of it (sight); those of our own,
//! which are made, weakened and removed; and objects that are applied to either.

mod abreast;
mod access;
mod applying;
mod ask;
mod commands;
mod connection;
mod elf;
mod exchange;
mod existing;
mod image;
mod kubeconfig;
mod own;
mod pace;
mod pages;
mod plug_in;
mod printing;
mod process;
mod proxy;
mod pulse;
mod run_folder;
mod sight;
mod supervisor;
mod sweep;
mod webhooks;

use std::path::Path;
use std::time::Duration;

pub use access::{Access, Refused, client};
pub(crate) use access::{telling_client, who_am_i};
pub use applying::Refusals;
pub(crate) use applying::{Applier, ApplyError, StandIn, is_pod_ready, until_pod_ready};
pub use ask::{ask, ask_for_log};
pub use commands::RUN_VARIABLE;
pub(crate) use connection::{Connection, Connections, Greeting};
pub(crate) use exchange::{ANSWERING, AUDIT_ID, exchange, is_without_id, silence};
pub use existing::CredentialsError;
pub(crate) use existing::release;
pub use existing::sweep as sweep_existing;
pub use existing::{
    Existing, Gone, Means, Outside, PullCredentials, PullSecretError, ReachError, Unmet, Way,
    lacks, namespace_prefix,
};
pub(crate) use existing::{Taken, take};
pub(crate) use image::can_run_in_pods;
pub use image::{Image, ImageError};
use kube::config::{KubeConfigOptions, Kubeconfig};
pub use own::{
    Choice, ChoiceError, ClusterType, DEFAULT_VERSION, Needed, NoCluster, Own, Second, Settings,
    WebhookServers, assets, node_image,
};
pub(crate) use own::{Created, KindError, ReadBack, Wanted, image_name, own};
pub use pace::Pace;
pub(crate) use pages::{PAGE, all, pages};
pub(crate) use plug_in::PlugIn;
pub use plug_in::PlugInError;
pub use printing::{PrintError, print};
pub(crate) use process::Group;
pub use process::{PRINTING, ProcessError};
pub(crate) use pulse::Pulse;
pub use run_folder::RunFolder;
pub(crate) use sight::{
    Asked, Etcd, EtcdKeys, FENCE, NodePorts, Probe, ServerSettings, Servers, Sight,
};
pub(crate) use supervisor::{Supervision, Tied};
pub use sweep::{Removed, Swept, keep, remove, sweep};
pub(crate) use webhooks::webhooks;

/// How long pods may take to be ready: the cluster's own, and those of targets.
pub const STARTING: Duration = Duration::from_secs(120);

/// A cluster could not be made, reached or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A cluster of kind's.
    #[error(transparent)]
    Kind(#[from] KindError),
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
    /// The arguments in exec-guard's Deployment are not those of its program.
    #[error("exec-guard does not take the arguments of its container: {0}")]
    GuardArguments(#[from] clap::Error),
    /// The API server could not be asked.
    #[error("the API server could not be asked: {}", crate::text::api_words(.0))]
    Api(#[from] kube::Error),
    /// The kubeconfig of the new cluster could not be read.
    #[error("the new cluster's kubeconfig cannot be used: {}", kubeconfig::words(.0))]
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
    /// The settings of a kubelet are to be changed where none runs.
    #[error("the node is simulated and has no kubelet")]
    NoKubelet,
    /// A kubelet answers, and not with its configuration.
    #[error("the kubelet does not tell its configuration: its answer has no `kubeletconfig`")]
    NoKubeletConfiguration,
    /// Processes of the run are there although they were killed.
    #[error(
        "{0} processes of the run cannot be ended; `ps` shows them in the environment of BRINELL_RUN"
    )]
    NotEnded(usize),
    /// An existing cluster could not be reached again.
    #[error(transparent)]
    Reach(#[from] Box<ReachError>),
    /// The way of a run leads to another cluster now.
    #[error(
        "{way} leads to another cluster than the one that the run was on: `brinell sweep --context NAME RUN` with the \
         right one removes what it left there"
    )]
    OtherCluster {
        /// How the run found its cluster.
        way: Way,
    },
    /// Whoever asks may not read which cluster it is, at the address of the run's.
    #[error(
        "the cluster at {server} does not tell which one it is: whoever removes what a run left needs `get` of the namespace \
         kube-system"
    )]
    Untold {
        /// The API server's address.
        server: String,
    },
    /// What a run's folder says of its existing cluster cannot be read.
    #[error(
        "{} does not tell on which cluster the run was ({cause}): `brinell sweep --context NAME RUN` with the right one \
         removes what it left there", file.display()
    )]
    Mark {
        /// The file.
        file: std::path::PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The admin's own credentials have ended.
    #[error("the credentials of {way} are not accepted any more")]
    NotAccepted {
        /// How the run found its cluster.
        way: Way,
    },
    /// A namespace of ours is still there although it was deleted.
    #[error("the namespace {name} is not gone {waited:?} after its deletion: {state}")]
    StillThere {
        /// The namespace.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// What its conditions say.
        state: String,
    },
    /// Something that a run made is still there although it was deleted.
    #[error("{waited:?} after its deletion there is still {what}")]
    NotRemoved {
        /// What, with why it may not be deleted.
        what: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Something never starts as it is.
    #[error("{what} cannot start: {state}")]
    Unready {
        /// What.
        what: String,
        /// What hinders it.
        state: String,
    },
    /// Something did not start.
    #[error("{what} did not become ready within {STARTING:?}; {state}")]
    NotReady {
        /// What.
        what: String,
        /// What is missing.
        state: String,
    },
}

/// How long an API server may take to become ready. It takes 2 to 3 seconds (measured).
const SERVING: Duration = Duration::from_secs(60);

/// The configuration that a kubeconfig of ours holds. It leads to loopback, so no proxy may be used. kube reads the
/// proxy of the environment unless the cluster names one: so one is named here, and taken out again.
async fn way_in(kubeconfig: &Path) -> Result<kube::Config, ClusterError> {
    let mut kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.proxy_url = Some(proxy::NONE.to_owned());
    }
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.proxy_url = None;
    Ok(config)
}

/// Whether an address is this machine's own, so that no proxy leads there.
fn is_on_loopback(address: &http::Uri) -> bool {
    let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Whether somebody else was first: what a request was to change or delete is gone (404), or is not
/// what it was any more (409).
pub(crate) fn is_overtaken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [404, 409].contains(&status.code))
}

/// Where an API server says whether it is ready: whether it may be asked all that it is to answer.
const READY: &str = "/readyz";

/// Whether an API server says that it is ready, on [`READY`] or with some of its checks left out.
async fn is_ready(client: &kube::Client, path: &str) -> Result<bool, ClusterError> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(client.request_text(request).await.is_ok())
}
