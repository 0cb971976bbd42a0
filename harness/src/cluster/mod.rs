//! Clusters: making them, reaching them, and leaving nothing behind. Nothing else knows kind.

mod commands;
mod elf;
mod engine;
mod image;
mod kind;
mod process;
mod run_folder;
mod sweep;

pub use engine::{Engine, RUN_LABEL};
pub use image::{Image, ImageError, can_run_in_pods};
pub use kind::{
    DEFAULT_VERSION, EtcdAccess, Kind, SETTINGS, Settings, node_image, version as kind_version,
    versions,
};
pub use process::{Group, ProcessError};
pub use run_folder::RunFolder;
pub use sweep::{Swept, keep, remove, sweep};

/// A cluster could not be made, reached or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// kind gave up.
    #[error("kind could not make the cluster: {kind}\nthe API server's last words:\n{api_server}")]
    NotCreated {
        /// kind's own words.
        kind: String,
        /// The end of the API server's log; empty where it wrote none.
        api_server: String,
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
    /// A command of the engine or of kind failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The image of our own executable could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The run's folder could not be written.
    #[error("the run's own folder could not be written: {0}")]
    Folder(std::io::Error),
    /// The kubeconfig of the new cluster could not be read.
    #[error("the new cluster's kubeconfig cannot be used: {0}")]
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
}
