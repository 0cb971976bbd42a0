//! What attempts make: stamped and written down before it is sent, looked for by its stamp, and removed by its UID.
//! What was there before has no such stamp and is never touched, whatever its name.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::http::{Content, metadata_only, plain, with_query};
use super::{ActionError, Attempt, mutation};
use crate::cluster::{Access, ClusterError, Outside, PAGE, Pace, is_overtaken};
use crate::lock::lock;
use crate::model::{ATTEMPT_LABEL, Answer, Effect, LeftOver, Method, RUN_LABEL, Sent};
use crate::text::encode;

/// How long the removal of an object may take beside the turns of its requests: a moment, where the API server answers.
const REMOVAL: Duration = Duration::from_secs(10);

/// How many requests it takes: one looks for the object, and one deletes it.
const REQUESTS: u32 = 2;

const SILENT: &str = "the API server did not answer";

/// What the attempts of one scenario may have made and not removed yet.
pub struct Ledger {
    admin: Client,
    /// How fast the admin asks.
    pace: Pace,
    run: String,
    unique: String,
    outside: Option<Arc<Outside>>,
    entries: Mutex<Vec<Entry>>,
}

/// An object that an attempt may make.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// The path of its collection.
    collection: String,
    /// Its name; `None` where the API server chooses it.
    name: Option<String>,
    /// What it is, for a person.
    what: String,
    /// The attempt's Audit-ID.
    attempt: String,
}

impl Ledger {
    /// An empty one. `id` is an id that nothing else in the run has, `outside` what is written down on an existing
    /// cluster.
    pub fn new(access: &Access, run: &str, id: &str, outside: Option<Arc<Outside>>) -> Self {
        Ledger {
            admin: access.admin.clone(),
            pace: access.pace.clone(),
            run: run.to_owned(),
            unique: format!("brinell-{id}"),
            outside,
            entries: Mutex::default(),
        }
    }

    /// What `${unique}` stands for: the same in every attempt of the scenario, and in no other scenario.
    pub fn unique(&self) -> &str {
        &self.unique
    }

    /// Stamps an object and writes it down as what this attempt may make in a collection.
    ///
    /// # Errors
    /// When it cannot be written down: then it must not be sent.
    pub(super) fn enter(
        &self,
        attempt: &str,
        collection: &str,
        object: &mut Value,
    ) -> Result<(), ActionError> {
        if let Some(labels) = labels(object) {
            labels[RUN_LABEL] = self.run.clone().into();
            labels[ATTEMPT_LABEL] = attempt.into();
        }
        let collection = plain(collection);
        self.enter_outside(collection)?;
        let name = object["metadata"]["name"].as_str().filter(|name| !name.is_empty());
        let kind = object["kind"].as_str().unwrap_or("object");
        self.entries().push(Entry {
            collection: collection.to_owned(),
            name: name.map(str::to_owned),
            what: format!("{kind} {}", name.unwrap_or("of a chosen name")),
            attempt: attempt.to_owned(),
        });
        Ok(())
    }

    /// Writes down that something with the run's label may be made in a collection, by whomever.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(super) fn enter_outside(&self, collection: &str) -> Result<(), ActionError> {
        let entered = self.outside.as_ref().map(|outside| outside.enter(collection));
        entered.unwrap_or(Ok(())).map_err(ActionError::Unwritten)
    }

    /// Writes down that what is at a path is somebody else's, whatever label it has.
    ///
    /// # Errors
    /// When it cannot be looked at or written down.
    pub(super) async fn spare(&self, path: &str) -> Result<(), ActionError> {
        let Some(outside) = &self.outside else { return Ok(()) };
        for uid in look(&self.admin, path).await?.into_iter().filter_map(|object| object.uid) {
            outside.spare(&uid).map_err(ClusterError::Folder)?;
        }
        Ok(())
    }

    /// Labels what others make for an attempt.
    pub(super) fn label(&self, template: &mut Value) {
        if let Some(labels) = labels(template) {
            labels[RUN_LABEL] = self.run.clone().into();
        }
    }

    /// Removes everything that is still written down, the latest first, and returns what may stay. An API server that
    /// does not answer is asked no more.
    pub async fn empty(&self) -> Vec<LeftOver> {
        let mut entries = std::mem::take(&mut *self.entries());
        entries.reverse();
        let (mut left, mut is_silent) = (Vec::new(), false);
        for entry in entries {
            let why = match is_silent {
                true => Some(SILENT.to_owned()),
                false => match timeout(REMOVAL + self.pace.waiting(REQUESTS), self.remove(&entry))
                    .await
                {
                    Ok(removed) => removed.err().map(|error| crate::text::api_words(&error)),
                    Err(_) => {
                        is_silent = true;
                        Some(SILENT.to_owned())
                    }
                },
            };
            left.extend(why.map(|why| LeftOver {
                words: format!("{} could not be removed: {why}", entry.what),
                attempt: entry.attempt,
            }));
        }
        left
    }

    /// Removes from the ledger what an attempt may have made.
    pub(super) fn strike(&self, attempt: &str) {
        self.entries().retain(|entry| entry.attempt != attempt);
    }

    fn of(&self, attempt: &str) -> Vec<Entry> {
        let entries = self.entries();
        entries.iter().filter(|entry| entry.attempt == attempt).cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.entries)
    }

    /// Those objects that carry the entry's stamp.
    async fn find(&self, entry: &Entry) -> Result<Vec<ObjectMeta>, kube::Error> {
        let uri = match &entry.name {
            Some(name) => format!("{}/{}", entry.collection, encode(name)),
            None => {
                format!("{}?labelSelector={}", entry.collection, encode(&selector(&entry.attempt)))
            }
        };
        let mut found = look(&self.admin, &uri).await?;
        found.retain(|object| is_stamped(object, &entry.attempt));
        Ok(found)
    }

    /// Reads an object that was found, and compares it with what was asked for.
    async fn compare(
        &self,
        entry: &Entry,
        object: &ObjectMeta,
        asked: &Value,
    ) -> Result<Effect, kube::Error> {
        let name = object.name.as_deref().unwrap_or_default();
        let request = http::Request::get(format!("{}/{}", entry.collection, encode(name)));
        let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
        match self.admin.request::<Value>(request).await {
            Ok(found) => Ok(mutation::effect(&entry.what, asked, &found)),
            // It was made and is gone: the garbage collector deletes an object whose owner does not exist.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Ok(Effect::Present(entry.what.clone()))
            }
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, entry: &Entry) -> Result<(), kube::Error> {
        for object in self.find(entry).await? {
            let name = object.name.unwrap_or_default();
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions",
                "gracePeriodSeconds": 0,
                "propagationPolicy": "Background",
                "preconditions": {"uid": object.uid},
            });
            let request = http::Request::delete(format!("{}/{}", entry.collection, encode(&name)))
                .header("Content-Type", "application/json")
                .body(options.to_string().into_bytes());
            match self.admin.request::<Value>(request.map_err(kube::Error::HttpError)?).await {
                Err(error) if is_overtaken(&error) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

/// Finds what carries the stamp of an attempt.
pub(super) fn selector(attempt: &str) -> String {
    format!("{ATTEMPT_LABEL}={attempt}")
}

fn is_stamped(object: &ObjectMeta, attempt: &str) -> bool {
    object.labels.iter().flatten().any(|(key, value)| key == ATTEMPT_LABEL && value == attempt)
}

/// An object's labels, made where it has none; `None` where its form allows none.
fn labels(object: &mut Value) -> Option<&mut Value> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
    let labels = metadata.as_object_mut()?.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    labels.is_object().then_some(labels)
}

/// What is at a path, an object or a collection, without its contents.
pub(super) async fn look(admin: &Client, uri: &str) -> Result<Vec<ObjectMeta>, kube::Error> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let request = http::Request::get(page(uri, &token))
            .header("Accept", metadata_only(Method::Get, uri))
            .body(Vec::new())
            .map_err(kube::Error::HttpError)?;
        let Looked { metadata, items } = match admin.request::<Looked>(request).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            looked => looked?,
        };
        let Some(items) = items else {
            let object = serde_json::from_value(metadata).map_err(kube::Error::SerdeError)?;
            return Ok(vec![object]);
        };
        found.extend(items.into_iter().map(|item| item.metadata));
        match metadata["continue"].as_str().filter(|token| !token.is_empty()) {
            Some(next) => next.clone_into(&mut token),
            None => return Ok(found),
        }
    }
}

/// An object, or a page of a list.
#[derive(Deserialize)]
struct Looked {
    metadata: Value,
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: ObjectMeta,
}

/// Where the page of a list is that a token leads to. An object has none, and takes no notice.
fn page(uri: &str, token: &str) -> String {
    with_query(uri, &format!("limit={PAGE}&continue={}", encode(token)))
}

impl Attempt<'_> {
    /// Sends the creation of an object, which [`Attempt::made`] looks for afterwards.
    pub(super) async fn create(
        &self,
        collection: &str,
        mut object: Value,
    ) -> Result<(Sent, Answer), ActionError> {
        self.ledger.enter(self.audit_id, collection, &mut object)?;
        let content = Content::json("application/json", &object);
        Ok(self.ask(Method::Post, collection, Some(content)).await)
    }

    /// What is there of what this attempt may have made, and whether it is as it was `asked` for. It goes at once,
    /// unless it is to stay.
    pub(super) async fn made(&self, answer: &Answer, asked: &Value) -> Result<Effect, ActionError> {
        let mut effect = Effect::Absent;
        for entry in self.ledger.of(self.audit_id) {
            let found = self.ledger.find(&entry).await?;
            if let Some(object) = found.first() {
                effect = match asked {
                    Value::Null => Effect::Present(entry.what.clone()),
                    _ => self.ledger.compare(&entry, object, asked).await?,
                };
                if !self.stays {
                    self.ledger.remove(&entry).await?;
                }
            }
        }
        // A request without an answer may still be carried out.
        let over = effect == Effect::Absent || !self.stays;
        if over && !matches!(answer, Answer::Nothing(_)) {
            self.ledger.strike(self.audit_id);
        }
        Ok(effect)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use tokio::time::Instant;

    use super::*;

    /// A ledger with so many entries of an attempt, at a pace, and how many requests were sent. What is asked for is
    /// there, unless nothing is answered.
    fn ledger(count: usize, pace: &Pace, is_silent: bool) -> (Ledger, Arc<AtomicUsize>) {
        let (asked, taking) = (Arc::new(AtomicUsize::new(0)), pace.clone());
        let sent = Arc::clone(&asked);
        let answer = tower::service_fn(move |_: Request<Body>| {
            let (sent, pace) = (Arc::clone(&sent), taking.clone());
            async move {
                pace.turn().await;
                sent.fetch_add(1, Ordering::Relaxed);
                if is_silent {
                    std::future::pending::<()>().await;
                }
                let found = json!({"metadata": {"name": "a", "uid": "u", "labels": {ATTEMPT_LABEL: "k7f3-1"}}});
                Ok::<_, Infallible>(Response::new(Body::from(found.to_string().into_bytes())))
            }
        });
        let entry = Entry {
            collection: "/api/v1/namespaces/a/pods".to_owned(),
            name: Some("a".to_owned()),
            what: "Pod a".to_owned(),
            attempt: "k7f3-1".to_owned(),
        };
        let ledger = Ledger {
            admin: Client::new(answer, "default"),
            pace: pace.clone(),
            run: "k7f3".to_owned(),
            unique: "brinell-k7f3".to_owned(),
            outside: None,
            entries: Mutex::new(vec![entry; count]),
        };
        (ledger, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn however_slowly_a_cluster_is_asked_all_of_it_is_removed() {
        let pace = Pace::of(1);
        let (ledger, asked) = ledger(10, &pace, false);
        // Others ask as well, all the time.
        let others = async {
            loop {
                futures::future::join_all((0..8).map(|_| pace.turn())).await;
            }
        };
        let left = tokio::select! {
            left = ledger.empty() => left,
            () = others => unreachable!("they go on"),
        };
        assert_eq!((left.len(), asked.load(Ordering::Relaxed)), (0, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_is_asked_no_more() {
        let (ledger, asked) = ledger(10, &Pace::free(), true);
        let started = Instant::now();
        let left = ledger.empty().await;
        assert_eq!((left.len(), asked.load(Ordering::Relaxed)), (10, 1));
        assert!(left.iter().all(|it| it.words == format!("Pod a could not be removed: {SILENT}")));
        assert_eq!(started.elapsed(), REMOVAL);
    }

    #[test]
    fn a_stamp_lies_beside_the_labels_that_are_there() {
        for (object, own) in [
            (json!({"metadata": {"labels": {"app": "a"}}}), json!({"app": "a"})),
            (json!({"metadata": {"labels": null}}), json!({})),
            (json!({"kind": "Pod"}), json!({})),
        ] {
            let mut stamped = object;
            labels(&mut stamped).expect("labels")[ATTEMPT_LABEL] = "k7f3-1".into();
            let mut expected = own;
            expected[ATTEMPT_LABEL] = "k7f3-1".into();
            assert_eq!(stamped["metadata"]["labels"], expected);
        }
        assert_eq!(labels(&mut json!({"metadata": 3})), None);
        assert_eq!(labels(&mut json!([1])), None);
    }

    #[test]
    fn the_stamp_of_one_attempt_is_no_other_attempts() {
        let stamped = |attempt: &str| ObjectMeta {
            labels: Some([(ATTEMPT_LABEL.to_owned(), attempt.to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert!(is_stamped(&stamped("k7f3-1"), "k7f3-1"));
        assert!(!is_stamped(&stamped("k7f3-12"), "k7f3-1"));
        assert!(!is_stamped(&ObjectMeta::default(), "k7f3-1"));
    }
}
