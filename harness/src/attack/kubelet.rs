//! The kubelet's own port, asked from a container beside the node. The API server never sees this.

use std::collections::BTreeMap;

use super::http::name;
use super::{ActionError, Attempt, Observation, silence};
use crate::model::{Answer, Effect, Kubelet, Response, Silence};
use crate::pod::probe::{RequestAnswer, RequestOrder, Scheme};
use crate::text::cut;

/// The port on which the kubelet asks who is calling.
const SECURE_PORT: u16 = 10250;

/// Sends the request, with the persona's token where it has one.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    kubelet: &Kubelet,
) -> Result<Observation, ActionError> {
    let order = order(attempt, kubelet.port, name(kubelet.method), &kubelet.path)?;
    let answer = match attempt.world.node()?.request(&order).await? {
        Ok(answer) => Answer::Http(response(&answer)),
        // A closed port says something only when the node itself is reached.
        Err(none) => Answer::Nothing(Silence {
            listener_proven: node_answers(attempt).await?,
            ..silence(none)
        }),
    };
    let scheme = if kubelet.port == SECURE_PORT { "https" } else { "http" };
    let uri = format!("{scheme}://node:{}{}", kubelet.port, kubelet.path);
    Ok(Observation {
        sent: attempt.sent_past(name(kubelet.method), uri),
        answer,
        effect: Effect::NotApplicable,
        traced: None,
    })
}

fn order(
    attempt: &Attempt<'_>,
    port: u16,
    method: &str,
    path: &str,
) -> Result<RequestOrder, ActionError> {
    let mut headers = BTreeMap::from([("User-Agent".to_owned(), attempt.user_agent.to_owned())]);
    if let Some(token) = attempt.identity.token() {
        headers.insert("Authorization".to_owned(), format!("Bearer {token}"));
    }
    Ok(RequestOrder {
        scheme: if port == SECURE_PORT { Scheme::Https } else { Scheme::Http },
        address: attempt.world.node()?.at(port),
        server_name: None,
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: None,
        // The kubelet's certificate is signed by itself. The address says which kubelet is asked.
        ca: None,
        client_cert: None,
        client_key: None,
        timeout_ms: 10_000,
    })
}

async fn node_answers(attempt: &Attempt<'_>) -> Result<bool, ActionError> {
    let order = order(attempt, SECURE_PORT, "GET", "/healthz")?;
    Ok(attempt.world.node()?.request(&order).await?.is_ok())
}

/// Of a success only the code is kept: what the kubelet says about pods is not needed, and may be secret.
fn response(answer: &RequestAnswer) -> Response {
    let refused = !(200..300).contains(&answer.code);
    let text = refused.then(|| cut(&answer.body, 512));
    Response { code: answer.code, text, ..Response::default() }
}
