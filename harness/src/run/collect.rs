//! Collecting what the audit log holds of attempts that were sent.

use super::send::{Sending, Uncollected};
use super::stage::Stage;
use crate::attack::{Observation, Traced};
use crate::audit::source::NotCome;
use crate::audit::{AuditLog, Awaited};
use crate::cluster::ask;
use crate::judge::own_events;
use crate::model::{AttemptRecord, Event, Log, Seen};

/// The Audit-ID of a marked request, which shows where it is in the log that everything is there that was answered before; or
/// why there is none.
pub(super) type Fence = Result<String, String>;

/// Adds to each attempt what the log holds of it. One fence after the last of them is enough for all.
pub(super) async fn collect(stage: &Stage, sendings: Vec<Sending>) -> Vec<AttemptRecord> {
    if sendings.is_empty() {
        return Vec::new();
    }
    let fence = match &stage.world.sight.log {
        // It was waited for already, once for all scenarios.
        Some(log) if !log.is_in_order() => Err(absent(log)),
        _ => fence(stage).await,
    };
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
    let events = own_events(&observation.sent, audit.events(audit_id));
    let traced = observation.traced.as_ref();
    let traces = traced.map(|it| audit.traces(|event| it.matches(event))).unwrap_or_default();
    match fence {
        Ok(fence) => Log::Read { events, traces, fence: fence.clone() },
        // What is there is true, also where nothing shows that all of it is.
        Err(why) => match events {
            events
                if stage.world.sight.disorder().is_some()
                    && is_whole(observation, &events, &traces) =>
            {
                Log::Read { events, traces, fence: String::new() }
            }
            _ => Log::Unreadable(why.clone()),
        },
    }
}

/// Why what has not come is not proved to be absent.
fn absent(log: &AuditLog) -> String {
    if let Some(ended) = log.ended() {
        return ended;
    }
    unproved(log, &log.disorder().unwrap_or_default())
}

fn unproved(log: &AuditLog, why: &str) -> String {
    let patience = log.patience();
    format!("no event of it came within {patience:?}, and nothing proves that none will: {why}")
}

/// Whether what is there of an attempt is all that can come of it. A trace that may be another attempt's shows nothing of it.
fn is_whole(observation: &Observation, events: &[Event], traces: &[Event]) -> bool {
    let is_shown = |traced: &Traced| traces.iter().any(|event| traced.is_shown_by(event));
    events.iter().any(Event::is_answered) && observation.traced.as_ref().is_none_or(is_shown)
}

/// Waits until the events of all that was sent are there, where nothing tells when they are, or until none comes any more.
pub(super) async fn await_all(stage: &Stage, awaited: &[Awaited]) {
    let Some(log) = &stage.world.sight.log else { return };
    let Some(command) = &stage.world.sight.command else {
        return log.wait_for_answers(awaited).await;
    };
    let once = async || match ask(command, async |printed| log.read_through(printed).await).await {
        Ok(read) => read.map_err(|unread| unread.to_string()),
        Err(failed) => Err(failed.to_string()),
    };
    // What has not come by then is told of each attempt that lacks it.
    if let Err(failed @ NotCome::Failed(_)) = command.until(once, || log.has_answers(awaited)).await
    {
        log.end(failed.to_string());
    }
}

fn record(stage: &Stage, sending: Sending, fence: &Fence) -> AttemptRecord {
    let Sending { seen, too_soon } = sending;
    AttemptRecord { seen: seen.map(|seen| with_log(stage, seen, fence)), too_soon }
}

fn with_log(stage: &Stage, seen: Uncollected, fence: &Fence) -> Seen {
    let Uncollected {
        observation,
        webhooks,
        is_controller_elsewhere,
        fence: own,
        unseen,
        was_taken,
    } = seen;
    let own = own.map(|own| own_fence(stage, &observation, own));
    let log = log(stage, &observation, own.as_ref().unwrap_or(fence));
    let Observation { sent, answer, effect, traced: _ } = observation;
    Seen { sent, answer, effect, log, webhooks, is_controller_elsewhere, unseen, was_taken }
}

/// The fence that was sent by an attempt's own connection, where it proves that all of it is there. Of what a controller
/// did it proves nothing: that may have asked another API server.
fn own_fence(stage: &Stage, observation: &Observation, fence: Fence) -> Fence {
    let Some(log) = &stage.world.sight.log else { return fence };
    let sent =
        fence.map_err(|why| format!("its connection took no marked request after it: {why}"));
    let seen = sent.and_then(|id| log.see_fence(&id).map(|()| id));
    let proved = seen.and_then(|id| match &observation.traced {
        Some(traced) if log.traces(|event| traced.is_shown_by(event)).is_empty() => {
            Err("its controller may have asked another API server".to_owned())
        }
        _ => Ok(id),
    });
    proved.map_err(|why| unproved(log, &why))
}
