//! What somebody reads who has the node's disk or etcd's certificate: keys are named, values never leave.

use super::{ActionError, Attempt, Observation};
use crate::model::{Answer, Effect, Etcd, Storage};
use crate::pod::probe::{EtcdAnswer, EtcdOrder};

/// Reads everything.
pub(super) async fn read(attempt: &Attempt<'_>, etcd: &Etcd) -> Result<Observation, ActionError> {
    let world = attempt.world;
    let access = world.cluster.etcd_access().await?;
    let order = EtcdOrder {
        address: world.address(access.port)?,
        server_name: world.node.clone(),
        ca: access.ca,
        client_cert: access.certificate,
        client_key: access.key,
        prefix: etcd.prefix.clone(),
        canary: world.canary.clone(),
    };
    let found: EtcdAnswer =
        world.cluster.probe_etcd(&order).await?.map_err(|none| {
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
