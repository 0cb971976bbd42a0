//! Collecting what the audit log holds of attempts that were sent.

use super::send::{Sending, Uncollected};
use super::stage::Stage;
use crate::attack::Observation;
use crate::audit::AuditLog;
use crate::audit::source::NotCome;
use crate::cluster::ask;
use crate::judge::own_events;
use crate::model::{AttemptRecord, Event, Log, Seen};

/// The Audit-ID of a marked request that is in the log, so that everything is that was answered before; or why none is.
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
            events if audit.disorder().is_some() && is_whole(observation, &events, &traces) => {
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
    let why = log.disorder().unwrap_or_default();
    format!(
        "no event of it came within {:?}, and nothing proves that none will: {why}",
        log.patience()
    )
}

/// Whether what is there of an attempt is all that can come of it.
fn is_whole(observation: &Observation, events: &[Event], traces: &[Event]) -> bool {
    events.iter().any(Event::is_answered) && (observation.traced.is_none() || !traces.is_empty())
}

/// Waits until the events of all that was sent are there, where nothing tells when they are, or until none comes any more.
pub(super) async fn await_all(stage: &Stage, audit_ids: &[String]) {
    let Some(log) = &stage.world.sight.log else { return };
    let Some(command) = &stage.world.sight.command else {
        return log.wait_for_answers(audit_ids).await;
    };
    let once = async || match ask(command, async |printed| log.read_through(printed).await).await {
        Ok(read) => read.map_err(|unread| unread.to_string()),
        Err(failed) => Err(failed.to_string()),
    };
    // What has not come by then is told of each attempt that lacks it.
    if let Err(failed @ NotCome::Failed(_)) =
        command.until(once, || log.has_answers(audit_ids)).await
    {
        log.end(failed.to_string());
    }
}

fn record(stage: &Stage, sending: Sending, fence: &Fence) -> AttemptRecord {
    let Sending { seen, too_soon } = sending;
    AttemptRecord { seen: seen.map(|seen| with_log(stage, seen, fence)), too_soon }
}

fn with_log(stage: &Stage, seen: Uncollected, fence: &Fence) -> Seen {
    let Uncollected { observation, webhooks, is_controller_elsewhere, was_taken } = seen;
    let log = log(stage, &observation, fence);
    let Observation { sent, answer, effect, traced: _ } = observation;
    Seen { sent, answer, effect, log, webhooks, is_controller_elsewhere, was_taken }
}
