//! A read of etcd, as by somebody who has the node's disk or etcd's certificate. Keys are named; values stay in the
//! probe.

use super::{ActionError, Attempt, Observation};
use crate::model::{Answer, Etcd, Storage};

/// Reads everything.
pub(super) async fn read(attempt: &Attempt<'_>, etcd: &Etcd) -> Result<Observation, ActionError> {
    let found = attempt.world.stored(&etcd.prefix).await?;
    let sent = attempt.sent_past("READ", format!("etcd {}", etcd.prefix));
    let storage = Storage {
        keys: found.keys,
        below_prefix: found.below_prefix,
        plain_count: found.plain_count,
        plain: found.plain,
        canary_count: found.canary_count,
        canary: found.canary,
    };
    Ok(Observation::of(sent, Answer::Storage(storage)))
}
