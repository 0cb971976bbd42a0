//! Any request to the API server. What it makes is looked for and removed, what it deletes is looked for as well.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::http::{Content, metadata_only, plain, with_query};
use super::ledger::look;
use super::{ActionError, Attempt, Observation, mutation};
use crate::catalog::fill_texts;
use crate::model::{Aim, ApiPath, Door, Effect, Method, Patch, Request, query_values};
use crate::text::encode;

/// Sends the request and, where it makes or deletes something, looks whether it did.
pub(super) async fn send(
    attempt: &Attempt<'_>,
    request: &Request,
) -> Result<Observation, ActionError> {
    let mut request = filled(request, &attempt.world.access.node_name, attempt.ledger.unique());
    let change = Change::of(attempt, &request).await?;
    if let (Change::Makes { collection }, Some(body)) = (&change, &mut request.body) {
        attempt.ledger.enter(attempt.audit_id, collection, body)?;
    }
    let content = request.body.as_ref().map(|body| match attempt.door {
        Door::ApplyYaml => Content::yaml(media_type(&request), body),
        _ => Content::json(media_type(&request), body),
    });
    let (sent, answer, object) =
        attempt.ask_for(&form(&request), request.method, &request.path, content).await;
    let effect = match &change {
        // It was made by another client meanwhile: a creation is answered 201.
        Change::Makes { .. } if request.method != Method::Post && answer.code() == Some(200) => {
            attempt.ledger.strike(attempt.audit_id);
            attempt.ledger.spare(plain(&request.path)).await?;
            Effect::NotApplicable
        }
        Change::Makes { .. } => attempt.made(&answer, &asked(&request)).await?,
        Change::Deletes { path, before } => gone(attempt, path, before).await?,
        Change::Other if object["kind"] == "Pod" => {
            mutation::effect_of_dry_run(&asked(&request), &object)
        }
        Change::Other => Effect::NotApplicable,
    };
    // Where nothing was to come of it, nothing that came is no sign of a refusal.
    let effect = match effect {
        Effect::Absent if request.asks_dry_run() => Effect::NotApplicable,
        seen => seen,
    };
    Ok(Observation { sent, answer, effect, traced: None })
}

/// The request on a cluster whose node has this name, in a scenario with this name of its own. A server-side apply that
/// names no field manager gets one: the API server demands it.
fn filled(request: &Request, node: &str, unique: &str) -> Request {
    let fill = |text: &str| text.replace("${node}", node).replace("${unique}", unique);
    let mut path = fill(&request.path);
    if request.patch == Some(Patch::Apply) && query_values(&path, "fieldManager").is_empty() {
        path = with_query(&path, "fieldManager=brinell");
    }
    let body = request.body.as_ref().map(|body| fill_texts(body, &fill));
    Request { path, body, ..request.clone() }
}

/// What the object that was made is compared with, to see whether a mutation took the attack out of it: of a pod its
/// spec. Other kinds are not compared.
fn asked(request: &Request) -> Value {
    let body = request.body.as_ref().unwrap_or(&Value::Null);
    match (body["apiVersion"].as_str(), body["kind"].as_str()) {
        (Some("v1"), Some("Pod")) => json!({"spec": body["spec"]}),
        _ => Value::Null,
    }
}

/// In which form its answer is accepted. A pod that would be made comes whole: nothing else shows what mutations leave
/// of it.
fn form(request: &Request) -> String {
    let would_make = request.method == Method::Post && request.is_dry_run();
    match asked(request) {
        Value::Object(_) if would_make => "application/json".to_owned(),
        _ => metadata_only(request.method, &request.path),
    }
}

fn media_type(request: &Request) -> &'static str {
    match (request.method, request.patch) {
        (Method::Patch, patch) => patch.unwrap_or(Patch::Strategic).media_type(),
        _ => "application/json",
    }
}

/// What a request does to what is stored, where its [`Aim`] can be seen.
enum Change {
    /// It makes an object in this collection.
    Makes { collection: String },
    /// It deletes what is at this path.
    Deletes { path: String, before: Vec<ObjectMeta> },
    /// Anything else.
    Other,
}

impl Change {
    async fn of(attempt: &Attempt<'_>, request: &Request) -> Result<Change, ActionError> {
        let admin = &attempt.world.access.admin;
        let plain = plain(&request.path);
        Ok(match request.aim() {
            Aim::Make => Change::Makes { collection: plain.to_owned() },
            Aim::MakeOrChange => {
                let free = look(admin, plain).await?.is_empty();
                match plain.rsplit_once('/').filter(|_| free) {
                    Some((collection, _)) => Change::Makes { collection: collection.to_owned() },
                    None => Change::Other,
                }
            }
            Aim::Delete => {
                let path = format!("{plain}{}", selectors(&request.path));
                let mut before = look(admin, &path).await?;
                before.retain(|object| object.deletion_timestamp.is_none());
                Change::Deletes { path, before }
            }
            Aim::Other => Change::Other,
        })
    }
}

/// The part of a query that says which objects of a collection are meant.
fn selectors(uri: &str) -> String {
    let keys = ["labelSelector", "fieldSelector"];
    let first = |key| Some((key, query_values(uri, key).into_iter().next()?));
    let pairs: Vec<String> = keys
        .into_iter()
        .filter_map(first)
        .map(|(key, value)| format!("{key}={}", encode(&value)))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// What was there before and is gone, or is being deleted.
async fn gone(
    attempt: &Attempt<'_>,
    path: &str,
    before: &[ObjectMeta],
) -> Result<Effect, ActionError> {
    if before.is_empty() {
        return Ok(Effect::NotApplicable);
    }
    let after = look(&attempt.world.access.admin, path).await?;
    let stays = |object: &&ObjectMeta| {
        let still = after.iter().find(|other| other.uid == object.uid);
        still.is_some_and(|still| still.deletion_timestamp.is_none())
    };
    let gone: Vec<&str> = before
        .iter()
        .filter(|object| !stays(object))
        .filter_map(|object| object.name.as_deref())
        .collect();
    let resource = ApiPath::parse(path).unwrap_or_default().resource;
    Ok(match gone.as_slice() {
        [] => Effect::Absent,
        [name] => Effect::Gone(format!("{resource}/{name}")),
        names => Effect::Gone(format!("{} {resource}", names.len())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What else is made may hold a Secret's value.
    #[test]
    fn a_pod_alone_comes_whole_and_as_a_dry_run_alone() {
        let whole = |method: Method, path: &str, kind: &str| {
            let body = Some(json!({"apiVersion": "v1", "kind": kind, "spec": {}}));
            let request = Request { method, path: path.to_owned(), patch: None, body };
            form(&request) == "application/json"
        };
        let pods = "/api/v1/namespaces/a/pods";
        let dry_run = format!("{pods}?dryRun=All");
        assert!(whole(Method::Post, &dry_run, "Pod"));
        assert!(!whole(Method::Post, &dry_run, "Secret"));
        assert!(!whole(Method::Post, pods, "Pod") && !whole(Method::Patch, &dry_run, "Pod"));
    }

    #[test]
    fn a_collection_is_looked_at_as_far_as_it_is_meant() {
        let path = "/api/v1/namespaces/a/pods?limit=1&labelSelector=app%3Da&fieldSelector=x";
        assert_eq!(selectors(path), "?labelSelector=app%3Da&fieldSelector=x");
        assert_eq!(selectors("/api/v1/namespaces/a/pods"), "");
    }
}
