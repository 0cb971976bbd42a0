//! Removing what a run made on an existing cluster: its own namespaces, known by name and label together, deleted by
//! UID; and what it made outside of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::discovery::Discovery;
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::outside::{Outside, RELEASED};
use super::{Existing, Mark, Way, namespace_prefix, outside, uid};
use crate::cluster::plug_in::is_without_credentials;
use crate::cluster::run_folder::{self, Takeover};
use crate::cluster::{ClusterError, Pace, RunFolder, Swept, client, is_overtaken, pages};
use crate::model::{RUN_LABEL, Right};
use crate::poll;
use crate::text::{count, first_of, without_credentials};

/// How long a namespace may take to be gone. One that holds pods takes as long as these take to end. As long a cluster
/// is asked again that does not answer, or has no time for it.
pub(super) const TERMINATING: Duration = Duration::from_secs(120);

/// How many requests it takes to remove a namespace: it is deleted, listed and watched.
const REQUESTS: u32 = 3;

/// What cannot be told of a run without its folder.
const UNKNOWN: &str =
    "what it made outside of its own namespaces is known only where it was started";

/// What is known of a run without its folder, where a profile says in which namespaces it was.
const AS_FAR: &str = "as far as the scenarios of this profile make it";

/// How many collections are told of those that may not be listed.
const TOLD: usize = 5;

/// The cluster that is swept.
struct There {
    admin: Client,
    patience: Patience,
    /// Which one it is: the UID of its kube-system; `None` where that is not to be read.
    uid: Option<String>,
    /// The API server's address.
    server: String,
}

/// How long and for what the cluster is asked again.
#[derive(Clone)]
struct Patience {
    /// How fast it is asked.
    pace: Pace,
    /// Whether a refusal may pass. An API server that is starting refuses everybody for seconds: who could make what is
    /// to be removed was refused by such a one. Of anybody else a refusal is the answer.
    with_refusals: bool,
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
    /// What carries its label and was made by somebody else meanwhile: it stays.
    pub theirs: usize,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces = count(self.namespaces, "namespace");
        match (self.namespaces, self.objects) {
            (_, 0) => f.write_str(&namespaces),
            (0, objects) => f.write_str(&count(objects, "object")),
            (_, objects) => write!(f, "{namespaces} and {}", count(objects, "object")),
        }?;
        match self.theirs {
            0 => Ok(()),
            theirs => {
                let theirs = count(theirs, "object");
                write!(f, " (not {theirs} of somebody else's with this run's label)")
            }
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
    let patience = Patience { pace: pace.clone(), with_refusals: true };
    let there = async || {
        let there = mark.way.there(&patience).await?;
        match there.is_of(&mark)? {
            true => Ok(there),
            false => Err(ClusterError::OtherCluster { way: mark.way.clone() }),
        }
    };
    let there = patience.asks(there).await?;
    Ok(Some(remove_all(&there, run, folder, mark.is_given).await?))
}

/// Removes a run's own namespaces, and what it made outside of them.
async fn remove_all(
    there: &There,
    run: &str,
    folder: &RunFolder,
    is_given: bool,
) -> Result<Gone, ClusterError> {
    let namespaces = match is_given {
        true => Ok(BTreeSet::new()),
        false => remove_namespaces(there, run).await,
    };
    // What does not go keeps none of the others.
    let outside = outside::remove(&there.admin, &there.patience.pace, run, folder).await;
    let (mut namespaces, (objects, theirs)) = (namespaces?, outside?);
    namespaces.extend(outside::lines::<Vec<_>>(folder.path(), RELEASED)?);
    Ok(Gone { namespaces: namespaces.len(), objects, theirs })
}

/// Sweeps every run that left something on an existing cluster, or the one that is named, which goes even if it was
/// started elsewhere, but not while it is alive here. `given` are rights to delete what it may have made in namespaces
/// that are given: without its folder it is looked for there, and in no namespaces of its own.
///
/// # Errors
/// When the cluster cannot be reached, or a namespace does not go.
pub async fn sweep(
    way: &Way,
    named: Option<&str>,
    given: &BTreeSet<Right>,
) -> Result<BTreeMap<String, Swept>, ClusterError> {
    // Somebody waits for an answer, and asks again.
    let patience = Patience { pace: Pace::usual(), with_refusals: false };
    let there = way.there(&patience).await?;
    let mut found = started_here(&there)?;
    match looked_for(&there, named, given).await {
        Ok(runs) => found.extend(runs),
        // Who only works in namespaces that are given need not know of others, but for a run that is not known here.
        Err(ClusterError::Api(kube::Error::Api(status)))
            if status.code == 403 && named.is_none_or(|named| found.contains(named)) => {}
        Err(error) => return Err(error),
    }
    let mut swept = BTreeMap::new();
    for run in found.into_iter().filter(|run| named.is_none_or(|named| named == run)) {
        let became = sweep_run(&there, &run, named.is_some(), given).await;
        // One run that stays keeps none of the others.
        let became = became.unwrap_or_else(|error| Swept::Failed(error.to_string()));
        swept.insert(run, became);
    }
    Ok(swept)
}

impl Existing {
    /// Removes what ended runs that were started from here have left on this cluster. Returns what became of each.
    ///
    /// # Errors
    /// When their folders cannot be read.
    pub async fn sweep_ended(&self) -> Result<BTreeMap<String, Swept>, ClusterError> {
        let there = There {
            admin: self.access.admin.clone(),
            patience: Patience { pace: self.access.pace.clone(), with_refusals: false },
            uid: Some(self.identity.clone()),
            server: self.server.clone(),
        };
        let mut swept = BTreeMap::new();
        for run in started_here(&there)? {
            until_swept(&run).await?;
            let became = sweep_run(&there, &run, false, &BTreeSet::new()).await;
            match became.unwrap_or_else(|error| Swept::Failed(error.to_string())) {
                // Whoever else was at it has removed it.
                Swept::Elsewhere => {}
                became => drop(swept.insert(run, became)),
            }
        }
        Ok(swept)
    }
}

/// Waits until nobody else removes what a run has left, as long as that may take.
async fn until_swept(run: &str) -> Result<(), ClusterError> {
    let folder = run_folder::path(run).map_err(ClusterError::Folder)?;
    let is_over = async || if run_folder::is_swept(&folder) { Err(()) } else { Ok(()) };
    // Whether anything is left is seen by whoever comes after.
    let _ = poll::until(TERMINATING, is_over).await;
    Ok(())
}

/// The runs that have left something which can be found without their folders.
async fn looked_for(
    there: &There,
    named: Option<&str>,
    given: &BTreeSet<Right>,
) -> Result<BTreeSet<String>, ClusterError> {
    match given.is_empty() {
        true => Ok(all(there).await?.into_iter().map(|it| it.run).collect()),
        false => Ok(named.map(str::to_owned).into_iter().collect()),
    }
}

/// The runs that were started from here on this cluster, alive or not, and those of which it cannot be told.
fn started_here(there: &There) -> Result<BTreeSet<String>, ClusterError> {
    let mut found = BTreeSet::new();
    for run in RunFolder::all().map_err(ClusterError::Folder)? {
        let folder = run_folder::path(&run).map_err(ClusterError::Folder)?;
        let is_here = match Mark::read(&folder) {
            Ok(Some(mark)) => there.is_of(&mark).unwrap_or(true),
            Ok(None) => false,
            Err(_) => true,
        };
        found.extend(is_here.then_some(run));
    }
    Ok(found)
}

async fn sweep_run(
    there: &There,
    run: &str,
    named: bool,
    given: &BTreeSet<Right>,
) -> Result<Swept, ClusterError> {
    let folder = match RunFolder::take_over(run).map_err(ClusterError::Folder)? {
        Takeover::Taken(folder) => Some(folder),
        Takeover::Alive => return Ok(Swept::Alive),
        Takeover::Absent => None,
    };
    let is_given =
        folder.as_ref().map(|folder| in_given(there, folder, named, given)).transpose()?;
    match folder.zip(is_given.flatten()) {
        Some((folder, is_given)) => {
            let gone = remove_all(there, run, &folder, is_given).await?;
            folder.remove().map_err(ClusterError::Folder)?;
            Ok(Swept::Removed(gone.to_string()))
        }
        None if named && !given.is_empty() => remove_given(there, run, given).await,
        None if named => {
            let namespaces = remove_namespaces(there, run).await?.len();
            let gone = Gone { namespaces, objects: 0, theirs: 0 };
            Ok(Swept::Removed(format!("{gone}; {UNKNOWN}")))
        }
        None => Ok(Swept::Elsewhere),
    }
}

/// Whether the run of a folder was in namespaces that are given; `None` if it was not on this cluster, as the folder of
/// another run of this name may be.
fn in_given(
    there: &There,
    folder: &RunFolder,
    named: bool,
    given: &BTreeSet<Right>,
) -> Result<Option<bool>, ClusterError> {
    match Mark::read(folder.path()) {
        Ok(Some(mark)) => Ok(there.is_of(&mark)?.then_some(mark.is_given)),
        Ok(None) => Ok(None),
        // Whoever names the run says that it was on this cluster, and with its profile where.
        Err(_) if named => Ok(Some(!given.is_empty())),
        Err(error) => Err(error),
    }
}

/// Removes what a run has made in namespaces that are given, by its label alone.
async fn remove_given(
    there: &There,
    run: &str,
    given: &BTreeSet<Right>,
) -> Result<Swept, ClusterError> {
    let There { admin, patience, .. } = there;
    let (mut held, mut unseen) = (Vec::new(), Vec::new());
    for collection in served(there, given).await? {
        let list = async || Ok(outside::labelled(admin, &collection, run).await?);
        match patience.asks(list).await {
            Ok(found) => held.extend((!found.is_empty()).then_some(collection)),
            Err(ClusterError::Api(kube::Error::Api(status))) if status.code == 403 => {
                unseen.push(collection);
            }
            Err(error) => return Err(error),
        }
    }
    let objects = outside::remove_from(admin, &patience.pace, run, &held, &BTreeSet::new()).await?;
    let gone = format!("{}, {AS_FAR}", count(objects, "object"));
    Ok(match unseen.is_empty() {
        true => Swept::Removed(gone),
        false => {
            let unseen = first_of(&unseen, TOLD);
            Swept::Failed(format!("{gone}, but whoever sweeps may not list {unseen}"))
        }
    })
}

/// The paths of the collections that rights are about, as far as the cluster serves them.
async fn served(there: &There, rights: &BTreeSet<Right>) -> Result<Vec<String>, ClusterError> {
    let admin = &there.admin;
    let discover = async || Ok(Discovery::new(admin.clone()).run_aggregated().await?);
    let discovery = there.patience.asks(discover).await?;
    let path = |right: &Right| {
        let mut known = discovery.get(&right.group)?.resources_by_stability().into_iter();
        let (resource, _) = known.find(|(it, _)| it.plural == right.resource)?;
        let place = right.r#in.as_deref()?;
        let api = Api::<DynamicObject>::namespaced_with(admin.clone(), place, &resource);
        Some(api.resource_url().to_owned())
    };
    Ok(rights.iter().filter_map(path).collect())
}

/// Has one of a run's own namespaces deleted, which has no more use. One that does not go now goes at the end of the
/// run, where all are waited for.
pub async fn release(admin: &Client, outside: &Outside, run: &str, name: &str) {
    let namespaces = Api::<Namespace>::all(admin.clone());
    let this = ListParams::default()
        .labels(&format!("{RUN_LABEL}={run}"))
        .fields(&format!("metadata.name={name}"))
        .limit(1);
    let found = namespaces.list_metadata(&this).await.map(|list| list.items).unwrap_or_default();
    for found in found.into_iter().filter_map(found_of).filter(|found| found.run == run) {
        // What is not written down is not counted in the end, and that is all.
        if tell_to_go(&namespaces, &found).await.is_ok() {
            let _ = outside.released(&found.name);
        }
    }
}

/// Deletes a run's own namespaces, and waits until they are gone. Returns their names.
async fn remove_namespaces(there: &There, run: &str) -> Result<BTreeSet<String>, ClusterError> {
    let found: Vec<Found> =
        all(there).await?.into_iter().filter(|found| found.run == run).collect();
    let names = found.iter().map(|found| found.name.clone()).collect();
    // One that does not go keeps none of the others.
    let removed = join_all(found.into_iter().map(|found| delete(there, found))).await;
    removed.into_iter().collect::<Result<(), _>>()?;
    Ok(names)
}

/// Every namespace of any run.
async fn all(there: &There) -> Result<Vec<Found>, ClusterError> {
    let namespaces = Api::<Namespace>::all(there.admin.clone());
    let labelled = ListParams::default().labels(RUN_LABEL);
    let list = async || {
        let all = pages(labelled.clone(), async |page| namespaces.list_metadata(page).await).await;
        Ok(all?)
    };
    let all = there.patience.asks(list).await?;
    Ok(all.into_iter().filter_map(found_of).collect())
}

/// A namespace, if it is a run's. The label alone does not make it one, nor does the name.
fn found_of(namespace: PartialObjectMeta<Namespace>) -> Option<Found> {
    let metadata = namespace.metadata;
    let run = metadata.labels?.remove(RUN_LABEL)?;
    let (name, uid) = (metadata.name?, metadata.uid?);
    let is_named = name.strip_prefix(&namespace_prefix(&run)).is_some_and(|it| it.starts_with('-'));
    is_named.then_some(Found { run, name, uid })
}

/// Deletes a namespace and waits until it is gone.
async fn delete(there: &There, found: Found) -> Result<(), ClusterError> {
    let namespaces = Api::<Namespace>::all(there.admin.clone());
    let waited = TERMINATING.saturating_add(there.patience.pace.waiting(REQUESTS));
    let still_there = |state| ClusterError::StillThere { name: found.name.clone(), waited, state };
    let mut is_told = false;
    let mut deleting = async || {
        if !is_told {
            tell_to_go(&namespaces, &found).await?;
            is_told = true;
        }
        let gone = await_condition(namespaces.clone(), &found.name, is_deleted(&found.uid)).await;
        // A watch may end, or not be allowed: whether it is there can be asked as well.
        match gone.is_err() {
            true => state(&namespaces, &found).await?.map_or(Ok(()), |it| Err(still_there(it))),
            false => Ok(()),
        }
    };
    let last = match poll::until(waited, async || there.patience.settled(deleting().await)).await {
        Ok(settled) => return settled,
        Err(last) => last,
    };
    match last.filter(|_| !is_told) {
        Some(error) => Err(error),
        None => match state(&namespaces, &found).await {
            Ok(None) => Ok(()),
            Ok(Some(state)) => Err(still_there(state)),
            Err(error) => Err(still_there(format!("what keeps it cannot be read: {error}"))),
        },
    }
}

/// Has a namespace deleted. One that is gone, or whose name another one has now, is no error.
async fn tell_to_go(namespaces: &Api<Namespace>, found: &Found) -> Result<(), ClusterError> {
    let precondition = Preconditions { uid: Some(found.uid.clone()), resource_version: None };
    let parameters = DeleteParams::background().preconditions(precondition);
    match namespaces.delete(&found.name, &parameters).await {
        Err(error) if is_overtaken(&error) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// What keeps a namespace, in the words of its conditions; `None` if it is gone. It is read from a list, which finding
/// what is to be removed takes as well.
async fn state(
    namespaces: &Api<Namespace>,
    Found { name, uid, .. }: &Found,
) -> Result<Option<String>, ClusterError> {
    let of_name = ListParams::default().fields(&format!("metadata.name={name}")).limit(1);
    let listed = namespaces.list(&of_name).await?;
    let found = listed.items.into_iter().find(|it| it.metadata.uid.as_ref() == Some(uid));
    Ok(found.map(|namespace| {
        let conditions = namespace.status.and_then(|status| status.conditions).unwrap_or_default();
        let words: Vec<String> = conditions.into_iter().filter_map(|it| it.message).collect();
        words.join("; ")
    }))
}

impl Patience {
    /// Asks again, as long as [`TERMINATING`], where what hinders may pass: one refused connection must not leave all
    /// that a run has made.
    async fn asks<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        let mut asking = async || self.settled(ask().await);
        // However long the first answer takes: it tells why.
        let first = match asking().await {
            Ok(settled) => return settled,
            Err(error) => error,
        };
        let patience = TERMINATING.saturating_add(self.pace.waiting(1));
        poll::until(patience, asking).await.unwrap_or_else(|last| Err(last.unwrap_or(first)))
    }

    /// What came of a question.
    ///
    /// # Errors
    /// What may be otherwise the next time.
    fn settled<T>(
        &self,
        answer: Result<T, ClusterError>,
    ) -> Result<Result<T, ClusterError>, ClusterError> {
        match answer {
            Err(error) if self.may_pass(&error) => Err(error),
            settled => Ok(settled),
        }
    }

    /// Whether the same question may be answered otherwise a moment later.
    fn may_pass(&self, error: &ClusterError) -> bool {
        use kube::Error::{Api, HyperError, ReadEvents, SerdeError, Service};
        match error {
            ClusterError::Api(Api(status)) if status.code == 403 => self.with_refusals,
            // Which cluster it is was to be read once.
            ClusterError::Untold { .. } => self.with_refusals,
            ClusterError::Api(Api(status)) => status.code == 429 || status.code >= 500,
            ClusterError::Api(Service(cause)) if is_without_credentials(cause) => false,
            // What is no answer of an API server is one of something before it.
            ClusterError::Api(Service(_) | HyperError(_) | ReadEvents(_) | SerdeError(_))
            | ClusterError::StillThere { .. } => true,
            _ => false,
        }
    }
}

impl There {
    /// Whether it is the cluster of a run.
    ///
    /// # Errors
    /// When it does not tell which one it is, at the address of the run's.
    fn is_of(&self, mark: &Mark) -> Result<bool, ClusterError> {
        match &self.uid {
            Some(uid) if *uid == mark.identity => Ok(true),
            // Which one it is was not to be read when the run began.
            _ if self.server == mark.identity => Ok(true),
            Some(_) => Ok(false),
            None if self.server == mark.server => {
                Err(ClusterError::Untold { server: self.server.clone() })
            }
            None => Ok(false),
        }
    }
}

impl Way {
    async fn there(&self, patience: &Patience) -> Result<There, ClusterError> {
        // Whoever has made something there may remove it there, whatever its name looks like.
        let config = self.config_allowed().await.map_err(Box::new)?;
        let server = without_credentials(&config.cluster_url.to_string());
        let admin = client(config, &patience.pace).await?;
        let uid = uid(&admin).await?;
        Ok(There { admin, patience: patience.clone(), uid, server })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;

    fn status(code: u16) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "no", "code": code,
        })
    }

    /// The one namespace of a run, on a cluster that answers each sort of request with such codes first, and on which
    /// it goes or stays. Whoever asks has the rights that are printed: none to get one. Watches are cut.
    fn there(list: &[u16], delete: &[u16], goes: bool) -> There {
        let troubles = [list, delete].map(|codes| Vec::from(codes).into_iter());
        let state = Arc::new(Mutex::new((troubles, false)));
        let answer = tower::service_fn(move |request: Request<Body>| {
            let mut state = state.lock().expect("unharmed");
            let ([list, delete], is_gone) = &mut *state;
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": "brinell-k7f3-app", "uid": "u", "labels": {RUN_LABEL: "k7f3"}},
                "status": {"conditions": [
                    {"type": "Stays", "status": "True", "message": "example.com/theirs"},
                ]},
            });
            let (code, body) = if *request.method() == Method::DELETE {
                match delete.next() {
                    Some(code) => (code, status(code)),
                    None => {
                        *is_gone = goes;
                        (200, namespace)
                    }
                }
            } else if is_watch {
                (503, status(503))
            } else if request.uri().path() == "/api/v1/namespaces" {
                let items = if *is_gone { vec![] } else { vec![namespace] };
                let found = json!({
                    "apiVersion": "v1", "kind": "NamespaceList",
                    "metadata": {"resourceVersion": "1"}, "items": items,
                });
                list.next().map_or((200, found), |code| (code, status(code)))
            } else {
                (403, status(403))
            };
            let body = Body::from(body.to_string().into_bytes());
            let answer = Response::builder().status(code).body(body).expect("built");
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let admin = Client::new(answer, "default");
        let patience = Patience { pace: Pace::free(), with_refusals: false };
        There { admin, patience, uid: None, server: String::new() }
    }

    /// What [`there`] returns, of a run that ends.
    fn made(list: &[u16], delete: &[u16]) -> There {
        let there = there(list, delete, true);
        There { patience: Patience { with_refusals: true, ..there.patience }, ..there }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_for_a_moment_leave_nothing() {
        let there = there(&[503, 429], &[500, 504, 429], true);
        let gone = remove_namespaces(&there, "k7f3").await.expect("it goes");
        assert_eq!(gone, BTreeSet::from(["brinell-k7f3-app".to_owned()]));
        assert!(all(&there).await.expect("listed").is_empty());
    }

    #[tokio::test]
    async fn a_namespace_without_use_goes_and_is_written_down_and_nobody_elses() {
        let folder = tempfile::tempdir().expect("a folder");
        let released = async |run: &str, name: &str, there: &There| {
            release(&there.admin, &Outside::new(run, folder.path()), run, name).await;
            let is_gone = all(there).await.expect("listed").is_empty();
            (is_gone, outside::lines::<Vec<String>>(folder.path(), RELEASED).expect("readable"))
        };
        for (run, delete) in [("k7f3", &[500][..]), ("other", &[])] {
            let kept = released(run, "brinell-k7f3-app", &there(&[], delete, true)).await;
            assert_eq!(kept, (false, Vec::new()), "{run}");
        }
        let gone = released("k7f3", "brinell-k7f3-app", &there(&[], &[], true)).await;
        assert_eq!(gone, (true, vec!["brinell-k7f3-app".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_change_ends_it_at_once() {
        for code in [401, 403] {
            for (list, delete) in [(&[code; 2][..], &[][..]), (&[], &[code; 2])] {
                let began = Instant::now();
                let refused = remove_namespaces(&there(list, delete, true), "k7f3").await;
                let refused = refused.expect_err("refused").to_string();
                assert!(refused.contains(&format!("({code})")), "{refused}");
                assert_eq!(began.elapsed(), Duration::ZERO);
            }
        }
    }

    /// Whoever made it is refused by API servers that are starting, and by no others.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_whoever_made_it_passes() {
        for (list, delete) in [(&[403; 3][..], &[][..]), (&[], &[403; 3])] {
            let gone = remove_namespaces(&made(list, delete), "k7f3").await.expect("it goes");
            assert_eq!(gone, BTreeSet::from(["brinell-k7f3-app".to_owned()]));
        }
        let refused = remove_namespaces(&made(&[401], &[]), "k7f3").await.expect_err("refused");
        assert!(refused.to_string().contains("(401)"), "{refused}");
    }

    /// Whoever has the rights that are printed may not get a namespace.
    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_stays_is_told_with_what_keeps_it() {
        let stays = remove_namespaces(&there(&[], &[], false), "k7f3").await;
        let stays = stays.expect_err("it stays").to_string();
        assert!(stays.contains("brinell-k7f3-app is not gone 120s"), "{stays}");
        assert!(stays.contains("example.com/theirs"), "{stays}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_never_has_time_is_given_up_in_the_end() {
        let never = [429; 10_000];
        for (list, delete) in [(&never[..], &[][..]), (&[], &never)] {
            let began = Instant::now();
            let why = remove_namespaces(&there(list, delete, true), "k7f3").await;
            let why = why.expect_err("nothing is known").to_string();
            assert!(why.contains("(429)"), "{why}");
            assert!(began.elapsed() >= TERMINATING && began.elapsed() < 2 * TERMINATING);
        }
    }

    /// Without the UID of kube-system another cluster may answer at an address that is known.
    #[tokio::test]
    async fn a_cluster_that_does_not_tell_which_it_is_is_not_taken_for_another() {
        let marked = |identity: &str, server: &str| {
            let (identity, server) = (identity.to_owned(), server.to_owned());
            Mark { way: Way::InCluster, identity, server, is_given: false }
        };
        let is = |uid: Option<&str>, mark: &Mark| {
            let there = There {
                uid: uid.map(str::to_owned),
                server: "a".to_owned(),
                ..there(&[], &[], true)
            };
            there.is_of(mark).map_err(|error| error.to_string())
        };
        assert_eq!(is(Some("u"), &marked("u", "b")), Ok(true));
        assert_eq!(is(Some("v"), &marked("u", "a")), Ok(false));
        assert_eq!(is(None, &marked("u", "b")), Ok(false));
        assert_eq!(is(None, &marked("a", "")), Ok(true));
        assert_eq!(is(Some("u"), &marked("a", "")), Ok(true));
        assert_eq!(is(Some("u"), &marked("b", "")), Ok(false));
        let untold = is(None, &marked("u", "a")).expect_err("it cannot be told");
        assert!(untold.contains("kube-system"), "{untold}");
    }

    /// Where nobody listens there is another kind of error than an answer is.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_refused_is_tried_again() {
        let mut left = 3;
        let patience = Patience { pace: Pace::free(), with_refusals: false };
        let asked = patience.asks(async || {
            left -= 1;
            match left {
                0 => Ok("there"),
                _ => Err(ClusterError::Api(kube::Error::Service("refused".into()))),
            }
        });
        assert_eq!(asked.await.expect("there at last"), "there");
    }
}
