//! What a reader of the audit log finds: a Secret is made and read in the ordinary way, and the whole log is searched
//! for its value.

use serde_json::{Value, json};

use super::ledger::selector;
use super::{ActionError, Attempt, Observation};
use crate::model::{Answer, Effect, Searched};
use crate::text::encode;

/// Makes a Secret that holds the canary, reads it, and looks for it in the log up to a fence.
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
            let read = read(attempt, &path).await;
            attempt.made(&made, &Value::Null).await?;
            read?;
            Answer::AuditLog(searched(attempt).await?)
        }
        _ => made,
    };
    Ok(Observation { sent, answer, effect: Effect::NotApplicable, traced: None })
}

/// Reads the Secret with its value, in a list. Nothing of it is kept.
async fn read(attempt: &Attempt<'_>, path: &str) -> Result<(), ActionError> {
    let missing = |error: http::Error| ActionError::Missing(error.to_string());
    let own = encode(&selector(attempt.audit_id));
    let path = format!("{path}?labelSelector={own}&limit=1");
    let list = http::Request::get(path).body(Vec::new()).map_err(missing)?;
    Ok(attempt.world.access.admin.request::<Value>(list).await.map(drop)?)
}

async fn searched(attempt: &Attempt<'_>) -> Result<Searched, ActionError> {
    let missing = |why: String| ActionError::Missing(why);
    let fence = format!("{}-fence", attempt.audit_id);
    attempt.world.fence(&fence).await.map_err(|error| missing(error.to_string()))?;
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
