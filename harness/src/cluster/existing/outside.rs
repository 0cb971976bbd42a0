//! What a run makes on an existing cluster outside of namespaces of its own. The collection that it goes into is written
//! down before it is made; in the end what carries the run's label there is removed by its UID, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::{ObjectList, PartialObjectMeta, Request};

use super::namespace_prefix;
use super::removal::TERMINATING;
use crate::cluster::{ClusterError, RUN_LABEL, RunFolder, pages};
use crate::poll;
use crate::text::{api_words, first_of};

/// The file in a run's folder that holds the paths of such collections, one a line.
const FILE: &str = "outside";

/// How many objects are told of those that stay.
const TOLD: usize = 5;

/// The collections in which a run may have made something.
pub struct Outside {
    /// What the paths in its own namespaces have in common.
    own: String,
    file: PathBuf,
    known: Mutex<BTreeSet<String>>,
}

impl Outside {
    /// None yet.
    pub(super) fn new(run: &str, folder: &RunFolder) -> Outside {
        let own = format!("/namespaces/{}-", namespace_prefix(run));
        Outside { own, file: folder.file(FILE), known: Mutex::default() }
    }

    /// Writes down that something may be made in a collection. One in a namespace of the run's own goes with it.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be made there.
    pub fn enter(&self, collection: &str) -> io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if collection.contains(&self.own) || known.contains(collection) {
            return Ok(());
        }
        let mut file = File::options().create(true).append(true).mode(0o600).open(&self.file)?;
        writeln!(file, "{collection}")?;
        file.sync_data()?;
        known.insert(collection.to_owned());
        Ok(())
    }
}

/// The collections that a run has written down.
fn collections(folder: &RunFolder) -> Result<Vec<String>, ClusterError> {
    match std::fs::read_to_string(folder.file(FILE)) {
        // After what is not ended by a line break nothing was sent.
        Ok(text) => {
            let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            Ok(whole.map(str::to_owned).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(ClusterError::Folder(error)),
    }
}

/// Removes what a run has made in them, and waits until it is gone. Returns how many objects that were.
///
/// # Errors
/// When they cannot be read, or something stays.
pub(super) async fn remove(
    admin: &Client,
    run: &str,
    folder: &RunFolder,
) -> Result<usize, ClusterError> {
    let collections = collections(folder)?;
    let mut deleted = BTreeMap::new();
    let removing = async || match delete_all(admin, run, &collections, &mut deleted).await {
        Ok(stays) if !stays.is_empty() => Err(stays),
        done => Ok(done),
    };
    match poll::until(TERMINATING, removing).await {
        Ok(done) => drop(done?),
        Err(stays) => {
            let what = first_of(&stays.unwrap_or_default(), TOLD);
            return Err(ClusterError::NotRemoved { what, waited: TERMINATING });
        }
    }
    Ok(deleted.len())
}

/// Deletes each object once, and returns those that are still there, each with why it may not be deleted. What a
/// controller made goes with what it was made for.
async fn delete_all(
    admin: &Client,
    run: &str,
    collections: &[String],
    deleted: &mut BTreeMap<Option<String>, String>,
) -> Result<Vec<String>, kube::Error> {
    let mut stays = Vec::new();
    for collection in collections {
        for object in labelled(admin, collection, run).await? {
            let uid = object.uid.clone();
            if !deleted.contains_key(&uid) {
                let told = delete(admin, collection, object).await?;
                deleted.insert(uid.clone(), told);
            }
            stays.push(deleted[&uid].clone());
        }
    }
    Ok(stays)
}

/// The objects of a collection that carry a run's label; none where its kind is not there any more.
async fn labelled(
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
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        found => Ok(found?.into_iter().map(|it| it.metadata).collect()),
    }
}

/// Deletes an object. Returns its path, with why it may not be deleted.
async fn delete(
    admin: &Client,
    collection: &str,
    object: ObjectMeta,
) -> Result<String, kube::Error> {
    let precondition = Preconditions { uid: object.uid, resource_version: None };
    let parameters = DeleteParams::background().grace_period(0).preconditions(precondition);
    let name = object.name.unwrap_or_default();
    let delete = Request::new(collection).delete(&name, &parameters);
    match admin.request_text(delete.map_err(kube::Error::BuildRequest)?).await {
        // It is gone, or what has its name now is another one.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
        Err(error @ kube::Error::Api(_)) => {
            return Ok(format!("{collection}/{name} ({})", api_words(&error)));
        }
        deleted => drop(deleted?),
    }
    Ok(format!("{collection}/{name}"))
}
