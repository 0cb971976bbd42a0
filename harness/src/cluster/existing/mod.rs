//! Clusters that brinell did not make: found by a context, acted on in namespaces of the run's own, and left as they
//! were. Nothing here can weaken one.

mod log;
mod pull;
mod removal;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{ListParams, PostParams};
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::proxy::{self, ProxyError};
use super::{Access, ClusterError, FENCE, Pace, Pulse, RunFolder, Sight, client};
use crate::audit::source::SourceError;
use crate::catalog::Lacks;
use crate::catalog::did_you_mean;
use crate::model::Need;
use crate::text::{api_words, without_credentials};

pub use pull::{PullCredentials, PullSecretError};
pub use removal::{ExistingSwept, remove, sweep};

/// The file in a run's folder that says on which existing cluster it is.
const MARK: &str = "existing";

/// What is offered for exec and attach; the newest that both sides speak is taken.
const STREAM_PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";

/// How many questions an existing cluster is asked at a time: others use it too.
const AT_A_TIME: usize = 4;

/// The image in pods of ours that never run, where no image of ours can be had.
const NO_IMAGE: &str = "brinell.invalid/harness";

/// What the names of a run's namespaces begin with.
pub fn namespace_prefix(run: &str) -> String {
    format!("brinell-{run}")
}

/// How an existing cluster is found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Way {
    /// The kubeconfig; `None` is the one that kubectl would read.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: String,
}

/// What a run's folder says of its existing cluster.
#[derive(Debug, Deserialize, Serialize)]
struct Mark {
    /// How it is found again.
    way: Way,
    /// Which cluster it is: a context may lead to another one later.
    identity: String,
}

impl Mark {
    /// What the folder of a run says; `None` if it is a run on a cluster of ours.
    fn read(folder: &RunFolder) -> Result<Option<Mark>, ClusterError> {
        match std::fs::read(folder.file(MARK)) {
            Ok(mark) => {
                let mark = serde_json::from_slice(&mark);
                mark.map(Some).map_err(|error| ClusterError::Folder(error.into()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ClusterError::Folder(error)),
        }
    }
}

/// An existing cluster that answers.
pub struct Existing {
    /// How it was found.
    pub way: Way,
    /// The ways in.
    pub access: Access,
    /// What can be seen of it.
    pub sight: Sight,
    /// Its version: `v1.36.3`.
    pub version: String,
    /// As whom the API server takes us.
    pub user: String,
    /// The API server's address.
    pub server: String,
    /// Which cluster it is, whatever leads to it.
    identity: String,
    /// How many API servers it has; `None` if it does not tell.
    pub api_servers: Option<usize>,
    /// With what its nodes pull our image; `None` if they need nothing.
    pub pull: Option<PullCredentials>,
}

/// An existing cluster cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The kubeconfig.
    #[error("the kubeconfig{} cannot be used: {}", named(.path.as_deref()), without_credentials(&.cause.to_string()))]
    Kubeconfig {
        /// The file; `None` where it is the one that kubectl would read.
        path: Option<PathBuf>,
        /// Why not.
        cause: Box<KubeconfigError>,
    },
    /// The context.
    #[error("the kubeconfig{} has no context `{context}`; {hint}", named(.path.as_deref()))]
    NoContext {
        /// The file; `None` where it is the one that kubectl would read.
        path: Option<PathBuf>,
        /// As it was given.
        context: String,
        /// What may have been meant.
        hint: String,
    },
    /// Its user is somebody else's impersonation.
    #[error(
        "the context {context} acts as somebody else (`as` in its user): brinell impersonates personas itself, and the audit \
         log would name both. Use a context of your own"
    )]
    Impersonates {
        /// The context.
        context: String,
    },
    /// It looks like production.
    #[error(
        "the context {context} looks like production ({word}); attacks are for staging clusters. If it is meant: \
         --allow-production {context}"
    )]
    Production {
        /// The context.
        context: String,
        /// What looks so.
        word: String,
    },
    /// The proxy on the way to it cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// What its nodes pull our image with cannot be had.
    #[error(transparent)]
    PullSecret(#[from] PullSecretError),
    /// The log cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The API server does not answer as it should.
    #[error("the cluster of context {context} at {server} cannot be used: {}", api_words(cause))]
    Api {
        /// The context.
        context: String,
        /// The API server's address.
        server: String,
        /// Why not.
        cause: kube::Error,
    },
}

fn named(path: Option<&Path>) -> String {
    path.map(|path| format!(" {}", path.display())).unwrap_or_default()
}

impl Way {
    /// The configuration that the context is.
    async fn config(&self, allowed: Option<&str>) -> Result<Config, ReachError> {
        let unusable = |cause| ReachError::Kubeconfig {
            path: self.kubeconfig.clone(),
            cause: Box::new(cause),
        };
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let mut kubeconfig = read.map_err(unusable)?;
        self.see_context(&kubeconfig)?;
        self.see_no_production(&kubeconfig, allowed)?;
        // Nobody is there to answer what a plug-in for credentials asks.
        let plug_ins = kubeconfig.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut());
        for plug_in in plug_ins.filter_map(|it| it.exec.as_mut()) {
            plug_in.interactive_mode = Some(ExecInteractiveMode::Never);
        }
        let proxy_url = self.proxy(&mut kubeconfig)?;
        let options =
            KubeConfigOptions { context: Some(self.context.clone()), ..Default::default() };
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)?;
        if config.auth_info.impersonate.is_some() {
            return Err(ReachError::Impersonates { context: self.context.clone() });
        }
        config.proxy_url = proxy_url;
        Ok(config)
    }

    /// The proxy that leads to the cluster of the context.
    fn proxy(&self, kubeconfig: &mut Kubeconfig) -> Result<Option<http::Uri>, ProxyError> {
        let context = kubeconfig.contexts.iter().find(|it| it.name == self.context);
        let name = context.and_then(|it| it.context.as_ref()).map(|it| it.cluster.clone());
        let mut clusters = kubeconfig.clusters.iter_mut();
        let cluster = clusters.find(|it| Some(&it.name) == name.as_ref());
        let variable = |name: &str| std::env::var(name).ok();
        match cluster.and_then(|it| it.cluster.as_mut()) {
            Some(cluster) => proxy::take(cluster, variable),
            // kube says that it is missing.
            None => Ok(None),
        }
    }

    fn see_context(&self, kubeconfig: &Kubeconfig) -> Result<(), ReachError> {
        let known = kubeconfig.contexts.iter().map(|context| context.name.as_str());
        if known.clone().any(|name| name == self.context) {
            return Ok(());
        }
        Err(ReachError::NoContext {
            path: self.kubeconfig.clone(),
            context: self.context.clone(),
            hint: did_you_mean(&self.context, known),
        })
    }

    fn see_no_production(
        &self,
        kubeconfig: &Kubeconfig,
        allowed: Option<&str>,
    ) -> Result<(), ReachError> {
        let context = kubeconfig.contexts.iter().find(|it| it.name == self.context);
        let cluster = context.and_then(|it| it.context.as_ref()).map(|it| it.cluster.clone());
        let words = [Some(self.context.clone()), cluster];
        let suspect = words.into_iter().flatten().find(|word| looks_like_production(word));
        match suspect.filter(|_| allowed != Some(&self.context)) {
            None => Ok(()),
            Some(word) => Err(ReachError::Production { context: self.context.clone(), word }),
        }
    }
}

/// Whether a name says that it is a production cluster's.
fn looks_like_production(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    words.iter().enumerate().any(|(position, word)| {
        let before = position.checked_sub(1).and_then(|it| words.get(it));
        let is_negated = before.is_some_and(|it| ["non", "no", "not", "pre"].contains(it));
        ["prod", "production", "prd", "live"].contains(word) && !is_negated
    })
}

impl Existing {
    /// Reaches the cluster of a context and asks it at this pace from now on; one that looks like production only if its context is `allowed`.
    ///
    /// # Errors
    /// When it is not allowed or does not answer.
    pub async fn reach(
        way: Way,
        image: Option<&str>,
        pace: Pace,
        allowed: Option<&str>,
    ) -> Result<Existing, ReachError> {
        let config = way.config(allowed).await?;
        let server = config.cluster_url.to_string();
        let unusable = |cause| ReachError::Api {
            context: way.context.clone(),
            server: without_credentials(&server),
            cause,
        };
        let admin = client(config.clone(), &pace).map_err(unusable)?;
        let version = admin.apiserver_version().await.map_err(unusable)?.git_version;
        let user = who_am_i(&admin).await.map_err(unusable)?;
        let api_servers = api_servers(&admin).await;
        // Behind a load balancer another server may answer the next request.
        let pulse = (api_servers == Some(1)).then(|| Pulse::of(admin.clone()));
        let access = Access {
            node_name: a_node(&admin).await,
            image: image.unwrap_or(NO_IMAGE).to_owned(),
            stream_protocols: STREAM_PROTOCOLS,
            pace,
            questions: Arc::new(Semaphore::new(AT_A_TIME)),
            config,
            admin,
        };
        let sight = Sight {
            log: None,
            command: None,
            fence: FENCE,
            node: None,
            etcd: None,
            pulse,
            settings: None,
            controllers: true,
        };
        let server = without_credentials(&server);
        let identity = identity(&access.admin, &server).await;
        let pull = None;
        Ok(Existing { way, access, sight, version, user, server, identity, api_servers, pull })
    }

    /// Marks a run as one on this cluster, before anything is made.
    ///
    /// # Errors
    /// When the run's folder cannot be written.
    pub fn mark(&self, folder: &RunFolder) -> Result<(), ClusterError> {
        // What is read again later may be read from another folder.
        let kubeconfig = self.way.kubeconfig.as_ref().map(std::path::absolute).transpose();
        let way = Way {
            kubeconfig: kubeconfig.map_err(ClusterError::Folder)?,
            context: self.way.context.clone(),
        };
        let mark = Mark { way, identity: self.identity.clone() };
        let mark = serde_json::to_vec(&mark).expect("a few texts are JSON");
        folder.write(MARK, &mark).map(drop).map_err(ClusterError::Folder)
    }

    /// What scenarios cannot have here.
    pub fn lacks(&self, has_image: bool) -> Lacks {
        let mut needs =
            vec![Need::KubeletPort, Need::Etcd, Need::Settings, Need::Players, Need::Effects];
        needs.extend(self.sight.log.is_none().then_some(Need::AuditLog));
        needs.extend((!has_image).then_some(Need::OwnPods));
        Lacks {
            who: self.way.context.clone(),
            said: "brinell does not have here".to_owned(),
            needs: needs.into_iter().collect(),
        }
    }

    /// Where it is and as whom, for a person.
    pub fn told(&self) -> String {
        let servers = match self.api_servers {
            Some(count) => crate::text::count(count, "API server"),
            None => "an unknown number of API servers".to_owned(),
        };
        let log = match &self.sight.log {
            Some(log) if log.is_in_order() => "its audit log is read",
            Some(_) => "its audit log is read late, at the end",
            None => "no audit log",
        };
        let proxy = self.access.config.proxy_url.as_ref().map(ToString::to_string);
        let proxy = proxy.map(|proxy| format!(" by way of {}", without_credentials(&proxy)));
        let server = format!("{}{}", self.server, proxy.unwrap_or_default());
        format!("reached {server} as {}, {}, {servers}, {log}", self.user, self.version)
    }
}

/// As whom the API server takes a client.
async fn who_am_i(client: &Client) -> Result<String, kube::Error> {
    let reviews = Api::<SelfSubjectReview>::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info?.username);
    Ok(user.unwrap_or_default())
}

/// What tells a cluster from every other: the UID of its kube-system; where that is not to be read its address.
async fn identity(client: &Client, server: &str) -> String {
    let namespaces = Api::<Namespace>::all(client.clone());
    let found = namespaces.get_metadata("kube-system").await;
    found.ok().and_then(|found| found.metadata.uid).unwrap_or_else(|| server.to_owned())
}

/// How many API servers have a lease; `None` where that is not to be read
/// (KEP-1965: each has one in kube-system, with this label).
async fn api_servers(client: &Client) -> Option<usize> {
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-system");
    let identity = "apiserver.kubernetes.io/identity=kube-apiserver";
    let found = leases.list_metadata(&ListParams::default().labels(identity).limit(100)).await;
    found.ok().map(|found| found.items.len()).filter(|count| *count > 0)
}

/// The name of a node; empty where none is to be seen.
async fn a_node(client: &Client) -> String {
    let nodes = Api::<Node>::all(client.clone());
    let found = nodes.list_metadata(&ListParams::default().limit(1)).await;
    let named = found.ok().and_then(|found| found.items.into_iter().next()?.metadata.name);
    named.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_is_known_by_its_name() {
        for name in
            ["prod", "eu-prod-1", "PROD.example.com", "shop-production", "live", "gke_x_prd"]
        {
            assert!(looks_like_production(name), "{name}");
        }
        for name in ["staging", "nonprod", "non-prod-2", "pre-prod", "product-team", "kind-prodder"]
        {
            assert!(!looks_like_production(name), "{name}");
        }
    }
}
