//! Which doors of streams the way to an existing cluster has. What stands between may refuse a stream itself, or drop
//! what asks for one.

use std::collections::BTreeMap;

use http::{Request, StatusCode};

use super::stream::{Protocols, method, upgrade};
use crate::cluster::{AUDIT_ID, Access, exchange, is_without_id, silence};
use crate::model::{Door, Silence, SilenceKind};

/// What is asked for by WebSocket: a watch is one that needs no pod. Nothing has this name.
const WATCH: &str =
    "/api/v1/namespaces?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dbrinell-none";

/// What is asked for by SPDY: a stream into a pod that is not there, which the API server itself refuses. It does not
/// show whether the upgrade headers arrived.
const EXEC: &str = "/api/v1/namespaces/default/pods/brinell-none/exec?command=true&stdout=true";

/// One protocol is enough, and a watch must not be offered more.
const PROTOCOLS: Protocols =
    Protocols { websocket: "v5.channel.k8s.io", spdy: "v4.channel.k8s.io" };

/// The doors of streams that do not lead to the API server, and what shows it: each is tried once, as the admin, so
/// that nothing is opened and nobody is entered. Where no answer brings an Audit-ID back, nothing tells who gave it,
/// and none is known.
pub async fn closed(access: &Access, run: &str) -> BTreeMap<Door, String> {
    if access.keeps_id(run).await != Some(true) {
        return BTreeMap::new();
    }
    let mut closed = BTreeMap::new();
    for door in Door::STREAMS {
        if let Some(why) = why_closed(access, *door, run).await {
            let label = door.label();
            closed.insert(*door, format!("{label} does not lead to the API server: {why}"));
        }
    }
    closed
}

async fn why_closed(access: &Access, door: Door, run: &str) -> Option<String> {
    let is_websocket = door == Door::GetWebsocket;
    let request = Request::builder()
        .method(method(door))
        .uri(if is_websocket { WATCH } else { EXEC })
        .header(AUDIT_ID, format!("{run}-{}", door.name()))
        // A watch by WebSocket is refused without one (measured on 1.36.3).
        .header("Origin", "http://brinell.invalid");
    match send(access, upgrade(request, door, PROTOCOLS)).await {
        // What may be otherwise the next time closes nothing: each attempt tells it by itself.
        Err(_) | Ok((StatusCode::SWITCHING_PROTOCOLS | StatusCode::TOO_MANY_REQUESTS, _)) => None,
        Ok((code, _)) if code.is_server_error() => None,
        Ok((code, true)) => Some(format!("something before it answered {}", code.as_u16())),
        Ok((code, false)) if is_websocket && code.is_success() => {
            Some("something before it dropped what asks for a WebSocket".to_owned())
        }
        Ok(_) => None,
    }
}

/// The code of an answer, and whether it is strange: without the Audit-ID that was sent.
async fn send(
    access: &Access,
    request: http::request::Builder,
) -> Result<(StatusCode, bool), Silence> {
    let request = request.body(Vec::new());
    let request = request.map_err(|error| silence(SilenceKind::Broken, &error.to_string()))?;
    let response = exchange(&access.admin, request).await?;
    Ok((response.status(), is_without_id(&response)))
}
