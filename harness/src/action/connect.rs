//! What a pod reaches over the network. Silence counts only beside the proof that somebody listens.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde::de::DeserializeOwned;

use super::stream::run;
use super::{ActionError, Attempt, Observation, silence};
use crate::catalog::{Connect, Resolve};
use crate::in_cluster::probe::{Connected, NoAnswer, Resolved, read};
use crate::verdict::{Answer, Effect, Sent, Silence};

/// How long a connection may take, in milliseconds. On one node an answer takes less than one.
const PATIENCE: &str = "2000";

/// Opens a TCP connection from one pod to another.
pub(super) async fn connect(
    attempt: &Attempt<'_>,
    connect: &Connect,
) -> Result<Observation, ActionError> {
    let address = address(attempt, &connect.to).await?;
    let port = connect.port.to_string();
    let command = ["probe", "connect", &address, &port, "--timeout-ms", PATIENCE];
    let answer = match probe::<Connected>(attempt, &connect.from, &command).await? {
        Ok(_) => Answer::Worked("connected".to_owned()),
        Err(none) => {
            let proof = probe::<Connected>(attempt, &connect.to, &command).await?;
            Answer::Nothing(Silence { listener_proven: proof.is_ok(), ..silence(none) })
        }
    };
    Ok(observed(attempt.sent_past("CONNECT", format!("{}:{port}", connect.to)), answer))
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
    Ok(observed(attempt.sent_past("RESOLVE", resolve.name.clone()), answer))
}

fn observed(sent: Sent, answer: Answer) -> Observation {
    Observation { sent, answer, effect: Effect::NotApplicable, traced: None }
}

async fn address(attempt: &Attempt<'_>, pod: &str) -> Result<String, ActionError> {
    let pods = Api::<Pod>::namespaced(attempt.world.admin.clone(), &attempt.scene.namespace);
    let pod = pods.get(pod).await?;
    let address = pod.status.and_then(|status| status.pod_ip);
    address.ok_or_else(|| ActionError::Missing("the pod has no address".to_owned()))
}

async fn probe<T: DeserializeOwned>(
    attempt: &Attempt<'_>,
    pod: &str,
    command: &[&str],
) -> Result<Result<T, NoAnswer>, ActionError> {
    let stream = run(attempt.world, &attempt.scene.namespace, pod, command).await?;
    read(&stream.stdout)
        .map_err(|_| ActionError::Probe { answer: format!("{}{}", stream.stdout, stream.stderr) })
}
