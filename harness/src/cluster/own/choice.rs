//! Which type of our own clusters a run uses, and why.

use super::assets::{self, AssetError};
use super::kind::{self, NoCluster, found};
use crate::catalog::Lacks;
use crate::model::Need;

/// The Kubernetes version that is tested when none is asked for.
pub const DEFAULT_VERSION: &str = "1.36";

/// A type of our own clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ClusterType {
    /// Real nodes in containers, by kind and a Docker engine
    Kind,
    /// A real API server with a simulated node, as processes on loopback
    Embedded,
}

/// The type of cluster that a run uses.
#[derive(Debug)]
pub struct Choice {
    /// Which.
    pub cluster: ClusterType,
    /// Why, for the first line: `Docker 28.5 and kind 0.33 answer`.
    pub why: String,
    /// Why it cannot be used here, and what to do; `None` if it can.
    pub missing: Option<NoCluster>,
}

/// What is asked for cannot be had of this type of cluster.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// There is no node image for this version of Kubernetes.
    #[error(
        "there is no node image for Kubernetes {version}; there is one for {}, \
         and --node-image names any other",
        kind::versions().join(", ")
    )]
    NoNodeImage {
        /// As it was given.
        version: String,
    },
    /// There are no programs for this version of Kubernetes.
    #[error(transparent)]
    NoPrograms(#[from] AssetError),
    /// An embedded cluster cannot be kept.
    #[error("an embedded cluster ends with its run; --keep needs --cluster kind")]
    NotKept,
    /// An embedded cluster takes no node image.
    #[error("the node of an embedded cluster is simulated; --node-image needs --cluster kind")]
    NoNodes,
}

impl ClusterType {
    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            ClusterType::Kind => "kind",
            ClusterType::Embedded => "embedded",
        }
    }

    /// How many clusters a proof uses side by side if nothing is asked for: a second embedded cluster costs little, a
    /// second node costs as much as the first.
    pub fn side_by_side(self) -> usize {
        match self {
            ClusterType::Kind => 1,
            ClusterType::Embedded => 2,
        }
    }

    /// Sees that a cluster can be kept after its run.
    ///
    /// # Errors
    /// When it consists of processes of the run.
    pub fn see_keepable(self) -> Result<(), ChoiceError> {
        match self {
            ClusterType::Kind => Ok(()),
            ClusterType::Embedded => Err(ChoiceError::NotKept),
        }
    }

    /// Sees that nodes of a cluster are made from an image.
    ///
    /// # Errors
    /// When they are simulated.
    pub fn see_nodes(self) -> Result<(), ChoiceError> {
        match self {
            ClusterType::Kind => Ok(()),
            ClusterType::Embedded => Err(ChoiceError::NoNodes),
        }
    }

    /// The image that nodes of a Kubernetes minor version are made from: the one that is asked for, if any. It is empty
    /// where nodes are simulated.
    ///
    /// # Errors
    /// When there is nothing to make a cluster of this version from.
    pub fn node_image(self, version: &str, asked: Option<&str>) -> Result<String, ChoiceError> {
        match (self, asked.filter(|image| !image.is_empty())) {
            (ClusterType::Embedded, _) => {
                assets::see_known(version)?;
                Ok(String::new())
            }
            (ClusterType::Kind, Some(image)) => Ok(image.to_owned()),
            (ClusterType::Kind, None) => {
                let unknown = || ChoiceError::NoNodeImage { version: version.to_owned() };
                kind::node_image(version).map(str::to_owned).ok_or_else(unknown)
            }
        }
    }
}

impl From<ClusterType> for Lacks {
    /// What such a cluster lacks. On a simulated node even pods that could never run are Running.
    fn from(cluster: ClusterType) -> Self {
        let needs: &[Need] = match cluster {
            ClusterType::Kind => &[],
            ClusterType::Embedded => &[Need::RealNode, Need::PodNetwork, Need::KubeletPort],
        };
        Lacks {
            who: format!("{} clusters", cluster.name()),
            said: format!("{} clusters lack", cluster.name()),
            needs: needs.iter().copied().collect(),
        }
    }
}

impl Choice {
    /// The type that is made beside a cluster that is there.
    pub fn to_rehearse() -> Choice {
        let why = "as a rehearsal is".to_owned();
        Choice { cluster: ClusterType::Embedded, why, missing: None }
    }

    /// The type that is asked for; else kind if a Docker engine and kind answer, and embedded elsewhere.
    pub async fn make(asked: Option<ClusterType>) -> Choice {
        if asked == Some(ClusterType::Embedded) {
            let why = "as asked for".to_owned();
            return Choice { cluster: ClusterType::Embedded, why, missing: None };
        }
        match (found().await, asked) {
            (Ok(why), _) => Choice { cluster: ClusterType::Kind, why, missing: None },
            (Err(missing), Some(_)) => Choice {
                cluster: ClusterType::Kind,
                why: "as asked for".to_owned(),
                missing: Some(missing),
            },
            (Err(missing), None) => {
                Choice { cluster: ClusterType::Embedded, why: missing.why(), missing: None }
            }
        }
    }
}
