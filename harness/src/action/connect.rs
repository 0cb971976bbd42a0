//! What a pod reaches over the network. Silence counts only beside the proof that somebody listens.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;

use super::stream::run;
use super::{ActionError, Attempt, Observation};
use crate::catalog::{Connect, Resolve};
use crate::verdict::{Answer, Effect, Sent, Silence, SilenceKind};

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
    let answer = probe(attempt, &connect.from, &command).await?;
    let proven = || async {
        let proof = probe(attempt, &connect.to, &command).await?;
        Ok::<_, ActionError>(proof["connected"] == true)
    };
    let answer = match answer["connected"].as_bool() {
        Some(true) => Answer::Worked("connected".to_owned()),
        _ => Answer::Nothing(Silence { listener_proven: proven().await?, ..silence(&answer)? }),
    };
    Ok(observed(attempt.sent_past("CONNECT", format!("{}:{port}", connect.to)), answer))
}

/// Looks up a name from a pod.
pub(super) async fn resolve(
    attempt: &Attempt<'_>,
    resolve: &Resolve,
) -> Result<Observation, ActionError> {
    let answer = probe(attempt, &resolve.from, &["probe", "resolve", &resolve.name]).await?;
    let answer = match answer["addresses"].as_array() {
        Some(addresses) if !addresses.is_empty() => {
            Answer::Worked(format!("{} addresses", addresses.len()))
        }
        _ => Answer::Nothing(silence(&answer)?),
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

async fn probe(attempt: &Attempt<'_>, pod: &str, command: &[&str]) -> Result<Value, ActionError> {
    let stream = run(&attempt.world.admin, &attempt.scene.namespace, pod, command).await?;
    serde_json::from_str(&stream.stdout)
        .map_err(|_| ActionError::Probe { answer: format!("{}{}", stream.stdout, stream.stderr) })
}

/// The silence that our probe reports: `{"silence": "timed-out", "text": …}`.
pub(super) fn silence(answer: &Value) -> Result<Silence, ActionError> {
    let kind: SilenceKind = serde_json::from_value(answer["silence"].clone())
        .map_err(|_| ActionError::Probe { answer: answer.to_string() })?;
    let text = answer["text"].as_str().unwrap_or_default().to_owned();
    Ok(Silence { kind, text, listener_proven: false })
}
