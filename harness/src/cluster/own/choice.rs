//! Which kind of our own clusters a run uses, and why.

use super::kind::found;
use crate::catalog::Lacks;
use crate::model::Need;

/// The Kubernetes version that is tested when none is asked for.
pub const DEFAULT_VERSION: &str = "1.36";

/// A kind of our own clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ClusterKind {
    /// Real nodes in containers, by kind and a Docker engine
    Kind,
    /// A real API server with a simulated node, as processes on loopback
    Embedded,
}

/// The kind of cluster that a run uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub kind: ClusterKind,
    /// Why, for the first line: `Docker 28.5 and kind 0.33 answer`.
    pub why: String,
    /// Why it cannot be used here, and what to do; `None` where it can.
    pub missing: Option<String>,
}

impl ClusterKind {
    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            ClusterKind::Kind => "kind",
            ClusterKind::Embedded => "embedded",
        }
    }
}

impl From<ClusterKind> for Lacks {
    /// What such a cluster cannot show. On a simulated node pods are Running that never could.
    fn from(kind: ClusterKind) -> Self {
        let needs: &[Need] = match kind {
            ClusterKind::Kind => &[],
            ClusterKind::Embedded => &[Need::RealNode, Need::PodNetwork, Need::KubeletPort],
        };
        Lacks { who: format!("{} clusters", kind.name()), needs: needs.iter().copied().collect() }
    }
}

impl Choice {
    /// The kind that is asked for; else kind where a Docker engine and kind answer, and embedded elsewhere.
    pub async fn make(asked: Option<ClusterKind>) -> Choice {
        if asked == Some(ClusterKind::Embedded) {
            let why = "as asked for".to_owned();
            return Choice { kind: ClusterKind::Embedded, why, missing: None };
        }
        match (found().await, asked) {
            (Ok(why), _) => Choice { kind: ClusterKind::Kind, why, missing: None },
            (Err(missing), Some(_)) => Choice {
                kind: ClusterKind::Kind,
                why: "as asked for".to_owned(),
                missing: Some(missing.help),
            },
            (Err(missing), None) => {
                Choice { kind: ClusterKind::Embedded, why: missing.why, missing: None }
            }
        }
    }
}
