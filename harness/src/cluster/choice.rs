//! Which kind of cluster a run uses, and why.

use super::{Engine, can_run_in_pods, kind_version};
use crate::catalog::Need;

/// A kind of cluster.
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
    /// Why it cannot be used here, and what to do; none where it can.
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

    /// What such a cluster cannot show. On a simulated node pods are Running that never could.
    pub fn lacks(self) -> &'static [Need] {
        match self {
            ClusterKind::Kind => &[],
            ClusterKind::Embedded => &[Need::RealNode, Need::PodNetwork, Need::KubeletPort],
        }
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

/// What a kind cluster needs and is not there.
struct Missing {
    why: String,
    help: String,
}

async fn found() -> Result<String, Missing> {
    let engine = Engine::version().await.map_err(|error| Missing {
        why: "no Docker engine answers".to_owned(),
        help: format!(
            "no Docker engine answers. Install one (https://docs.docker.com/engine/install/) \
             or start it; `docker version` shows whether it answers. \
             `--cluster embedded` needs none.\n{error}"
        ),
    })?;
    let kind = kind_version().await.map_err(|error| Missing {
        why: "kind is not there".to_owned(),
        help: format!(
            "kind is not there. Install it (https://kind.sigs.k8s.io/docs/user/quick-start/) \
             and put it on the PATH. `--cluster embedded` does without it.\n{error}"
        ),
    })?;
    can_run_in_pods().map_err(|error| Missing {
        why: "this executable cannot run in pods".to_owned(),
        help: error.to_string(),
    })?;
    Ok(format!("Docker {engine} and kind {kind} answer"))
}
