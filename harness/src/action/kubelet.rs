//! The kubelet's own port, asked from a container beside the node. The API server never sees this.

use serde_json::{Value, json};

use super::connect::silence;
use super::http::name;
use super::{ActionError, Attempt, Observation};
use crate::catalog::Kubelet;
use crate::text::cut;
use crate::verdict::{Answer, Effect, Response, Silence};

/// The port on which the kubelet asks who is calling.
const SECURE_PORT: u16 = 10250;

/// Sends the request, with the persona's token where it has one.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    kubelet: &Kubelet,
) -> Result<Observation, ActionError> {
    let scheme = if kubelet.port == SECURE_PORT { "https" } else { "http" };
    let question = question(attempt, scheme, kubelet.port, name(kubelet.method), &kubelet.path);
    let answer = attempt.world.kind.probe("request", &question).await?;
    let answer = match response(&answer) {
        Some(response) => Answer::Http(response),
        // A closed port says something only when the node itself is reached.
        None => Answer::Nothing(Silence {
            listener_proven: node_answers(attempt).await?,
            ..silence(&answer)?
        }),
    };
    let uri = format!("{scheme}://node:{}{}", kubelet.port, kubelet.path);
    Ok(Observation {
        sent: attempt.sent_past(name(kubelet.method), uri),
        answer,
        effect: Effect::NotApplicable,
        traced: None,
    })
}

fn question(attempt: &Attempt<'_>, scheme: &str, port: u16, method: &str, path: &str) -> Value {
    let mut headers = json!({"User-Agent": attempt.user_agent});
    if let Some(token) = attempt.identity.token() {
        headers["Authorization"] = json!(format!("Bearer {token}"));
    }
    json!({
        "scheme": scheme,
        "address": format!("{}:{port}", attempt.world.node),
        "server_name": attempt.world.node,
        "method": method,
        "path": path,
        "headers": headers,
        "timeout_ms": 10_000,
    })
}

async fn node_answers(attempt: &Attempt<'_>) -> Result<bool, ActionError> {
    let question = question(attempt, "https", SECURE_PORT, "GET", "/healthz");
    let answer = attempt.world.kind.probe("request", &question).await?;
    Ok(response(&answer).is_some())
}

/// Of a success only the code is kept: what the kubelet tells about pods is nobody's business.
fn response(answer: &Value) -> Option<Response> {
    let code = u16::try_from(answer["code"].as_u64()?).ok()?;
    let refused = !(200..300).contains(&code);
    let body = answer["body"].as_str().filter(|_| refused);
    Some(Response { code, text: body.map(|body| cut(body, 512)), ..Response::default() })
}
