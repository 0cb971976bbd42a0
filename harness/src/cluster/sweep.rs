//! Removing what runs left behind, and only that: a run that is alive holds its folder's lock.

use std::collections::BTreeSet;
use std::fmt;

use super::existing::{self, Gone};
use super::own::{embedded, kind};
use super::run_folder::Takeover;
use crate::cluster::{ClusterError, Pace, ProcessError, RunFolder, commands};

/// The file in a run's folder that says that its cluster was kept on purpose.
const KEPT: &str = "kept";

/// What became of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// Removed, and what.
    Removed(String),
    /// It is alive.
    Alive,
    /// Its cluster was kept on purpose.
    Kept,
    /// It was started elsewhere: whether it is alive cannot be told here.
    Elsewhere,
    /// It could not be removed, and why.
    Failed(String),
}

/// What came of sweeping.
pub struct Sweeping {
    /// The runs that were found, and what became of each.
    pub swept: Vec<(String, Swept)>,
    /// Why the engine could not be asked what runs left there; `None` also if there is no engine at all.
    pub unasked: Option<ProcessError>,
}

/// Marks a run as kept on purpose.
pub fn keep(folder: &RunFolder) -> std::io::Result<()> {
    folder.write(KEPT, b"").map(drop)
}

/// What was removed of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Its cluster, of so many things.
    Cluster(usize),
    /// What it made on an existing cluster.
    Existing(Gone),
}

impl Swept {
    /// Whether something of the run is still there that should not be.
    pub fn has_failed(&self) -> bool {
        matches!(self, Swept::Failed(_))
    }
}

impl Removed {
    /// What is told of sweeping it. The run's folder is among the things.
    fn swept(self) -> Swept {
        match self {
            Removed::Cluster(count) => things(count + 1),
            Removed::Existing(gone) => Swept::Removed(gone.to_string()),
        }
    }
}

fn things(count: usize) -> Swept {
    Swept::Removed(format!("{count} things"))
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Removed::Cluster(_) => f.write_str("Cluster"),
            Removed::Existing(gone) => gone.fmt(f),
        }
    }
}

/// Removes everything that a run left outside its folder, and then the folder. An existing cluster is asked at this
/// pace. An embedded cluster has left nothing with an engine, and its programs should have ended with the run, which is
/// checked.
///
/// # Errors
/// When the engine, the existing cluster or the folder cannot be cleared, or a process of the run cannot be ended.
pub async fn remove(run: &str, folder: &RunFolder, pace: &Pace) -> Result<Removed, ClusterError> {
    if let Some(gone) = existing::remove(run, folder, pace).await? {
        folder.remove().map_err(ClusterError::Folder)?;
        return Ok(Removed::Existing(gone));
    }
    let embedded = folder.file(embedded::MARK).exists();
    let removed = match embedded {
        true => commands::stop(run).await,
        false => kind::remove(run).await?,
    };
    match commands::end(run).await {
        0 => folder.remove().map_err(ClusterError::Folder)?,
        processes => return Err(ClusterError::NotEnded(processes)),
    }
    Ok(Removed::Cluster(removed))
}

/// Sweeps every run that left something, or the one that is named. A named run goes even if it was kept or
/// started elsewhere, but not while it is alive.
pub async fn sweep(named: Option<&str>) -> Result<Sweeping, ClusterError> {
    let local = RunFolder::all().map_err(ClusterError::Folder)?;
    let mut runs: BTreeSet<String> = local.iter().cloned().collect();
    let engine = kind::Engine::runs().await;
    runs.extend(engine.iter().flatten().cloned());
    let orphaned = commands::orphaned().await;
    runs.extend(orphaned.iter().cloned());
    if let Some(name) = named {
        runs.retain(|run| run == name);
    }
    let mut swept = Vec::new();
    for run in runs {
        let became = if local.contains(&run) {
            // One run that stays keeps none of the others.
            let became = sweep_local(&run, named.is_some()).await;
            became.unwrap_or_else(|error| Some(Swept::Failed(error.to_string())))
        } else if named.is_some() {
            let orphans = commands::end_orphans(&run).await;
            Some(things(orphans + kind::remove(&run).await?))
        } else if orphaned.contains(&run) {
            Some(things(commands::end_orphans(&run).await))
        } else {
            Some(Swept::Elsewhere)
        };
        swept.extend(became.map(|became| (run, became)));
    }
    Ok(Sweeping { swept, unasked: engine.err().filter(answers_badly) })
}

/// `None` if the run has ended and tidied up meanwhile.
async fn sweep_local(run: &str, named: bool) -> Result<Option<Swept>, ClusterError> {
    let folder = match RunFolder::take_over(run).map_err(ClusterError::Folder)? {
        Takeover::Taken(folder) => folder,
        Takeover::Alive => return Ok(Some(Swept::Alive)),
        Takeover::Absent => return Ok(None),
    };
    if folder.file(KEPT).exists() && !named {
        return Ok(Some(Swept::Kept));
    }
    Ok(Some(remove(run, &folder, &Pace::usual()).await?.swept()))
}

fn answers_badly(error: &ProcessError) -> bool {
    !matches!(error, ProcessError::Start { .. })
}
