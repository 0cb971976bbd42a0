//! Collecting what the audit log holds of attempts that were sent.

use super::send::{Sending, Uncollected};
use super::stage::Stage;
use crate::attack::Observation;
use crate::audit::source::NotCome;
use crate::audit::{AuditLog, Awaited};
use crate::cluster::{Sight, ask_for_log};
use crate::judge::own_events;
use crate::model::{AttemptRecord, Event, Log, Seen, Traced};

/// The Audit-ID of a marked request, which shows where it is in the log that everything is there that was answered
/// before; or why there is none.
pub(super) type Fence = Result<String, String>;

/// Adds to each attempt what the log holds of it.
pub(super) fn collect(stage: &Stage, sendings: Vec<Sending>, fence: &Fence) -> Vec<AttemptRecord> {
    let sight = &stage.world.sight;
    sendings.into_iter().map(|sending| record(sight, sending, fence)).collect()
}

/// Waits until the log holds what was sent, where it is in order. One fence after the last of them is enough for all.
pub(super) async fn fence_after(stage: &Stage, sendings: &[Sending]) -> Fence {
    match &stage.world.sight.log {
        _ if sendings.is_empty() => Err("nothing was sent".to_owned()),
        // It is waited for once, when all scenarios have sent.
        Some(log) if !log.is_in_order() => Err(log.disorder().unwrap_or_default()),
        _ => fence(stage).await,
    }
}

/// Sends a marked request and waits until it is in the log.
pub(super) async fn fence(stage: &Stage) -> Fence {
    match stage.while_there(stage.world.fence()).await {
        Ok(fence) => fence.map_err(|error| error.to_string()),
        Err(gone) => Err(gone.to_string()),
    }
}

/// The events of an attempt, read up to a fence that was sent after it.
pub(super) fn log(sight: &Sight, observation: &Observation, fence: &Fence) -> Log {
    let Some(audit_id) = &observation.sent.audit_id else { return Log::NotApplicable };
    let Some(audit) = &sight.log else { return Log::Disabled };
    let events = own_events(&observation.sent, audit.events(audit_id));
    let traced = observation.traced.as_ref();
    let traces = traced.map(|it| audit.traces(|event| it.matches(event))).unwrap_or_default();
    let is_shown = |it: &Traced| traces.iter().any(|event| it.is_shown_by(event));
    let crowded = audit.crowded().filter(|_| traced.is_some_and(|it| !is_shown(it)));
    let why = match (fence, crowded) {
        (Ok(fence), None) => return Log::Read { events, traces, fence: fence.clone() },
        (_, Some(why)) => why.to_owned(),
        (Err(why), None) => why.clone(),
    };
    match missing(observation, &events, &traces) {
        // What is there is true, also where nothing shows that all of it is.
        None if sight.disorder().is_some() => Log::Read { events, traces, fence: String::new() },
        Some(missing) if !audit.is_in_order() => {
            Log::Unreadable(audit.ended().unwrap_or_else(|| late(audit, missing, &why)))
        }
        _ => Log::Unreadable(why),
    }
}

/// Why what a log without order lacks is not proved to be absent.
fn late(log: &AuditLog, missing: &str, why: &str) -> String {
    let patience = log.patience();
    let misread = log.misread().map(|misread| format!("; {misread}")).unwrap_or_default();
    format!("{missing} came within {patience:?}, and nothing proves that none will: {why}{misread}")
}

/// What is missing of all that can come of an attempt; `None` where nothing is. A trace that may be another attempt's
/// shows nothing of it.
fn missing(observation: &Observation, events: &[Event], traces: &[Event]) -> Option<&'static str> {
    if events.is_empty() {
        return Some("no event of it");
    }
    if !events.iter().any(Event::is_answered) {
        return Some("an event of it is there; none that says how it ended");
    }
    let traced = observation.traced.as_ref()?;
    let is_shown = traces.iter().any(|event| traced.is_shown_by(event));
    (!is_shown).then_some("its own event is there; none of its controller's request")
}

/// Waits until the events of all that was sent are there, where nothing tells when they are, or until none comes any
/// more.
pub(super) async fn await_all(stage: &Stage, awaited: &[Awaited]) {
    let Some(log) = &stage.world.sight.log else { return };
    let Some(command) = &stage.world.sight.command else {
        return log.wait_for_answers(awaited).await;
    };
    let once = async || ask_for_log(command, log).await;
    // What has not come by then is told of each attempt that lacks it.
    if let Err(failed @ NotCome::Failed(_)) = command.until(once, || log.has_answers(awaited)).await
    {
        log.end(failed.to_string());
    }
}

fn record(sight: &Sight, sending: Sending, fence: &Fence) -> AttemptRecord {
    let Sending { seen, too_soon } = sending;
    AttemptRecord { seen: seen.map(|seen| with_log(sight, seen, fence)), too_soon }
}

fn with_log(sight: &Sight, seen: Uncollected, fence: &Fence) -> Seen {
    let Uncollected {
        observation,
        webhooks,
        is_controller_elsewhere,
        fence: own,
        unseen,
        was_taken,
    } = seen;
    let own = own.map(|own| own_fence(sight, &observation, own));
    let log = log(sight, &observation, own.as_ref().unwrap_or(fence));
    let Observation { sent, answer, effect, traced: _ } = observation;
    Seen { sent, answer, effect, log, webhooks, is_controller_elsewhere, unseen, was_taken }
}

/// The fence that was sent by an attempt's own connection, where it proves that all of it is there. Of what a
/// controller did it proves nothing: that may have asked another API server.
fn own_fence(sight: &Sight, observation: &Observation, fence: Fence) -> Fence {
    let Some(log) = &sight.log else { return fence };
    let sent =
        fence.map_err(|why| format!("its connection took no marked request after it: {why}"));
    let seen = sent.and_then(|id| log.see_fence(&id).map(|()| id));
    seen.and_then(|id| match &observation.traced {
        Some(traced) if log.traces(|event| traced.is_shown_by(event)).is_empty() => {
            Err("its controller may have asked another API server".to_owned())
        }
        _ => Ok(id),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::source::Losses;
    use crate::cluster::Servers;
    use crate::model::{Answer, AuditSource, Effect, Response};

    /// What the log that a command prints in this format holds of an attempt.
    async fn held(format: &str, printed: String, traced: Option<Traced>) -> Log {
        let written = json!({"command": ["logs"], "format": format});
        let source: AuditSource = serde_json::from_value(written).expect("a source");
        let log = AuditLog::new("k7f3", "c4n4ry").of_source(&source, Losses::default());
        log.read_through(printed.as_bytes()).await.expect("read");
        let sight = Sight { log: Some(log), ..Sight::of(Servers::Unknown) };
        let sent = json!({
            "persona": "operator", "user": "operator", "door": "direct", "method": "POST",
            "impersonated": null, "verb": "create", "body": true,
            "uri": "/apis/batch/v1/namespaces/a/jobs", "audit-id": "k7f3-1",
        });
        let observation = Observation {
            sent: serde_json::from_value(sent).expect("a request"),
            answer: Answer::Http(Response { code: 201, ..Response::default() }),
            effect: Effect::NotApplicable,
            traced,
        };
        super::log(&sight, &observation, &Err("it is in no order".to_owned()))
    }

    /// Why nothing is told.
    fn unread(log: Log) -> String {
        match log {
            Log::Unreadable(why) => why,
            other => panic!("{other:?}"),
        }
    }

    const LATE: &str = "came within 300s, and nothing proves that none will: it is in no order";

    #[tokio::test]
    async fn that_a_request_arrived_is_not_how_it_ended_where_no_stage_is_shown() {
        let row = |status: &str| {
            json!({
                "AuditId": "k7f3-1", "RequestReceivedTime": "2026-01-01T00:00:00.000000Z",
                "Level": "Request", "Verb": "create", "ResponseStatus": status,
            })
        };
        let (arrived, answered) = (row("None"), row("{\"code\":201}"));
        let told = held("aks-table", json!([arrived]).to_string(), None).await;
        let expected = format!("an event of it is there; none that says how it ended {LATE}");
        assert_eq!(unread(told), expected);
        match held("aks-table", json!([arrived, answered]).to_string(), None).await {
            Log::Read { events, .. } => assert_eq!(events.len(), 2),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_there_of_an_attempt_is_not_said_to_be_missing() {
        let controller = "system:serviceaccount:kube-system:job-controller";
        let event = |id: &str, user: &str, object: Value| {
            let event = json!({
                "auditID": id, "level": "Request", "stage": "ResponseComplete", "verb": "create",
                "requestURI": "/x", "user": {"username": user}, "objectRef": object,
                "responseStatus": {"code": 201},
            });
            format!("{event}\n")
        };
        let own = event("k7f3-1", "operator", json!({"resource": "jobs", "namespace": "a"}));
        let pod = json!({"resource": "pods", "namespace": "a", "name": "attack-k7f3-1-x"});
        let traced = Traced {
            user: controller.to_owned(),
            namespace: "a".to_owned(),
            resource: "pods",
            attempt: "k7f3-1".to_owned(),
            name: "attack-k7f3-1".to_owned(),
        };
        let nothing = held("kubernetes", String::new(), Some(traced.clone())).await;
        assert_eq!(unread(nothing), format!("no event of it {LATE}"));
        let alone = held("kubernetes", own.clone(), Some(traced.clone())).await;
        let expected = format!("its own event is there; none of its controller's request {LATE}");
        assert_eq!(unread(alone), expected);
        let both = held("kubernetes", own + &event("c", controller, pod), Some(traced)).await;
        assert!(matches!(&both, Log::Read { traces, .. } if traces.len() == 1), "{both:?}");
    }

    #[tokio::test]
    async fn a_format_that_is_not_the_logs_is_told_where_nothing_came() {
        let entry = json!({"insertId": "x", "protoPayload": {"serviceName": "k8s.io"}});
        let told = held("eks", json!([entry, entry]).to_string(), None).await;
        let misread = "2 of 2 entries could not be read in the format eks";
        assert_eq!(unread(told), format!("no event of it {LATE}; {misread}"));
    }
}
