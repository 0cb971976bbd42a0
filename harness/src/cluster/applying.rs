//! Applying Kubernetes objects: those of controls and of targets, each with the run's label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, pinned_kind};
use kube::runtime::wait::await_condition;
use kube::runtime::wait::conditions::is_crd_established;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::catalog::{Document, Values, identity, is_kept_as_changed};
use crate::cluster::abreast::abreast;
use crate::cluster::{ClusterError, Outside, PullCredentials};
use crate::model::{RUN_LABEL, is_built_in};
use crate::text::{api_words, encode};

/// Who the API server says made the objects.
const FIELD_MANAGER: &str = "brinell";

/// How long a kind that is defined may take until it can be used: the API server needs about a second.
const DEFINED: Duration = Duration::from_secs(30);

/// How many objects of somebody else's are applied at a time.
const AT_A_TIME: usize = 8;

/// An object could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The manifest is no object of Kubernetes.
    #[error("{file}: {message}")]
    Manifest {
        /// The file.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// The cluster does not know the kind.
    #[error(
        "{file}: this cluster has no {kind}; the CustomResourceDefinition of it belongs in `objects`"
    )]
    UnknownKind {
        /// The file.
        file: String,
        /// Group, version and kind.
        kind: String,
    },
    /// The cluster lacks what an object names.
    #[error(
        "{file}: {object} needs the {kind} `{name}`, which this cluster lacks and nothing makes: add it to \
         `objects`"
    )]
    Lacking {
        /// The file.
        file: String,
        /// Kind and name.
        object: String,
        /// The kind of what is lacking.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The API server refused it.
    #[error("{file}: {object} could not be applied or deleted: {words}")]
    Refused {
        /// The file.
        file: String,
        /// Kind and name.
        object: String,
        /// Whether it said so of this object, and would again.
        for_good: bool,
        /// Its answer.
        words: String,
    },
    /// A kind that was defined cannot be used.
    #[error("{file}: CustomResourceDefinition {name} was not established within {} s", DEFINED.as_secs())]
    NotEstablished {
        /// The file.
        file: String,
        /// Its name.
        name: String,
    },
    /// Something of another run is there already.
    #[error(
        "{place} holds something of run {run}: two runs cannot share a namespace; where that one is over, \
         `brinell sweep --context NAME --profile FILE {run}` removes it, with the profile of that run"
    )]
    Occupied {
        /// The collection.
        place: String,
        /// The run.
        run: String,
    },
    /// The cluster failed to do itself what it does in the place of the object.
    #[error("{file}: {source}")]
    Cluster {
        /// The file.
        file: String,
        /// Why not.
        source: ClusterError,
    },
}

/// What a cluster refuses to have made, in its words, by the object's identity.
pub type Refusals = BTreeMap<String, String>;

/// Where the Secret comes from with which nodes pull our image.
const PULL_SECRET: &str = "the profile's pull-secret";

/// What an API server says where a webhook would have to be asked that may do more than answer
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#side-effects>).
const NO_DRY_RUN: &str = "does not support dry run";

/// What a cluster does itself in the place of some objects.
pub trait StandIn: Send + Sync {
    /// Whether it takes the object's place. Such an object is not sent to the API server.
    fn replaces(&self, object: &Value) -> bool;

    /// Takes an object's place.
    ///
    /// # Errors
    /// When it cannot.
    fn take<'a>(&'a self, object: &'a Value) -> LocalBoxFuture<'a, Result<(), ClusterError>>;

    /// Ends what it did in the place of an object, because the object is deleted.
    fn release<'a>(&'a self, object: &'a Value) -> LocalBoxFuture<'a, ()>;

    /// Changes an object that is sent, so that it fits what the cluster does itself.
    fn adapt(&self, object: &mut Value);
}

/// Applies manifests to one cluster.
pub struct Applier {
    client: Client,
    stand_in: Option<Arc<dyn StandIn>>,
    discovery: Arc<Discovery>,
    values: Values,
    pull: Option<PullCredentials>,
    outside: Option<Arc<Outside>>,
}

impl Applier {
    /// Learns what kinds the cluster has.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn new(
        client: Client,
        stand_in: Option<Arc<dyn StandIn>>,
        values: Values,
    ) -> Result<Self, kube::Error> {
        let discovery = Arc::new(Discovery::new(client.clone()).run_aggregated().await?);
        Ok(Applier { client, stand_in, discovery, values, pull: None, outside: None })
    }

    /// This applier on an existing cluster: with credentials for a registry, by which pods of ours get their image, and
    /// with where it is written down what is made outside of our own namespaces.
    pub fn visiting(self, pull: Option<PullCredentials>, outside: Arc<Outside>) -> Self {
        Applier { pull, outside: Some(outside), ..self }
    }

    /// This applier by another way in to the same cluster.
    pub fn through(&self, client: Client) -> Self {
        Applier {
            client,
            stand_in: self.stand_in.clone(),
            discovery: Arc::clone(&self.discovery),
            values: self.values.clone(),
            pull: self.pull.clone(),
            outside: self.outside.clone(),
        }
    }

    /// Applies every object, in this order.
    ///
    /// # Errors
    /// When the cluster does not know its kind, or refuses it.
    pub async fn apply(&self, documents: &[Document]) -> Result<(), ApplyError> {
        for Document { file, object } in documents {
            let mut object = self.values.fill_object(object);
            label(&mut object, &self.values.run);
            self.pull.iter().for_each(|pull| pull.give(&mut object));
            match &self.stand_in {
                Some(stand_in) if stand_in.replaces(&object) => stand_in
                    .take(&object)
                    .await
                    .map_err(|source| ApplyError::Cluster { file: file.clone(), source })?,
                stand_in => {
                    stand_in.iter().for_each(|it| it.adapt(&mut object));
                    self.apply_object(file, &object).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes every object, in this order and those of one kind side by side, where nothing has its name: what is there
    /// is never changed. Pods of namespaces that are there already have credentials for a registry brought there first.
    /// Returns what this cluster refuses, which takes with it what is in a namespace that is refused.
    ///
    /// # Errors
    /// When a name is taken, and when the API server does not answer.
    pub async fn create(
        &self,
        documents: &[Document],
        pulling: &BTreeSet<&str>,
    ) -> Result<Refusals, ApplyError> {
        let mut refusals = Refusals::new();
        for name in pulling {
            let why = refusal(self.bring_secret(name).await)?;
            refusals.extend(why.map(|why| (format!("Namespace/{name}"), why)));
        }
        for alike in documents.chunk_by(is_alike) {
            let making = alike.iter().map(async |Document { file, object }| {
                let place = object["metadata"]["namespace"].as_str().unwrap_or_default();
                let why = match refusals.get(&format!("Namespace/{place}")) {
                    Some(why) => Some(why.clone()),
                    None => refusal(self.make(file, object).await)?,
                };
                Ok((identity(object), why))
            });
            let made = side_by_side(making).await?;
            refusals.extend(made);
        }
        Ok(refusals)
    }

    /// Applies objects of somebody else's as they are (a default that its owner keeps changed in the place of the one
    /// that is there, which goes first), without the run's label, those of one kind side by side, and each as a version
    /// of its kind that this cluster serves. Returns what it does not take.
    ///
    /// # Errors
    /// What says nothing of an object: no answer, or one that another time would be another.
    pub async fn take_over(&self, documents: &[Document]) -> Result<Refusals, ApplyError> {
        assert!(self.outside.is_none(), "only a cluster of ours takes over what is another's");
        let mut refusals = Refusals::new();
        for alike in documents.chunk_by(is_alike) {
            let taking = alike.iter().map(async |Document { file, object }| {
                let homeless = is_homeless(object, &refusals);
                let taken = self.take(file, object).await;
                Ok((identity(object), not_taken(taken, homeless)?))
            });
            let taken = side_by_side(taking).await?;
            refusals.extend(taken);
        }
        Ok(refusals)
    }

    async fn take(&self, file: &str, object: &Value) -> Result<(), ApplyError> {
        let object = self.as_served(object);
        let taken = dynamic(file, &object)?;
        let name = taken.name_any();
        let refused = |error: kube::Error| refused(file, &taken, &error);
        let api = self.api(file, &taken).await?;
        if is_kept_as_changed(&object) {
            // Laid over the default, what was taken out of it would come back, and what a binding binds cannot be
            // changed.
            delete(&api, &name).await.map_err(refused)?;
            self.post(file, &api, &taken, false).await?;
        } else {
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            let patch = Patch::Apply(&object);
            // The name of a role may hold nearly anything, and kube has it in its paths as it is.
            api.patch(&encode(&name), &parameters, &patch).await.map_err(refused)?;
        }
        match object["kind"].as_str() {
            Some("Namespace") => {
                let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &name);
                make_default(&accounts, json!({})).await.map_err(refused)
            }
            Some("CustomResourceDefinition") => self.until_established(file, &name).await,
            Some("ResourceQuota") => {
                // A controller would count, and without a count nothing is admitted.
                let hard = &object["spec"]["hard"];
                let used = hard.as_object().into_iter().flatten();
                let used: Value = used.map(|(what, _)| (what.clone(), json!("0"))).collect();
                let counted = Patch::Merge(json!({"status": {"hard": hard, "used": used}}));
                let patched = api.patch_status(&name, &PatchParams::default(), &counted).await;
                patched.map(drop).map_err(refused)
            }
            _ => Ok(()),
        }
    }

    /// An object as a version of its kind that is served here: its own, or else the most stable one.
    pub fn as_served(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if let Some(other) = self.other_version(&object) {
            object["apiVersion"] = other.into();
        }
        object
    }

    /// The version in which an object's kind is served here, where that is another than its own.
    fn other_version(&self, object: &Value) -> Option<String> {
        let kind = kind_of(object)?;
        if self.discovery.resolve_gvk(&kind).is_some() {
            return None;
        }
        // A kind may be served by another version than most of its group.
        let served = self.discovery.get(&kind.group)?.resources_by_stability();
        let (resource, _) = served.into_iter().find(|(it, _)| it.kind == kind.kind)?;
        Some(resource.api_version)
    }

    /// The first kind among these objects that is Kubernetes' own and that this version of it does not serve.
    pub fn unserved(&self, documents: &[Document]) -> Option<String> {
        let kinds = documents.iter().filter_map(|it| kind_of(&it.object));
        let mut own = kinds.filter(|kind| is_built_in(&kind.group));
        let kind = own.find(|kind| self.discovery.resolve_gvk(kind).is_none())?;
        Some(format!("{} {}", kind.api_version(), kind.kind))
    }

    /// Asks by dry runs what of it this cluster would refuse. What goes into a namespace that is not there yet, or
    /// rests on another of these objects, cannot be asked.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn would_refuse(&self, documents: &[Document]) -> Result<Refusals, ApplyError> {
        let made: BTreeSet<String> = documents.iter().map(|it| identity(&it.object)).collect();
        let mut refusals = Refusals::new();
        for Document { file, object } in documents {
            if rests_on(object, &made) {
                continue;
            }
            let (made, api) = self.prepared(file, object).await?;
            let why = refusal(self.post(file, &api, &made, true).await)?;
            let why = why.filter(|why| !why.contains(NO_DRY_RUN));
            refusals.extend(why.map(|why| (identity(object), why)));
        }
        Ok(refusals)
    }

    async fn make(&self, file: &str, object: &Value) -> Result<(), ApplyError> {
        let (made, api) = self.prepared(file, object).await?;
        let is_namespace = object["kind"] == "Namespace";
        // A namespace of ours is known by its name and its label.
        if !is_namespace {
            self.enter(file, api.resource_url())?;
        }
        self.post(file, &api, &made, false).await?;
        if is_namespace {
            self.make_habitable(file, &made).await?;
        }
        Ok(())
    }

    /// An object as it is sent, and where to.
    async fn prepared(
        &self,
        file: &str,
        object: &Value,
    ) -> Result<(DynamicObject, Api<DynamicObject>), ApplyError> {
        let mut object = self.values.fill_object(object);
        label(&mut object, &self.values.run);
        self.pull.iter().for_each(|pull| pull.give(&mut object));
        let made = dynamic(file, &object)?;
        let api = self.api(file, &made).await?;
        Ok((made, api))
    }

    async fn post(
        &self,
        file: &str,
        api: &Api<DynamicObject>,
        object: &DynamicObject,
        dry_run: bool,
    ) -> Result<(), ApplyError> {
        let parameters = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let posted = api.create(&parameters, object).await;
        posted.map(drop).map_err(|error| refused(file, object, &error))
    }

    /// Sees that nothing of another run's is where these objects go.
    ///
    /// # Errors
    /// When something is, or it cannot be looked at.
    pub async fn see_free(&self, documents: &[&Document]) -> Result<(), ApplyError> {
        let mut seen = BTreeSet::new();
        for Document { file, object } in documents {
            let made = dynamic(file, &self.values.fill_object(object))?;
            let api = match self.api(file, &made).await {
                Ok(api) => api,
                // There is none of what the cluster does not know.
                Err(ApplyError::UnknownKind { .. }) => continue,
                Err(error) => return Err(error),
            };
            if !seen.insert(api.resource_url().to_owned()) {
                continue;
            }
            let any = ListParams::default().labels(RUN_LABEL).limit(1);
            let found = api.list_metadata(&any).await;
            let found = found.map_err(|error| refused(file, &made, &error))?.items;
            let labels = found.into_iter().find_map(|it| it.metadata.labels);
            if let Some(run) = labels.and_then(|mut labels| labels.remove(RUN_LABEL)) {
                return Err(ApplyError::Occupied { place: api.resource_url().to_owned(), run });
            }
        }
        Ok(())
    }

    /// Writes down that something is made in a collection outside of our own namespaces.
    fn enter(&self, file: &str, collection: &str) -> Result<(), ApplyError> {
        let entered = self.outside.as_ref().map(|outside| outside.enter(collection));
        let entered = entered.unwrap_or(Ok(())).map_err(ClusterError::Folder);
        entered.map_err(|source| ApplyError::Cluster { file: file.to_owned(), source })
    }

    /// Whether an object is sent to the API server: the cluster may stand in for it.
    pub fn is_sent(&self, object: &Value) -> bool {
        !self.stand_in.as_ref().is_some_and(|stand_in| stand_in.replaces(object))
    }

    /// Deletes every object, the last first. One that is gone already is no error.
    ///
    /// # Errors
    /// When the cluster does not know its kind, or refuses.
    pub async fn delete(&self, documents: &[Document]) -> Result<(), ApplyError> {
        for Document { file, object } in documents.iter().rev() {
            if let Some(stand_in) = &self.stand_in {
                stand_in.release(object).await;
            }
            let object = dynamic(file, object)?;
            let name = object.metadata.name.clone().unwrap_or_default();
            let api = self.api(file, &object).await?;
            delete(&api, &name).await.map_err(|error| refused(file, &object, &error))?;
        }
        Ok(())
    }

    async fn apply_object(&self, file: &str, object: &Value) -> Result<(), ApplyError> {
        let dynamic = dynamic(file, object)?;
        let name = dynamic.metadata.name.clone().unwrap_or_default();
        let api = self.api(file, &dynamic).await?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&encode(&name), &parameters, &Patch::Apply(object))
            .await
            .map_err(|error| refused(file, &dynamic, &error))?;
        match object["kind"].as_str() {
            Some("Namespace") => self.make_habitable(file, &dynamic).await,
            Some("CustomResourceDefinition") => self.until_established(file, &name).await,
            _ => Ok(()),
        }
    }

    /// Waits until the kind that was defined can be used: what uses it comes next.
    async fn until_established(&self, file: &str, name: &str) -> Result<(), ApplyError> {
        let definitions = Api::<CustomResourceDefinition>::all(self.client.clone());
        let established = await_condition(definitions, name, is_crd_established());
        match tokio::time::timeout(DEFINED, established).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ApplyError::NotEstablished { file: file.to_owned(), name: name.to_owned() }),
        }
    }

    /// Gives a new namespace the ServiceAccount without which no pod is admitted. A controller makes it too, when it
    /// has started; waiting for that took half of all the time that staging took (measured on embedded clusters).
    async fn make_habitable(
        &self,
        file: &str,
        namespace: &DynamicObject,
    ) -> Result<(), ApplyError> {
        let name = namespace.name_any();
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &name);
        let made = make_default(&accounts, json!({RUN_LABEL: self.values.run})).await;
        made.map_err(|error| refused(file, namespace, &error))?;
        self.bring_secret(&name).await?;
        let pulling = match &self.pull {
            Some(pull) => let_pull(&accounts, pull).await,
            None => Ok(()),
        };
        pulling.map_err(|error| refused(file, namespace, &error))
    }

    /// Puts the credentials for a registry, where there are any, into a namespace: pods and accounts of ours name them.
    ///
    /// # Errors
    /// When they cannot be made there.
    async fn bring_secret(&self, namespace: &str) -> Result<(), ApplyError> {
        let Some(pull) = &self.pull else { return Ok(()) };
        let mut secret = pull.secret();
        secret["metadata"]["namespace"] = namespace.into();
        label(&mut secret, &self.values.run);
        let secret = dynamic(PULL_SECRET, &secret)?;
        let secrets = self.api(PULL_SECRET, &secret).await?;
        self.enter(PULL_SECRET, secrets.resource_url())?;
        self.post(PULL_SECRET, &secrets, &secret, false).await
    }

    async fn api(
        &self,
        file: &str,
        object: &DynamicObject,
    ) -> Result<Api<DynamicObject>, ApplyError> {
        let types = object.types.clone().unwrap_or_default();
        let unknown = || ApplyError::UnknownKind {
            file: file.to_owned(),
            kind: format!("{} {}", types.api_version, types.kind),
        };
        let kind = GroupVersionKind::try_from(&types).map_err(|_| unknown())?;
        let (resource, capabilities) = match self.discovery.resolve_gvk(&kind) {
            Some(known) => known,
            // It may have been defined since.
            None => match pinned_kind(&self.client, &kind).await {
                Ok(known) => known,
                Err(kube::Error::Discovery(_)) => return Err(unknown()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Err(unknown()),
                Err(error) => return Err(refused(file, object, &error)),
            },
        };
        Ok(match &object.metadata.namespace {
            Some(namespace) if capabilities.scope == kube::discovery::Scope::Namespaced => {
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource),
        })
    }
}

/// The kind that an object says it is of.
fn kind_of(object: &Value) -> Option<GroupVersionKind> {
    GroupVersionKind::try_from(&dynamic("", object).ok()?.types?).ok()
}

fn dynamic(file: &str, object: &Value) -> Result<DynamicObject, ApplyError> {
    serde_json::from_value(object.clone())
        .map_err(|error| ApplyError::Manifest { file: file.to_owned(), message: error.to_string() })
}

fn refused(file: &str, object: &DynamicObject, error: &kube::Error) -> ApplyError {
    let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    ApplyError::Refused {
        file: file.to_owned(),
        object: format!("{kind} {name}"),
        for_good: match error {
            // A quota that others change at the same moment is a conflict, and no name that is taken.
            kube::Error::Api(status) if status.code == 409 => !status.is_already_exists(),
            kube::Error::Api(status) => matches!(status.code, 400 | 403 | 422 | 500),
            _ => false,
        },
        words: unnamed(&api_words(error), name),
    }
}

/// What an API server says of an object, without the name that it begins with: of
/// `roles.rbac.authorization.k8s.io "a" is forbidden: …` (`apimachinery/pkg/api/errors/errors.go`) what follows `is`.
/// Whoever tells it has named the object.
fn unnamed(words: &str, name: &str) -> String {
    let named = words.split_once(&format!(" \"{name}\" is "));
    let rest = named.filter(|(kind, _)| !kind.contains(' ')).map(|(_, rest)| rest);
    rest.unwrap_or(words).to_owned()
}

/// Why an object is refused for good; `None` if it was made.
///
/// # Errors
/// What says nothing of the object: a name that is taken, and whatever is no answer.
fn refusal(made: Result<(), ApplyError>) -> Result<Option<String>, ApplyError> {
    match made {
        Ok(()) => Ok(None),
        Err(ApplyError::Refused { object, for_good: true, words, .. }) => {
            Ok(Some(format!("{object}: {words}")))
        }
        Err(ApplyError::UnknownKind { kind, .. }) => Ok(Some(format!("it has no {kind}"))),
        Err(error) => Err(error),
    }
}

/// Whether two objects are of one kind, and may so be made side by side.
fn is_alike(one: &Document, other: &Document) -> bool {
    one.object["kind"] == other.object["kind"]
}

/// Makes objects side by side. Returns what is refused of them. What is made after one has failed and tidying up has
/// looked would stay.
async fn side_by_side(
    making: impl Iterator<Item = impl Future<Output = Result<(String, Option<String>), ApplyError>>>,
) -> Result<Vec<(String, String)>, ApplyError> {
    let made = abreast(AT_A_TIME, making, Result::is_err).await;
    let made: Vec<_> = made.into_iter().collect::<Result<_, _>>()?;
    Ok(made.into_iter().filter_map(|(name, why)| Some((name, why?))).collect())
}

/// Why a cluster does not take an object; `None` if it does. One whose namespace was not taken is homeless.
///
/// # Errors
/// What says nothing of the object.
fn not_taken(
    taken: Result<(), ApplyError>,
    is_homeless: bool,
) -> Result<Option<String>, ApplyError> {
    match taken {
        Ok(()) => Ok(None),
        Err(ApplyError::Refused { for_good, words, .. }) if for_good || is_homeless => {
            Ok(Some(words))
        }
        Err(ApplyError::UnknownKind { kind, .. }) => Ok(Some(format!("it has no {kind}"))),
        Err(error) => Err(error),
    }
}

/// Whether an object's namespace is among what was refused.
fn is_homeless(object: &Value, refused: &Refusals) -> bool {
    let place = object["metadata"]["namespace"].as_str();
    place.is_some_and(|place| refused.contains_key(&format!("Namespace/{place}")))
}

/// Deletes what has a name. It may be gone already.
async fn delete(api: &Api<DynamicObject>, name: &str) -> Result<(), kube::Error> {
    match api.delete(&encode(name), &DeleteParams::background()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => deleted.map(drop),
    }
}

/// Makes the default account of a namespace, if no controller has.
async fn make_default(accounts: &Api<ServiceAccount>, labels: Value) -> Result<(), kube::Error> {
    let account = json!({"metadata": {"name": "default", "labels": labels}});
    let account = serde_json::from_value(account).expect("a name and labels are an account");
    match accounts.create(&PostParams::default(), &account).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        made => made.map(drop),
    }
}

/// Whether an object cannot be without another of these: its namespace, its account, the role that it binds.
fn rests_on(object: &Value, made: &BTreeSet<String>) -> bool {
    let place = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let account = object["spec"]["serviceAccountName"].as_str().unwrap_or_default();
    made.contains(&format!("Namespace/{place}"))
        || made.contains(&format!("ServiceAccount/{place}/{account}"))
        || object["roleRef"].is_object()
}

/// Has the default account's pods pull their image with credentials.
async fn let_pull(
    accounts: &Api<ServiceAccount>,
    pull: &PullCredentials,
) -> Result<(), kube::Error> {
    let mut account = json!({"kind": "ServiceAccount", "apiVersion": "v1"});
    pull.give(&mut account);
    let changed = Patch::Merge(account);
    accounts.patch("default", &PatchParams::default(), &changed).await.map(drop)
}

/// Labels an object and the pods that it makes.
fn label(object: &mut Value, run: &str) {
    let mine = json!({"metadata": {"labels": {RUN_LABEL: run}}});
    crate::merge::lay_over(object, &mine);
    if object["spec"]["template"].is_object() {
        crate::merge::lay_over(&mut object["spec"]["template"], &mine);
    }
}

/// Waits until a pod is ready, or cannot have its image, by its events.
pub async fn until_pod_ready(client: &Client, namespace: &str, name: &str) -> Result<Pod, String> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let is_settled = |pod: &Pod| is_pod_ready(pod) || without_image(pod).is_some();
    let settled = await_condition(pods, name, |pod: Option<&Pod>| pod.is_some_and(is_settled));
    match settled.await {
        Ok(pod) => {
            let pod = pod.unwrap_or_default();
            without_image(&pod).map_or(Ok(pod), Err)
        }
        Err(error) => Err(format!("pod {namespace}/{name} could not be watched: {error}")),
    }
}

/// Why a pod cannot have its image, in the kubelet's words (`pkg/kubelet/images/types.go`); `None` if nothing hinders
/// it.
fn without_image(pod: &Pod) -> Option<String> {
    let reasons = ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"];
    let statuses = pod.status.iter().flat_map(|it| it.container_statuses.iter().flatten());
    let mut waiting = statuses.filter_map(|it| it.state.as_ref()?.waiting.as_ref());
    let waiting =
        waiting.find(|it| it.reason.as_deref().is_some_and(|it| reasons.contains(&it)))?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    Some(format!("{reason}: {}", waiting.message.as_deref().unwrap_or("no reason given")))
}

/// Whether a pod says that it is ready.
pub fn is_pod_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    /// How an object is taken over where nothing has its name: methods and paths, without what asks for kinds.
    async fn taken_over(object: Value) -> Vec<String> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&sent);
        let answer = tower::service_fn(move |request: Request<Body>| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let (code, body) = match (method.as_str(), path.as_str()) {
                ("GET", "/api" | "/apis") => (200, json!({"items": []})),
                ("GET", _) => {
                    let roles = json!({
                        "name": "clusterroles", "singularName": "", "namespaced": false,
                        "kind": "ClusterRole", "verbs": ["create"],
                    });
                    (
                        200,
                        json!({"groupVersion": "rbac.authorization.k8s.io/v1", "resources": [roles]}),
                    )
                }
                ("DELETE", _) => {
                    (404, json!({"status": "Failure", "reason": "NotFound", "code": 404}))
                }
                _ => (200, json!({"metadata": {"name": "view"}})),
            };
            if method != "GET" {
                asked.lock().expect("a list").push(format!("{method} {path}"));
            }
            let body = Body::from(body.to_string().into_bytes());
            let answer = Response::builder().status(code).body(body).expect("built");
            async move { Ok::<_, Infallible>(answer) }
        });
        let client = Client::new(answer, "default");
        let applier = Applier::new(client, None, Values::default()).await.expect("its kinds");
        let document = Document { file: "roles.yaml".to_owned(), object };
        let refused = applier.take_over(&[document]).await.expect("taken over");
        assert_eq!(refused, Refusals::new());
        std::mem::take(&mut sent.lock().expect("a list"))
    }

    /// What somebody took out of a default is not there on the other cluster either, unless the API server puts it
    /// back.
    #[tokio::test]
    async fn a_default_that_stays_as_it_was_changed_is_put_into_the_place_of_ours() {
        let role = |restored: &str, label: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [],
                "metadata": {
                    "name": "view", "labels": {label: "rbac-defaults"},
                    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": restored},
                },
            })
        };
        let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        let (label, laid_over) = ("kubernetes.io/bootstrapping", [format!("PATCH {roles}/view")]);
        let put = [format!("DELETE {roles}/view"), format!("POST {roles}")];
        assert_eq!(taken_over(role("false", label)).await, put);
        assert_eq!(taken_over(role("true", label)).await, laid_over);
        assert_eq!(taken_over(role("false", "example.com/a")).await, laid_over);
    }

    fn answered(code: u16, reason: &str) -> Result<(), ApplyError> {
        let object = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "a", "namespace": "shop"}});
        let object = dynamic("a.yaml", &object).expect("an object");
        let status =
            json!({"status": "Failure", "message": "words", "reason": reason, "code": code});
        let status = serde_json::from_value(status).expect("a status");
        Err(refused("a.yaml", &object, &kube::Error::Api(status)))
    }

    #[test]
    fn what_is_refused_is_named_once() {
        let forbidden = "roles.rbac.authorization.k8s.io \"a\" is forbidden: user \"a\" may not";
        assert_eq!(unnamed(forbidden, "a"), "forbidden: user \"a\" may not");
        for whole in ["pods \"b\" is forbidden", "it says that pods \"a\" is forbidden", "no"] {
            assert_eq!(unnamed(whole, "a"), whole);
        }
    }

    #[test]
    fn only_what_is_refused_for_good_or_has_no_namespace_is_not_taken() {
        for code in [400, 403, 422] {
            let why = not_taken(answered(code, ""), false).expect("a refusal");
            assert!(why.is_some_and(|why| why.contains("words")), "{code}");
        }
        for code in [401, 404, 409, 429, 503, 504] {
            let reason = if code == 409 { "AlreadyExists" } else { "" };
            assert!(not_taken(answered(code, reason), false).is_err(), "{code}");
        }
        assert!(not_taken(answered(404, "NotFound"), true).is_ok_and(|it| it.is_some()));
        let unknown = ApplyError::UnknownKind { file: String::new(), kind: "Thing".to_owned() };
        assert_eq!(
            not_taken(Err(unknown), false).ok().flatten().as_deref(),
            Some("it has no Thing")
        );
        let place = json!({"metadata": {"namespace": "shop"}});
        let refused = Refusals::from([("Namespace/shop".to_owned(), "no".to_owned())]);
        assert!(is_homeless(&place, &refused) && !is_homeless(&place, &Refusals::new()));
        assert!(!is_homeless(&json!({"metadata": {"name": "shop"}}), &refused));
    }
}
