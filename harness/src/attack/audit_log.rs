//! What a reader of the audit log finds: a Secret is made, read and changed in the ordinary ways, each of which is a
//! verb that a policy may keep the bodies of, and the whole log is searched for its value.

use http::Method;
use serde_json::{Value, json};

use super::ledger::selector;
use super::{ActionError, Attempt, Observation};
use crate::model::{Answer, Patch, Searched};
use crate::text::encode;

/// Makes a Secret that holds the canary, reads and changes it, and looks for it in the log up to a fence.
pub(super) async fn search(attempt: &Attempt<'_>) -> Result<Observation, ActionError> {
    let unique = attempt.unique();
    let path = format!("/api/v1/namespaces/{}/secrets", attempt.target.namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": unique},
        "stringData": {"value": attempt.world.canary},
    });
    let (sent, made) = attempt.create(&path, body).await?;
    let answer = match &made {
        Answer::Http(response) if response.is_success() => {
            let used = using(attempt, &path, &unique).await;
            attempt.made(&made, &Value::Null).await?;
            used?;
            Answer::AuditLog(searched(attempt).await?)
        }
        _ => made,
    };
    Ok(Observation::of(sent, answer))
}

/// Reads the Secret with its value, in a list and by its name, and writes the same value once more in both ways: by PUT
/// and by PATCH. Nothing of it is kept. What has its name and is another object is not changed.
async fn using(attempt: &Attempt<'_>, collection: &str, name: &str) -> Result<(), ActionError> {
    let own = encode(&selector(attempt.audit_id));
    let own_list = format!("{collection}?labelSelector={own}&limit=1");
    ask(attempt, Method::GET, &own_list, None).await?;
    let path = format!("{collection}/{name}");
    let mut secret = ask(attempt, Method::GET, &path, None).await?;
    let uid = secret["metadata"]["uid"].clone();
    secret["stringData"] = json!({"value": attempt.world.canary});
    ask(attempt, Method::PUT, &path, Some(("application/json", &secret))).await?;
    let change = json!({"metadata": {"uid": uid}, "stringData": secret["stringData"]});
    let merge = Some((Patch::Merge.media_type(), &change));
    ask(attempt, Method::PATCH, &path, merge).await.map(drop)
}

/// Sends a request as the admin, with the media type and the object of its body.
async fn ask(
    attempt: &Attempt<'_>,
    method: Method,
    path: &str,
    body: Option<(&str, &Value)>,
) -> Result<Value, ActionError> {
    let missing = |error: http::Error| ActionError::Missing(error.to_string());
    let mut request = http::Request::builder().method(method).uri(path);
    let mut bytes = Vec::new();
    if let Some((media_type, object)) = body {
        request = request.header("Content-Type", media_type);
        bytes = object.to_string().into_bytes();
    }
    let request = request.body(bytes).map_err(missing)?;
    Ok(attempt.world.access.admin.request::<Value>(request).await?)
}

async fn searched(attempt: &Attempt<'_>) -> Result<Searched, ActionError> {
    let missing = |why: String| ActionError::Missing(why);
    attempt.world.fence().await.map_err(|error| missing(error.to_string()))?;
    let leaks = attempt.world.sight.log.as_ref().map(|audit| audit.leaks()).unwrap_or_default();
    if leaks.count == 0 && leaks.unsearched > 0 {
        let unsearched =
            crate::text::count(leaks.unsearched.try_into().unwrap_or(usize::MAX), "line");
        return Err(missing(format!(
            "{unsearched} of the audit log could not be searched to the end"
        )));
    }
    Ok(Searched { leaks: leaks.count, first: leaks.first })
}
