//! What can go wrong with kind's clusters alone.

use crate::cluster::ProcessError;

/// A cluster of kind's could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
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
    Kubelet,
    /// The node's container ended.
    #[error("the node's container ended by itself")]
    NodeEnded,
}
