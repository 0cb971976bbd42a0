//! Removing what a run made on an existing cluster: its own namespaces, known by name and label together, deleted by
//! UID.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::{Mark, Way, identity, namespace_prefix};
use crate::cluster::run_folder::Takeover;
use crate::cluster::{ClusterError, Pace, RUN_LABEL, RunFolder, Swept, client, pages};
use crate::text::without_credentials;

/// How long a namespace may take to be gone. One that holds pods takes as long as these take to end.
const TERMINATING: Duration = Duration::from_secs(120);

/// The cluster that is swept.
struct There {
    admin: Client,
    identity: String,
}

/// A namespace of a run's.
struct Found {
    run: String,
    name: String,
    uid: String,
}

/// Removes what the run of this folder made on its existing cluster; `None` if it is a run on one of ours. Returns how
/// many namespaces.
///
/// # Errors
/// When the cluster cannot be reached, or a namespace does not go.
pub async fn remove(run: &str, folder: &RunFolder) -> Result<Option<usize>, ClusterError> {
    let Some(Mark { way, identity }) = Mark::read(folder)? else { return Ok(None) };
    let there = way.there().await?;
    if there.identity != identity {
        return Err(ClusterError::OtherCluster { way });
    }
    Ok(Some(remove_run(&there.admin, run).await?))
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
    let there = way.there().await?;
    let found: BTreeSet<String> = all(&there.admin).await?.into_iter().map(|it| it.run).collect();
    let mut swept = BTreeMap::new();
    for run in found.into_iter().filter(|run| named.is_none_or(|named| named == run)) {
        let became = sweep_run(&there, &run, named.is_some()).await;
        // One run that stays keeps none of the others.
        let became = became.unwrap_or_else(|error| Swept::Failed(error.to_string()));
        swept.insert(run, became);
    }
    Ok(swept)
}

async fn sweep_run(there: &There, run: &str, named: bool) -> Result<Swept, ClusterError> {
    let folder = match RunFolder::take_over(run).map_err(ClusterError::Folder)? {
        Takeover::Taken(folder) => Some(folder),
        Takeover::Alive => return Ok(Swept::Alive),
        Takeover::Absent => None,
    };
    // A folder of the same name may be that of a run on another cluster.
    let mark = folder.as_ref().map(Mark::read).transpose()?.flatten();
    let folder = folder.filter(|_| mark.is_some_and(|mark| mark.identity == there.identity));
    if folder.is_none() && !named {
        return Ok(Swept::Elsewhere);
    }
    let removed = remove_run(&there.admin, run).await?;
    folder.map(|folder| folder.remove()).transpose().map_err(ClusterError::Folder)?;
    Ok(Swept::Removed(removed))
}

async fn remove_run(admin: &Client, run: &str) -> Result<usize, ClusterError> {
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
    async fn there(&self) -> Result<There, ClusterError> {
        // Whoever has made something there may remove it there, whatever its name looks like.
        let config = self.config_allowed().await.map_err(Box::new)?;
        let server = without_credentials(&config.cluster_url.to_string());
        let admin = client(config, &Pace::free())?;
        let identity = identity(&admin, &server).await?;
        Ok(There { admin, identity })
    }
}
