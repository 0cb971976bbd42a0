//! A read of etcd, as by somebody who has the node's disk or etcd's certificate. Keys are named; values stay in the
//! probe.

use super::{ActionError, Attempt, Observation};
use crate::model::{Answer, Effect, Etcd, Storage};

/// Reads everything.
pub(super) async fn read(attempt: &Attempt<'_>, etcd: &Etcd) -> Result<Observation, ActionError> {
    let world = attempt.world;
    let found =
        world.etcd()?.read(&etcd.prefix, &world.canary).await?.map_err(|none| {
            ActionError::Missing(format!("etcd could not be read: {}", none.text))
        })?;
    Ok(Observation {
        sent: attempt.sent_past("READ", format!("etcd {}", etcd.prefix)),
        answer: Answer::Storage(Storage {
            keys: found.keys,
            below_prefix: found.below_prefix,
            plain_count: found.plain_count,
            plain: found.plain,
            canary_count: found.canary_count,
            canary: found.canary,
        }),
        effect: Effect::NotApplicable,
        traced: None,
    })
}
