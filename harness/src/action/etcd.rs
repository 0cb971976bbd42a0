//! What somebody reads who has the node's disk or etcd's certificate: keys are named, values never leave.

use serde::Deserialize;
use serde_json::json;

use super::{ActionError, Attempt, Observation};
use crate::audit::AuditLog;
use crate::catalog::Etcd;
use crate::verdict::{Answer, Effect, Storage};

/// The probe's answer.
#[derive(Deserialize)]
struct Found {
    keys: usize,
    below_prefix: usize,
    plain: Vec<String>,
    canary: Vec<String>,
}

/// Reads everything, and looks in the audit log for the canary too.
pub(super) async fn read(attempt: &Attempt<'_>, etcd: &Etcd) -> Result<Observation, ActionError> {
    let world = attempt.world;
    let access = world.kind.etcd_access().await?;
    let question = json!({
        "address": format!("{}:2379", world.node),
        "server_name": world.node,
        "ca": access.ca,
        "client_cert": access.certificate,
        "client_key": access.key,
        "prefix": etcd.prefix,
        "canary": world.canary,
    });
    let answer = world.kind.probe("etcd", &question).await?;
    let found: Found = serde_json::from_value(answer.clone())
        .map_err(|_| ActionError::Probe { answer: answer.to_string() })?;
    Ok(Observation {
        sent: attempt.sent_past("READ", format!("etcd {}", etcd.prefix)),
        answer: Answer::Storage(Storage {
            keys: found.keys,
            below_prefix: found.below_prefix,
            plain: found.plain,
            canary: found.canary,
            canary_in_audit_log: world.audit.as_ref().is_some_and(AuditLog::canary_seen),
        }),
        effect: Effect::NotApplicable,
        traced: None,
    })
}
