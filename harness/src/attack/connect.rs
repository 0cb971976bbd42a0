//! What a pod reaches over the network. Silence counts as a block only if something is shown to listen there: another
//! pod connects to the very same address and port.

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use super::stream::run_probe;
use super::{ActionError, Attempt, Observation, silence};
use crate::cluster::pages;
use crate::model::{Answer, Connect, Resolve, Silence, SilenceKind, To, place};
use crate::pod::probe::{Connected, NoAnswer, Resolved};

/// How long a connection may take, in milliseconds. On one node an answer takes less than one.
const PATIENCE: &str = "2000";

/// Opens a TCP connection from a pod to each address of a pod, of a Service, or to the one that is named.
pub(super) async fn connect(
    attempt: &Attempt<'_>,
    connect: &Connect,
) -> Result<Observation, ActionError> {
    let listener = Listener::find(attempt, connect).await?;
    let port = connect.port.to_string();
    let mut silences = Vec::new();
    let mut connected = false;
    for address in &listener.addresses {
        let mut command = vec!["probe", "connect", address, &port, "--timeout-ms", PATIENCE];
        // What stands between, as the proxy of a mesh, takes every connection, and lets it go where it leads nowhere.
        command.extend(listener.greets.then_some("--greeted"));
        match probe::<Connected>(attempt, &connect.from, &command).await? {
            Ok(_) => {
                connected = true;
                break;
            }
            Err(none) => silences.push(Silence {
                listener_proven: listener.answers(attempt, &command).await?,
                ..silence(none)
            }),
        }
    }
    let answer =
        if connected {
            Answer::Worked("connected".to_owned())
        } else {
            Answer::Nothing(decisive(silences).ok_or_else(|| {
                ActionError::Missing(format!("the {} has no IP address", connect.to))
            })?)
        };
    let uri = format!("{}, port {port}", connect.to);
    Ok(Observation::of(attempt.sent_past("CONNECT", uri), answer))
}

/// The silence that tells most: first one whose listener is proven. An address where nothing listens, or that cannot be
/// reached, is no way in.
fn decisive(silences: Vec<Silence>) -> Option<Silence> {
    let closed = |kind| matches!(kind, SilenceKind::Refused | SilenceKind::TimedOut);
    silences.into_iter().max_by_key(|silence| (silence.listener_proven, closed(silence.kind)))
}

/// Who listens.
struct Listener {
    /// Where.
    addresses: Vec<String>,
    /// The pods that can show it, as `namespace/name`.
    witnesses: Vec<String>,
    /// Whether it greets whoever connects, as our own image does.
    greets: bool,
}

impl Listener {
    async fn find(attempt: &Attempt<'_>, connect: &Connect) -> Result<Self, ActionError> {
        let found = match &connect.to {
            To::Pod(written) => Listener::pod(attempt, written).await?,
            To::Service(written) => Listener::service(attempt, written).await?,
            To::Address(address) => Listener {
                addresses: vec![address.to_string()],
                witnesses: Vec::new(),
                greets: false,
            },
        };
        Ok(match &connect.proven_from {
            Some(pod) => Listener { witnesses: vec![pod.clone()], ..found },
            None => found,
        })
    }

    /// A pod, which can connect to itself: no policy forbids that.
    async fn pod(attempt: &Attempt<'_>, written: &str) -> Result<Self, ActionError> {
        let (namespace, name) = place(written, &attempt.target.namespace);
        let pods = Api::<Pod>::namespaced(attempt.world.access.admin.clone(), namespace);
        let status = pods.get(name).await?.status.unwrap_or_default();
        let addresses = status.pod_ips.unwrap_or_default().into_iter().map(|it| it.ip).collect();
        let greets = attempt.target.greets(namespace, name);
        Ok(Listener { addresses, witnesses: vec![written.to_owned()], greets })
    }

    /// A Service, and the pods behind it that are ready.
    async fn service(attempt: &Attempt<'_>, written: &str) -> Result<Self, ActionError> {
        let (namespace, name) = place(written, &attempt.target.namespace);
        let admin = &attempt.world.access.admin;
        let services = Api::<Service>::namespaced(admin.clone(), namespace);
        let slices = Api::<EndpointSlice>::namespaced(admin.clone(), namespace);
        let behind = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let slices = pages(behind, async |page| slices.list(page).await);
        let (service, slices) = tokio::try_join!(services.get(name), slices)?;
        let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints);
        let ready = endpoints.filter(|endpoint| {
            endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
        });
        let pods: Vec<String> = ready.filter_map(|endpoint| endpoint.target_ref?.name).collect();
        Ok(Listener {
            addresses: service.spec.and_then(|spec| spec.cluster_ips).unwrap_or_default(),
            greets: !pods.is_empty()
                && pods.iter().all(|pod| attempt.target.greets(namespace, pod)),
            witnesses: pods.iter().map(|pod| format!("{namespace}/{pod}")).collect(),
        })
    }

    /// Whether one of the witnesses gets an answer where the attack got none.
    async fn answers(&self, attempt: &Attempt<'_>, command: &[&str]) -> Result<bool, ActionError> {
        for witness in &self.witnesses {
            if probe::<Connected>(attempt, witness, command).await?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Looks up a name from a pod.
pub(super) async fn resolve(
    attempt: &Attempt<'_>,
    resolve: &Resolve,
) -> Result<Observation, ActionError> {
    let command = ["probe", "resolve", &resolve.name];
    let answer = match probe::<Resolved>(attempt, &resolve.from, &command).await? {
        Ok(resolved) if resolved.addresses.is_empty() => {
            return Err(ActionError::Missing(format!("{} has no address", resolve.name)));
        }
        Ok(_) => Answer::Worked("resolved".to_owned()),
        Err(none) => Answer::Nothing(silence(none)),
    };
    Ok(Observation::of(attempt.sent_past("RESOLVE", resolve.name.clone()), answer))
}

/// Runs a verb of the probe in a pod, written `name` or `namespace/name`.
async fn probe<T: DeserializeOwned>(
    attempt: &Attempt<'_>,
    pod: &str,
    command: &[&str],
) -> Result<Result<T, NoAnswer>, ActionError> {
    let (namespace, name) = place(pod, &attempt.target.namespace);
    run_probe(attempt.world, attempt.target, namespace, name, command, None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(kind: SilenceKind, listener_proven: bool) -> Silence {
        Silence { kind, text: String::new(), listener_proven }
    }

    #[test]
    fn of_several_addresses_the_one_at_which_somebody_listens_decides() {
        let listening = silent(SilenceKind::TimedOut, true);
        let silences = [
            silent(SilenceKind::Refused, false),
            listening.clone(),
            silent(SilenceKind::Broken, true),
            silent(SilenceKind::TimedOut, false),
        ];
        assert_eq!(decisive(silences.to_vec()), Some(listening));
        assert_eq!(decisive(Vec::new()), None);
    }
}
