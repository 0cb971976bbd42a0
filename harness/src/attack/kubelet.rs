//! The kubelet's own port, asked from a container beside the node or from a pod on it. The API server never sees this.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use super::http::name;
use super::stream::run_probe;
use super::{ActionError, Attempt, Observation, World, silence};
use crate::catalog::Target;
use crate::cluster::NodePorts;
use crate::model::{Answer, Kubelet, Response, Silence};
use crate::pod::probe::{NoAnswer, RequestAnswer, RequestOrder, Scheme};
use crate::text::cut;

/// The port on which the kubelet asks who is calling.
const SECURE_PORT: u16 = 10250;

/// Sends the request, with the persona's token where it has one.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    kubelet: &Kubelet,
) -> Result<Observation, ActionError> {
    let node = Neighbour::of(attempt).await?;
    let order = order(attempt, node.at(kubelet.port), name(kubelet.method), &kubelet.path)?;
    let answer = match node.request(&order).await? {
        Ok(answer) => Answer::Http(response(&answer)),
        // A closed port says something only when the node itself is reached.
        Err(none) => Answer::Nothing(Silence {
            listener_proven: node.answers(attempt).await?,
            ..silence(none)
        }),
    };
    let scheme = if kubelet.port == SECURE_PORT { "https" } else { "http" };
    let uri = format!("{scheme}://node:{}{}", kubelet.port, kubelet.path);
    Ok(Observation::of(attempt.sent_past(name(kubelet.method), uri), answer))
}

/// From where a kubelet is asked.
enum Neighbour<'a> {
    /// A container beside the node.
    Container(&'a NodePorts),
    /// The target's pod, on the node that it runs on: every pod reaches its node, where nothing forbids that.
    Pod { world: &'a World, target: &'a Target, namespace: &'a str, name: &'a str, node: IpAddr },
}

impl<'a> Neighbour<'a> {
    async fn of(attempt: &Attempt<'a>) -> Result<Neighbour<'a>, ActionError> {
        if let Some(node) = &attempt.world.sight.node {
            return Ok(Neighbour::Container(node));
        }
        let Attempt { world, target, .. } = *attempt;
        let (namespace, name, pod) = asking(world, target).await?;
        let node = pod.status.and_then(|status| status.host_ip?.parse().ok());
        let node = node.ok_or_else(|| unplaced(namespace, name))?;
        Ok(Neighbour::Pod { world, target, namespace, name, node })
    }

    /// Where a port of the node is.
    fn at(&self, port: u16) -> SocketAddr {
        match self {
            Neighbour::Container(node) => node.at(port),
            Neighbour::Pod { node, .. } => SocketAddr::new(*node, port),
        }
    }

    async fn request(
        &self,
        order: &RequestOrder,
    ) -> Result<Result<RequestAnswer, NoAnswer>, ActionError> {
        let (world, target, namespace, name) = match self {
            Neighbour::Container(node) => return Ok(node.request(order).await?),
            Neighbour::Pod { world, target, namespace, name, .. } => {
                (world, target, namespace, name)
            }
        };
        let order = serde_json::to_string(order);
        let order = order.map_err(|error| ActionError::Missing(error.to_string()))?;
        run_probe(world, target, namespace, name, &["probe", "request"], Some(&order)).await
    }

    /// Whether the kubelet answers at the port that it always has.
    async fn answers(&self, attempt: &Attempt<'_>) -> Result<bool, ActionError> {
        let order = order(attempt, self.at(SECURE_PORT), "GET", "/healthz")?;
        Ok(self.request(&order).await?.is_ok())
    }
}

/// The name of the node whose kubelet is asked by what is sent to a target.
///
/// # Errors
/// When it is the node of the target's pod, and that cannot be read.
pub async fn asked_node(world: &World, target: &Target) -> Result<String, ActionError> {
    if world.sight.node.is_some() {
        return Ok(world.access.node_name.clone());
    }
    let (namespace, name, pod) = asking(world, target).await?;
    pod.spec.and_then(|spec| spec.node_name).ok_or_else(|| unplaced(namespace, name))
}

/// The target's pod, which asks the kubelet of its node, with its namespace and its name.
async fn asking<'a>(
    world: &World,
    target: &'a Target,
) -> Result<(&'a str, &'a str, Pod), ActionError> {
    let (namespace, name) = (&*target.namespace, target.pod().ok_or(ActionError::NoPod)?);
    let pods = Api::<Pod>::namespaced(world.access.admin.clone(), namespace);
    Ok((namespace, name, pods.get(name).await?))
}

fn unplaced(namespace: &str, name: &str) -> ActionError {
    ActionError::Missing(format!("on which node pod {namespace}/{name} runs is not known"))
}

fn order(
    attempt: &Attempt<'_>,
    address: SocketAddr,
    method: &str,
    path: &str,
) -> Result<RequestOrder, ActionError> {
    let mut headers = BTreeMap::from([("User-Agent".to_owned(), attempt.user_agent.to_owned())]);
    if let Some(token) = attempt.identity.token()? {
        headers.insert("Authorization".to_owned(), format!("Bearer {token}"));
    }
    Ok(RequestOrder {
        scheme: if address.port() == SECURE_PORT { Scheme::Https } else { Scheme::Http },
        address,
        server_name: None,
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: None,
        // The kubelet's certificate is signed by itself. The address says which kubelet is asked.
        ca: None,
        client_cert: None,
        client_key: None,
        // A pod is listened to for ten seconds.
        timeout_ms: 8_000,
    })
}

/// Of a success only the code is kept: what the kubelet says about pods is not needed, and may be secret.
fn response(answer: &RequestAnswer) -> Response {
    let refused = !(200..300).contains(&answer.code);
    let text = refused.then(|| cut(&answer.body, 512));
    Response { code: answer.code, text, ..Response::default() }
}
