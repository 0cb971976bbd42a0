//! Clusters that brinell did not make: found by a context, acted on in namespaces of the run's own, and left as they
//! were. Nothing here can weaken one.

mod beforehand;
mod credentials;
mod files;
mod given;
mod log;
mod outside;
mod own;
mod pull;
mod reading;
mod removal;
mod rights;
mod servers;
mod way;

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::ListParams;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{Access, ClusterError, Pace, Pulse, Refused, RunFolder, Servers, Sight, all, who_am_i};
use crate::catalog::Lacks;
use crate::cluster::pulse::API_SERVERS;
use crate::cluster::telling_client;
use crate::model::{Need, Right};
use crate::text::without_credentials;

pub use credentials::{CredentialsError, Taken, take};
pub use outside::Outside;
pub use pull::{PullCredentials, PullSecretError};
pub use removal::{Gone, release, remove, sweep};
pub use rights::Unmet;
pub use way::{ReachError, Way};

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

/// What a run's folder says of its existing cluster.
#[derive(Debug, Deserialize, Serialize)]
struct Mark {
    /// How it is found again.
    way: Way,
    /// Which cluster it is: a context may lead to another one later.
    identity: String,
    /// The API server's address: a cluster there that does not tell its UID may be this one. Older run folders lack it.
    #[serde(default)]
    server: String,
    /// Whether its namespaces were there before, so that none is looked for.
    #[serde(default)]
    is_given: bool,
}

impl Mark {
    /// What the folder of a run says; `None` if it is a run on a cluster of ours.
    fn read(folder: &Path) -> Result<Option<Mark>, ClusterError> {
        let file = folder.join(MARK);
        let unreadable = |cause| ClusterError::Mark { file: file.clone(), cause };
        match std::fs::read(&file) {
            Ok(mark) => {
                let mark = serde_json::from_slice(&mark).map_err(std::io::Error::from);
                mark.map(Some).map_err(unreadable)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
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
    /// The API server's address.
    pub server: String,
    /// Which cluster it is, whatever leads to it: the UID of its kube-system; where that is not to be read its address.
    identity: String,
    /// How many API servers it had when it was reached; `None` if it does not tell.
    pub api_servers: Option<usize>,
}

impl Existing {
    /// Reaches the cluster and asks it at this pace from now on; one that looks like production only if its context
    /// is `allowed`.
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
        let server = without_credentials(&config.cluster_url.to_string());
        let unusable = |cause| ReachError::Api {
            way: way.clone(),
            server: server.clone(),
            cause: Box::new(cause),
        };
        let refused = Refused::default();
        let admin = telling_client(config.clone(), &pace, &refused).await.map_err(unusable)?;
        let version = admin.apiserver_version().await.map_err(unusable)?.git_version;
        let user = who_am_i(&admin).await.map_err(unusable)?;
        let leases = api_servers(&admin).await;
        let servers = match leases.as_deref() {
            Some([only]) if rights::may(&admin, &watching_leases()).await.map_err(unusable)? => {
                Servers::One(Pulse::of_only(admin.clone(), only.clone()))
            }
            _ => servers::behind(&config, &pace, &user, &refused).await.map_err(unusable)?,
        };
        let access = Access {
            node_name: a_node(&admin).await,
            image: image.unwrap_or(NO_IMAGE).to_owned(),
            stream_protocols: STREAM_PROTOCOLS,
            pace,
            questions: Arc::new(Semaphore::new(AT_A_TIME)),
            user: user.username,
            refused,
            config,
            admin,
        };
        let sight = Sight::of(servers);
        let uid = uid(&access.admin).await.map_err(unusable)?;
        let identity = uid.unwrap_or_else(|| server.clone());
        let api_servers = leases.map(|leases| leases.len());
        Ok(Existing { way, access, sight, version, server, identity, api_servers })
    }

    /// The error where it does not answer as it should.
    pub fn unusable(&self, cause: kube::Error) -> ReachError {
        let (way, server) = (self.way.clone(), self.server.clone());
        ReachError::Api { way, server, cause: Box::new(cause) }
    }

    /// Waits until the API server takes our own credentials no longer.
    pub fn ended(&self) -> impl Future<Output = ClusterError> + Send + use<> {
        let Access { admin, refused, .. } = self.access.clone();
        let way = self.way.clone();
        async move {
            loop {
                refused.told().await;
                // A refusal may be another server's, and forwarded: so it is asked.
                match who_am_i(&admin).await {
                    Err(kube::Error::Api(status)) if status.code == 401 => {
                        return ClusterError::NotAccepted { way };
                    }
                    _ => {}
                }
            }
        }
    }

    /// Marks a run as one on this cluster, before anything is made, in namespaces that are given or in its own. Returns
    /// where it writes down what it makes elsewhere.
    ///
    /// # Errors
    /// When the run's folder cannot be written.
    pub fn mark(
        &self,
        run: &str,
        folder: &RunFolder,
        is_given: bool,
    ) -> Result<Outside, ClusterError> {
        // What is read again later may be read from another folder.
        let way = self.way.absolute().map_err(ClusterError::Folder)?;
        let (identity, server) = (self.identity.clone(), self.server.clone());
        let mark = Mark { way, identity, server, is_given };
        let mark = serde_json::to_vec(&mark).expect("a few texts are JSON");
        folder.write_down(MARK, &mark).map_err(ClusterError::Folder)?;
        Ok(Outside::new(run, folder.path()))
    }

    /// Where it is and as whom, for a person.
    pub fn told(&self) -> String {
        let servers = match self.api_servers {
            Some(count) => crate::text::count(count, "API server"),
            None => "an unknown number of API servers".to_owned(),
        };
        let servers = match self.sight.servers {
            Servers::One(_) => servers,
            Servers::OneAConnection(_) => format!("{servers}, one for each connection"),
            Servers::Unknown => format!("{servers}, and nothing shows which of them answers"),
        };
        let proxy = self.access.config.proxy_url.as_ref().map(ToString::to_string);
        let proxy = proxy.map(|proxy| format!(" by way of {}", without_credentials(&proxy)));
        let server = format!("{}{}", self.server, proxy.unwrap_or_default());
        format!("reached {server} as {}, {}, {servers}", self.user(), self.version)
    }

    /// As whom the API server takes us.
    fn user(&self) -> &str {
        self.access.user.as_deref().unwrap_or_default()
    }

    /// What is read of its log, for a person.
    pub fn told_log(&self) -> &'static str {
        match &self.sight.log {
            Some(log) if log.is_in_order() => "its audit log is read",
            Some(_) => "its audit log is read late, at the end",
            None => "no audit log",
        }
    }
}

/// What scenarios can have on an existing cluster.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Whether its log is read.
    pub sees_log: bool,
    /// Whether its nodes can have our image.
    pub has_image: bool,
    /// Whether only namespaces are used that are given.
    pub is_given: bool,
    /// Whether objects may be made outside of our namespaces.
    pub effects: bool,
}

/// What scenarios cannot have on the existing cluster of a context.
pub fn lacks(context: &str, means: Means) -> Lacks {
    let mut needs =
        vec![Need::Etcd, Need::Settings, Need::Players, Need::Changes, Need::OwnClusterRole];
    needs.extend((!means.sees_log).then_some(Need::AuditLog));
    needs.extend((!means.has_image).then_some(Need::OwnPods));
    needs.extend(means.is_given.then_some(Need::OwnNamespaces));
    needs.extend((!means.effects).then_some(Need::Effects));
    Lacks {
        who: context.to_owned(),
        said: "brinell does not have here".to_owned(),
        needs: needs.into_iter().collect(),
    }
}

/// What it takes to see which process of the API server answers.
fn watching_leases() -> Right {
    Right {
        verb: "watch".to_owned(),
        group: "coordination.k8s.io".to_owned(),
        resource: "leases".to_owned(),
        r#in: Some("kube-system".to_owned()),
        ..Right::default()
    }
}

/// The UID of kube-system, which tells a cluster from every other; `None` where it is not to be read.
async fn uid(client: &Client) -> Result<Option<String>, kube::Error> {
    let namespaces = Api::<Namespace>::all(client.clone());
    match namespaces.get_metadata("kube-system").await {
        Ok(found) => Ok(found.metadata.uid),
        Err(kube::Error::Api(status)) if [403, 404].contains(&status.code) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names of the leases of API servers; `None` where they are not to be read.
async fn api_servers(client: &Client) -> Option<Vec<String>> {
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-system");
    let found = leases.list_metadata(&ListParams::default().labels(API_SERVERS).limit(100)).await;
    let names = found.ok()?.items.into_iter().filter_map(|lease| lease.metadata.name);
    Some(names.collect()).filter(|names: &Vec<String>| !names.is_empty())
}

/// The name of a node, of one that takes pods of everybody if there is one: a DaemonSet that is kept to another makes
/// none. Empty where none is to be seen.
async fn a_node(client: &Client) -> String {
    let nodes: Vec<Node> = all(client).await.unwrap_or_default();
    let node = nodes.iter().find(|node| is_open(node)).or(nodes.first());
    node.and_then(|node| node.metadata.name.clone()).unwrap_or_default()
}

/// Whether a node takes pods that tolerate nothing
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).
fn is_open(node: &Node) -> bool {
    let Some(spec) = &node.spec else { return true };
    let mut taints = spec.taints.iter().flatten();
    spec.unschedulable != Some(true)
        && !taints.any(|taint| ["NoSchedule", "NoExecute"].contains(&taint.effect.as_str()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_node_is_taken_that_takes_everybodys_pods() {
        let node = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
        let tainted = |name: &str, effect: &str| {
            node(name, json!({"taints": [{"key": "a", "effect": effect}]}))
        };
        let closed = [
            tainted("a", "NoSchedule"),
            tainted("b", "NoExecute"),
            node("c", json!({"unschedulable": true})),
        ];
        let open = [tainted("d", "PreferNoSchedule"), node("e", json!({}))];
        for (nodes, taken) in [
            ([&closed[..], &open[..]].concat(), "d"),
            ([&closed[..], &open[1..]].concat(), "e"),
            (closed.to_vec(), "a"),
            (Vec::new(), ""),
        ] {
            let list =
                json!({"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": nodes});
            let answer = tower::service_fn(move |_: Request<Body>| {
                let body = Body::from(list.to_string().into_bytes());
                std::future::ready(Ok::<_, Infallible>(Response::new(body)))
            });
            assert_eq!(a_node(&Client::new(answer, "default")).await, taken);
        }
    }
}
