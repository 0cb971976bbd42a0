//! Any request to the API server. What it makes is looked for and removed.

use serde_json::Value;

use super::http::name;
use super::{ActionError, Attempt, Observation};
use crate::audit::{ApiPath, verb};
use crate::catalog::{Method, Request};
use crate::verdict::{Effect, Sent};

/// What PATCH sends for built-in kinds, like kubectl.
const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";

/// Sends the request and, where it makes an object, looks whether the object is there.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    request: &Request,
) -> Result<Observation, ActionError> {
    let content_type = match request.method {
        Method::Patch => STRATEGIC_MERGE,
        _ => "application/json",
    };
    let uri = request.uri(&attempt.world.node_name);
    let answer = attempt.ask(request.method, &uri, content_type, request.body.as_ref()).await;
    let method = name(request.method);
    Ok(Observation {
        sent: Sent {
            body: request.body.is_some(),
            ..attempt.sent(method, &uri, verb(request.method, &uri))
        },
        answer,
        effect: effect(attempt, request, &uri).await?,
        traced: None,
    })
}

/// Whether the object that a POST makes is there; it goes at once.
async fn effect(
    attempt: &Attempt<'_>,
    request: &Request,
    uri: &str,
) -> Result<Effect, ActionError> {
    let name = request.body.as_ref().and_then(|body| body["metadata"]["name"].as_str());
    let (Method::Post, Some(name)) = (request.method, name) else {
        return Ok(Effect::NotApplicable);
    };
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let subresource = ApiPath::parse(path).is_some_and(|path| !path.subresource.is_empty());
    // What is sent to a subresource makes no object below it.
    if subresource || query.contains("dryRun=All") {
        return Ok(Effect::NotApplicable);
    }
    attempt.look_and_remove(&format!("{path}/{name}"), name).await
}

impl Attempt<'_> {
    /// Whether the admin finds an object at `path`; if so it is removed without delay.
    pub(super) async fn look_and_remove(
        &self,
        path: &str,
        name: &str,
    ) -> Result<Effect, ActionError> {
        let admin = &self.world.admin;
        let missing = |error: http::Error| ActionError::Missing(error.to_string());
        let look = http::Request::get(path).body(Vec::new()).map_err(missing)?;
        match admin.request::<Value>(look).await {
            Ok(object) => {
                let kind = object["kind"].as_str().unwrap_or("object").to_owned();
                let remove = format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background");
                let remove = http::Request::delete(remove).body(Vec::new()).map_err(missing)?;
                admin.request::<Value>(remove).await?;
                Ok(Effect::Present(format!("{kind} {name}")))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Effect::Absent),
            Err(error) => Err(error.into()),
        }
    }
}
