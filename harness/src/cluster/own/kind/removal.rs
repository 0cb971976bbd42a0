//! What runs leave with the engine.

use super::engine::Engine;
use crate::cluster::{ClusterError, commands};

/// Removes what a run left with the engine: containers first, then networks and images. The engine's own removal
/// is what `kind delete cluster` does to a cluster's containers, and the kubeconfig is the run's own file. Where
/// commands of the run go on, as after an interrupt, what they still make is removed when they have ended; until
/// then a removal may fail that works afterwards.
pub(in crate::cluster) async fn remove(run: &str) -> Result<usize, ClusterError> {
    let engine = Engine::new(run);
    commands::stop(run).await;
    let goes_on = commands::go_on(run).await;
    let removed = engine.remove_all().await;
    if !goes_on {
        return Ok(removed?);
    }
    commands::end(run).await;
    Ok(removed.unwrap_or_default() + engine.remove_all().await?)
}
