//! Removing what a run made on an existing cluster: its own namespaces, known by name and label together, deleted by
//! UID; and what it made outside of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::{Mark, Way, identity, namespace_prefix, outside};
use crate::cluster::run_folder::{self, Takeover};
use crate::cluster::{ClusterError, Pace, RUN_LABEL, RunFolder, Swept, client, pages};
use crate::text::{count, without_credentials};

/// How long a namespace may take to be gone. One that holds pods takes as long as these take to end.
pub(super) const TERMINATING: Duration = Duration::from_secs(120);

/// What cannot be told of a run without its folder.
const UNKNOWN: &str =
    "what it made outside of its own namespaces is known only where it was started";

/// The cluster that is swept.
struct There {
    admin: Client,
    /// How fast it is asked.
    pace: Pace,
    identity: String,
}

/// A namespace of a run's.
struct Found {
    run: String,
    name: String,
    uid: String,
}

/// What was removed of a run on an existing cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Its own namespaces, with all that was in them.
    pub namespaces: usize,
    /// What it made elsewhere.
    pub objects: usize,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces = count(self.namespaces, "namespace");
        match (self.namespaces, self.objects) {
            (_, 0) => f.write_str(&namespaces),
            (0, objects) => f.write_str(&count(objects, "object")),
            (_, objects) => write!(f, "{namespaces} and {}", count(objects, "object")),
        }
    }
}

/// Removes at this pace what the run of this folder made on its existing cluster; `None` if it is a run on one of ours.
///
/// # Errors
/// When the cluster cannot be reached, or something does not go.
pub async fn remove(
    run: &str,
    folder: &RunFolder,
    pace: &Pace,
) -> Result<Option<Gone>, ClusterError> {
    let Some(mark) = Mark::read(folder.path())? else { return Ok(None) };
    let there = mark.way.there(pace).await?;
    if there.identity != mark.identity {
        return Err(ClusterError::OtherCluster { way: mark.way });
    }
    Ok(Some(remove_all(&there, run, folder, &mark).await?))
}

/// Removes a run's own namespaces, and what it made outside of them.
async fn remove_all(
    there: &There,
    run: &str,
    folder: &RunFolder,
    mark: &Mark,
) -> Result<Gone, ClusterError> {
    let namespaces = match mark.is_given {
        true => Ok(0),
        false => remove_namespaces(&there.admin, run).await,
    };
    // What does not go keeps none of the others.
    let objects = outside::remove(&there.admin, &there.pace, run, folder).await;
    Ok(Gone { namespaces: namespaces?, objects: objects? })
}

/// Sweeps every run that left something on an existing cluster, or the one that is named, which goes even if it was
/// started elsewhere, but not while it is alive here.
///
/// # Errors
/// When the cluster cannot be reached, or a namespace does not go.
pub async fn sweep(
    way: &Way,
    named: Option<&str>,
) -> Result<BTreeMap<String, Swept>, ClusterError> {
    let there = way.there(&Pace::usual()).await?;
    let mut found = started_here(&there)?;
    match all(&there.admin).await {
        Ok(namespaces) => found.extend(namespaces.into_iter().map(|it| it.run)),
        // Who only works in namespaces that are given need not know of others, but for a run that is not known here.
        Err(ClusterError::Api(kube::Error::Api(status)))
            if status.code == 403 && named.is_none_or(|named| found.contains(named)) => {}
        Err(error) => return Err(error),
    }
    let mut swept = BTreeMap::new();
    for run in found.into_iter().filter(|run| named.is_none_or(|named| named == run)) {
        let became = sweep_run(&there, &run, named.is_some()).await;
        // One run that stays keeps none of the others.
        let became = became.unwrap_or_else(|error| Swept::Failed(error.to_string()));
        swept.insert(run, became);
    }
    Ok(swept)
}

/// The runs that were started from here on this cluster, alive or not.
fn started_here(there: &There) -> Result<BTreeSet<String>, ClusterError> {
    let mut found = BTreeSet::new();
    for run in RunFolder::all().map_err(ClusterError::Folder)? {
        let folder = run_folder::path(&run).map_err(ClusterError::Folder)?;
        // What a folder that is just being made says is not there yet.
        let mark = Mark::read(&folder).ok().flatten();
        found.extend(mark.filter(|mark| mark.identity == there.identity).map(|_| run));
    }
    Ok(found)
}

async fn sweep_run(there: &There, run: &str, named: bool) -> Result<Swept, ClusterError> {
    let folder = match RunFolder::take_over(run).map_err(ClusterError::Folder)? {
        Takeover::Taken(folder) => Some(folder),
        Takeover::Alive => return Ok(Swept::Alive),
        Takeover::Absent => None,
    };
    // A folder of the same name may be that of a run on another cluster.
    let mark = folder.as_ref().map(|folder| Mark::read(folder.path())).transpose()?.flatten();
    let mark = mark.filter(|mark| mark.identity == there.identity);
    match folder.zip(mark) {
        Some((folder, mark)) => {
            let gone = remove_all(there, run, &folder, &mark).await?;
            folder.remove().map_err(ClusterError::Folder)?;
            Ok(Swept::Removed(gone.to_string()))
        }
        None if named => {
            let namespaces = remove_namespaces(&there.admin, run).await?;
            let gone = Gone { namespaces, objects: 0 };
            Ok(Swept::Removed(format!("{gone}; {UNKNOWN}")))
        }
        None => Ok(Swept::Elsewhere),
    }
}

async fn remove_namespaces(admin: &Client, run: &str) -> Result<usize, ClusterError> {
    let found = all(admin).await?.into_iter().filter(|found| found.run == run);
    // One that does not go keeps none of the others.
    let removed = join_all(found.map(|found| delete(admin, found))).await;
    let count = removed.len();
    removed.into_iter().collect::<Result<(), _>>()?;
    Ok(count)
}

/// Every namespace of any run. The label alone does not make one ours, nor does the name.
async fn all(admin: &Client) -> Result<Vec<Found>, ClusterError> {
    let namespaces = Api::<Namespace>::all(admin.clone());
    let labelled = ListParams::default().labels(RUN_LABEL);
    let all = pages(labelled, async |page| namespaces.list_metadata(page).await).await?;
    let found = all.into_iter().filter_map(|namespace| {
        let metadata = namespace.metadata;
        let run = metadata.labels?.remove(RUN_LABEL)?;
        let (name, uid) = (metadata.name?, metadata.uid?);
        let is_named =
            name.strip_prefix(&namespace_prefix(&run)).is_some_and(|it| it.starts_with('-'));
        is_named.then_some(Found { run, name, uid })
    });
    Ok(found.collect())
}

/// Deletes a namespace and waits until it is gone.
async fn delete(admin: &Client, found: Found) -> Result<(), ClusterError> {
    let Found { name, uid, .. } = found;
    let namespaces = Api::<Namespace>::all(admin.clone());
    let precondition = Preconditions { uid: Some(uid.clone()), resource_version: None };
    let parameters = DeleteParams::background().preconditions(precondition);
    match namespaces.delete(&name, &parameters).await {
        // It is gone, or what has its name now is another one.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return Ok(()),
        other => drop(other?),
    }
    let gone = await_condition(namespaces.clone(), &name, is_deleted(&uid));
    if let Ok(gone) = tokio::time::timeout(TERMINATING, gone).await {
        return gone.map(drop).map_err(|error| ClusterError::NotReady {
            what: format!("the removal of namespace {name}"),
            state: format!("it could not be watched: {error}"),
        });
    }
    let status = namespaces.get_opt(&name).await?.and_then(|namespace| namespace.status);
    let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
    let state: Vec<String> = conditions.into_iter().filter_map(|it| it.message).collect();
    Err(ClusterError::StillThere { name, waited: TERMINATING, state: state.join("; ") })
}

impl Way {
    async fn there(&self, pace: &Pace) -> Result<There, ClusterError> {
        // Whoever has made something there may remove it there, whatever its name looks like.
        let config = self.config_allowed().await.map_err(Box::new)?;
        let server = without_credentials(&config.cluster_url.to_string());
        let admin = client(config, pace)?;
        let identity = identity(&admin, &server).await?;
        Ok(There { admin, pace: pace.clone(), identity })
    }
}
