//! What a run makes on an existing cluster outside of namespaces of its own. The collection that it goes into is
//! written down before it is made; in the end what carries the run's label there is removed by its UID, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::{ObjectList, PartialObjectMeta, Request};

use super::removal::TERMINATING;
use super::{AT_A_TIME, namespace_prefix};
use crate::cluster::abreast::abreast;
use crate::cluster::{ClusterError, Pace, RunFolder, is_overtaken, pages};
use crate::lock::lock;
use crate::model::RUN_LABEL;
use crate::poll;
use crate::text::{api_words, first_of};

/// The file in a run's folder that holds the paths of such collections, one a line.
const FILE: &str = "outside";

/// The file there that holds the UIDs of objects which carry the run's label and are somebody else's, one a line.
const THEIRS: &str = "theirs";

/// The file there that holds the names of the run's own namespaces that were deleted before its end, one a line.
pub(super) const RELEASED: &str = "released";

/// How many objects are told of those that stay.
const TOLD: usize = 5;

/// The collections in which a run may have made something.
pub struct Outside {
    /// What the paths in its own namespaces have in common.
    own: String,
    folder: PathBuf,
    known: Mutex<BTreeSet<String>>,
}

impl Outside {
    /// None yet.
    pub fn new(run: &str, folder: &Path) -> Outside {
        let own = format!("/namespaces/{}-", namespace_prefix(run));
        Outside { own, folder: folder.to_owned(), known: Mutex::default() }
    }

    /// Writes down that something may be made in a collection. One in a namespace of the run's own goes with it.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be made there.
    pub fn enter(&self, collection: &str) -> io::Result<()> {
        let mut known = lock(&self.known);
        if collection.contains(&self.own) || known.contains(collection) {
            return Ok(());
        }
        self.append(FILE, collection)?;
        known.insert(collection.to_owned());
        Ok(())
    }

    /// Writes down that an object with the run's label is somebody else's: it is never removed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn spare(&self, uid: &str) -> io::Result<()> {
        self.append(THEIRS, uid)
    }

    /// Writes down that a namespace of the run's own was deleted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn released(&self, name: &str) -> io::Result<()> {
        self.append(RELEASED, name)
    }

    /// Writes down a line that lasts, and so does the file's name.
    fn append(&self, name: &str, line: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let is_new = !path.exists();
        let mut file = File::options().create(true).append(true).mode(0o600).open(path)?;
        // One piece, on a line of its own even after a piece that was written in part.
        file.write_all(format!("\n{line}\n").as_bytes())?;
        file.sync_data()?;
        if is_new {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// The lines that a run has written down in a file of its folder.
pub(super) fn lines<T: FromIterator<String>>(folder: &Path, name: &str) -> Result<T, ClusterError> {
    match std::fs::read_to_string(folder.join(name)) {
        // After what is not ended by a line break nothing was sent.
        Ok(text) => {
            let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            Ok(whole.filter(|line| !line.is_empty()).map(str::to_owned).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::from_iter([])),
        Err(error) => Err(ClusterError::Folder(error)),
    }
}

/// Removes what a run has made outside of its own namespaces, and waits until it is gone. Returns how many objects that
/// were, and how many objects with the run's label are somebody else's.
///
/// # Errors
/// When they cannot be read, or something stays.
pub(super) async fn remove(
    admin: &Client,
    pace: &Pace,
    run: &str,
    folder: &RunFolder,
) -> Result<(usize, usize), ClusterError> {
    let collections: Vec<String> = lines(folder.path(), FILE)?;
    let theirs: BTreeSet<String> = lines(folder.path(), THEIRS)?;
    let removed = remove_from(admin, pace, run, &collections, &theirs).await?;
    Ok((removed, theirs.len()))
}

/// Removes what a run has made in these collections, and waits until it is gone. Returns how many objects that were.
///
/// # Errors
/// When something stays.
pub(super) async fn remove_from(
    admin: &Client,
    pace: &Pace,
    run: &str,
    collections: &[String],
    theirs: &BTreeSet<String>,
) -> Result<usize, ClusterError> {
    let mut deleted = BTreeMap::new();
    let mut removing =
        async || match delete_all(admin, run, collections, theirs, &mut deleted).await {
            stays if stays.is_empty() => Ok(()),
            stays => Err(stays),
        };
    // Until all of it was told to go, each request waits for its turn. What has not gone at once has so long then,
    // beside the turns that it takes to look once.
    let Err(first) = removing().await else { return Ok(deleted.len()) };
    let looking = u32::try_from(collections.len()).unwrap_or(u32::MAX);
    let waited = TERMINATING.saturating_add(pace.waiting(looking));
    let removed = poll::until(waited, removing).await;
    removed.map(|()| deleted.len()).map_err(|stays| {
        let what = first_of(&stays.unwrap_or(first), TOLD);
        ClusterError::NotRemoved { what, waited }
    })
}

/// What was seen of a collection when it was told to go.
struct Looked {
    /// What is still there, each with why it may not be deleted; or why it cannot be told what is there.
    stays: Vec<String>,
    /// What was deleted now, by its UID.
    deleted: Vec<(Option<String>, String)>,
    /// Whether the cluster answers.
    answers: bool,
}

/// Deletes each object once, collections side by side. Returns those that are still there, each with why it may not be
/// deleted, and those collections that do not tell what is in them: one of these keeps none of the others. A cluster
/// that does not answer is asked no further. What a controller made goes with what it was made for.
async fn delete_all(
    admin: &Client,
    run: &str,
    collections: &[String],
    theirs: &BTreeSet<String>,
    deleted: &mut BTreeMap<Option<String>, String>,
) -> Vec<String> {
    let known = &*deleted;
    let looking = collections.iter().map(|it| delete_in(admin, run, it, theirs, known));
    let looked = abreast(AT_A_TIME, looking, |looked| !looked.answers).await;
    let mut stays = Vec::new();
    for looked in looked {
        stays.extend(looked.stays);
        deleted.extend(looked.deleted);
    }
    stays
}

/// Deletes what is in a collection and is not among what was `known` to be deleted before.
async fn delete_in(
    admin: &Client,
    run: &str,
    collection: &str,
    theirs: &BTreeSet<String>,
    known: &BTreeMap<Option<String>, String>,
) -> Looked {
    let mut looked = Looked { stays: Vec::new(), deleted: Vec::new(), answers: true };
    let objects = match labelled(admin, collection, run).await {
        Ok(objects) => objects,
        Err(error) => {
            looked.stays.push(format!("what is in {collection} ({})", api_words(&error)));
            looked.answers = is_answer(&error);
            return looked;
        }
    };
    let is_ours = |object: &ObjectMeta| object.uid.as_ref().is_none_or(|it| !theirs.contains(it));
    for object in objects.into_iter().filter(is_ours) {
        if let Some(told) = known.get(&object.uid) {
            looked.stays.push(told.clone());
            continue;
        }
        let uid = object.uid.clone();
        let path = format!("{collection}/{}", object.name.as_deref().unwrap_or_default());
        match delete(admin, collection, object).await {
            Ok(refused) => {
                let told = refused.map_or(path.clone(), |why| format!("{path} ({why})"));
                looked.stays.push(told.clone());
                looked.deleted.push((uid, told));
            }
            Err(error) => {
                looked.stays.push(format!("{path} ({})", api_words(&error)));
                looked.answers = is_answer(&error);
                if !looked.answers {
                    break;
                }
            }
        }
    }
    looked
}

/// The objects of a collection that carry a run's label; none where its kind is not there any more.
pub(super) async fn labelled(
    admin: &Client,
    collection: &str,
    run: &str,
) -> Result<Vec<ObjectMeta>, kube::Error> {
    type Listed = ObjectList<PartialObjectMeta<DynamicObject>>;
    let labelled = ListParams::default().labels(&format!("{RUN_LABEL}={run}"));
    let read = async |page: &ListParams| {
        let list =
            Request::new(collection).list_metadata(page).map_err(kube::Error::BuildRequest)?;
        admin.request::<Listed>(list).await
    };
    match pages(labelled, read).await {
        // What has no list is not stored.
        Err(kube::Error::Api(status)) if [404, 405].contains(&status.code) => Ok(Vec::new()),
        found => Ok(found?.into_iter().map(|it| it.metadata).collect()),
    }
}

/// Deletes an object. Returns why it may not be deleted, if so.
///
/// # Errors
/// When it is worth to ask again.
async fn delete(
    admin: &Client,
    collection: &str,
    object: ObjectMeta,
) -> Result<Option<String>, kube::Error> {
    let precondition = Preconditions { uid: object.uid, resource_version: None };
    let parameters = DeleteParams::background().grace_period(0).preconditions(precondition);
    let name = object.name.unwrap_or_default();
    let delete = Request::new(collection).delete(&name, &parameters);
    match admin.request_text(delete.map_err(kube::Error::BuildRequest)?).await {
        Err(error) if is_overtaken(&error) => Ok(None),
        // An API server that is starting refuses everybody, by 403.
        Err(kube::Error::Api(status))
            if status.code < 500 && ![403, 429].contains(&status.code) =>
        {
            Ok(Some(api_words(&kube::Error::Api(status))))
        }
        Err(error) => Err(error),
        Ok(_) => Ok(None),
    }
}

/// Whether the cluster has answered, if only something that is not understood.
fn is_answer(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(_) | kube::Error::SerdeError(_))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    /// Every collection has an object until it was deleted.
    #[tokio::test(start_paused = true)]
    async fn what_was_made_in_many_places_is_removed_however_slowly_the_cluster_is_asked() {
        let pace = Pace::of(1);
        let deleted = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
        let turns = pace.clone();
        let answer = tower::service_fn(move |request: Request<Body>| {
            let (turns, deleted) = (turns.clone(), std::sync::Arc::clone(&deleted));
            async move {
                turns.turn().await;
                let place = request.uri().path().trim_end_matches("/one").to_owned();
                let mut deleted = deleted.lock().expect("unharmed");
                let answer = match *request.method() == Method::DELETE {
                    true => json!({"kind": "Status", "gone": deleted.insert(place)}),
                    false => {
                        let object = json!({"metadata": {"name": "one", "uid": place}});
                        let items = if deleted.contains(&place) { vec![] } else { vec![object] };
                        json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
                    }
                };
                Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
            }
        });
        let admin = Client::new(answer, "default");
        let places: Vec<String> =
            (0..200).map(|place| format!("/api/v1/namespaces/a-{place}/pods")).collect();
        let removed = remove_from(&admin, &pace, "k7f3", &places, &BTreeSet::new()).await;
        let removed = removed.expect("all of it goes");
        assert_eq!((removed, pace.sent()), (200, 600));
    }

    /// Somebody has made it at the moment at which an attempt was sent that was to make it.
    #[tokio::test(start_paused = true)]
    async fn what_carries_our_label_and_is_somebody_elses_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = Outside::new("k7f3", folder.path());
        outside.enter("/api/v1/namespaces/a/pods").expect("written");
        outside.spare("theirs").expect("written");
        let (collections, theirs): (Vec<String>, BTreeSet<String>) = (
            lines(folder.path(), FILE).expect("readable"),
            lines(folder.path(), THEIRS).expect("readable"),
        );
        let left = std::sync::Arc::new(Mutex::new(vec!["ours", "theirs"]));
        let there = std::sync::Arc::clone(&left);
        let answer = tower::service_fn(move |request: Request<Body>| {
            let mut there = there.lock().expect("unharmed");
            if *request.method() == Method::DELETE {
                there.retain(|name| !request.uri().path().ends_with(name));
            }
            let items: Vec<_> =
                there.iter().map(|it| json!({"metadata": {"name": it, "uid": it}})).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
            let body = Body::from(list.to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let admin = Client::new(answer, "default");
        let removed = remove_from(&admin, &Pace::free(), "k7f3", &collections, &theirs).await;
        assert_eq!(removed.expect("what is ours goes"), 1);
        assert_eq!(*left.lock().expect("unharmed"), ["theirs"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_does_not_answer_is_not_asked_for_each_place() {
        let silent = tower::service_fn(async |_: Request<Body>| {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Err::<Response<Body>, _>(io::Error::from(io::ErrorKind::TimedOut))
        });
        let admin = Client::new(silent, "default");
        let places: Vec<String> =
            (0..100).map(|place| format!("/api/v1/namespaces/a-{place}/pods")).collect();
        let began = Instant::now();
        let none = BTreeSet::new();
        let stays = remove_from(&admin, &Pace::free(), "k7f3", &places, &none).await;
        assert!(began.elapsed() <= Duration::from_secs(60) + TERMINATING, "{:?}", began.elapsed());
        let told = stays.expect_err("nothing is known to be gone").to_string();
        assert!(
            told.contains("what is in /api/v1/namespaces/a-0/pods (") && !told.contains("a-4"),
            "{told}"
        );
    }
}
