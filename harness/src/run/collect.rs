//! Collecting what the audit log holds of attempts that were sent.

use super::send::{Sending, Uncollected};
use super::stage::Stage;
use crate::attack::Observation;
use crate::judge::own_events;
use crate::model::{AttemptRecord, Log, Seen};

/// The Audit-ID of a marked request that is in the log, so that everything is that was answered before; or why none is.
pub(super) type Fence = Result<String, String>;

/// Adds to each attempt what the log holds of it. One fence after the last of them is enough for all.
pub(super) async fn collect(stage: &Stage, sendings: Vec<Sending>) -> Vec<AttemptRecord> {
    if sendings.is_empty() {
        return Vec::new();
    }
    let fence = fence(stage).await;
    sendings.into_iter().map(|sending| record(stage, sending, &fence)).collect()
}

/// Sends a marked request and waits until it is in the log.
pub(super) async fn fence(stage: &Stage) -> Fence {
    match stage.while_there(stage.fence()).await {
        Ok(fence) => fence.map_err(|error| error.to_string()),
        Err(gone) => Err(gone.to_string()),
    }
}

/// The events of an attempt, read up to a fence that was sent after it.
pub(super) fn log(stage: &Stage, observation: &Observation, fence: &Fence) -> Log {
    let Some(audit_id) = &observation.sent.audit_id else { return Log::NotApplicable };
    let Some(audit) = &stage.world.sight.log else { return Log::Disabled };
    match fence {
        Ok(fence) => Log::Read {
            events: own_events(&observation.sent, audit.events(audit_id)),
            traces: observation
                .traced
                .as_ref()
                .map(|traced| audit.traces(|event| traced.matches(event)))
                .unwrap_or_default(),
            fence: fence.clone(),
        },
        Err(why) => Log::Unreadable(why.clone()),
    }
}

fn record(stage: &Stage, sending: Sending, fence: &Fence) -> AttemptRecord {
    let Sending { seen, too_soon } = sending;
    AttemptRecord { seen: seen.map(|seen| with_log(stage, seen, fence)), too_soon }
}

fn with_log(stage: &Stage, seen: Uncollected, fence: &Fence) -> Seen {
    let Uncollected { observation, webhooks, is_controller_elsewhere } = seen;
    let log = log(stage, &observation, fence);
    let Observation { sent, answer, effect, traced: _ } = observation;
    Seen { sent, answer, effect, log, webhooks, is_controller_elsewhere }
}
