//! What a controller did for a workload, as the audit log holds it.

use crate::model::{Answer, Event, Level, Logged, Response};

/// The answer to the controller, where a workload was let in and its controller acted.
pub(super) fn controllers_answer(answer: &Answer) -> Option<&Response> {
    match answer {
        Answer::Through(through) if through.workload.is_success() => Some(&through.pod),
        _ => None,
    }
}

/// What the log tells of a controller's request.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// Nothing of it.
    Nothing,
    /// A request was carried out, and the log does not show for which workload.
    Nameless,
    /// It, and how it differs from what is asked for and what the controller was answered.
    Differences(Vec<String>),
}

/// Compares the events of a controller, which were chosen by user and object before. `own` are the events of the
/// workload itself: nothing was done for it before them.
pub(super) fn compare(logged: &Logged, answer: &Response, traces: &[Event], own: &[Event]) -> Told {
    let since = own.iter().map(|event| event.request_received_timestamp.as_str()).min();
    let is_late = |trace: &&Event| Some(trace.request_received_timestamp.as_str()) >= since;
    let (nameless, named): (Vec<&Event>, Vec<&Event>) =
        traces.iter().filter(is_late).partition(|trace| trace.is_nameless());
    if !named.is_empty() {
        return Told::Differences(differences(logged, answer, &named));
    }
    match nameless.first() {
        None => Told::Nothing,
        Some(trace) if trace.level == logged.level => Told::Nameless,
        Some(_) => Told::Differences(levels(logged, &nameless)),
    }
}

fn levels(logged: &Logged, traces: &[&Event]) -> Vec<String> {
    let wrong = traces.iter().filter(|trace| trace.level != logged.level);
    wrong.map(|trace| format!("level {:?} of the controller's request", trace.level)).collect()
}

fn differences(logged: &Logged, answer: &Response, traces: &[&Event]) -> Vec<String> {
    let mut wrong = levels(logged, traces);
    let Some(trace) = traces.iter().find(|trace| holds(trace, answer)) else {
        let statuses = traces.iter().filter_map(|trace| trace.response_status.as_ref());
        let codes: Vec<u16> = statuses.map(|status| status.code).collect();
        wrong.push(format!("codes {codes:?} of the controller's request, and not its answer"));
        return wrong;
    };
    let decision = trace.annotations.get("authorization.k8s.io/decision");
    // Authorization refuses before the body is read.
    let read = decision.is_some_and(|decision| decision == "allow");
    if trace.level >= Level::Request && read && !trace.request_object {
        wrong.push("without the body of the controller's request".to_owned());
    }
    if trace.level >= Level::RequestResponse && !trace.response_object {
        wrong.push("without the body of the controller's answer".to_owned());
    }
    wrong.dedup();
    wrong
}

/// Whether an event holds the answer. A refusal is known by its words, as the controller does not repeat the code.
fn holds(trace: &Event, answer: &Response) -> bool {
    let Some(status) = &trace.response_status else { return false };
    if answer.is_success() {
        return status.code == answer.code;
    }
    status.code >= 400 && status.message == answer.words()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const REFUSED: &str = "pods \"attack-k7f3-1-x\" is forbidden: no";

    fn trace(over: Value) -> Event {
        let mut event = json!({
            "auditID": "x", "level": "Request", "stage": "ResponseComplete", "verb": "create",
            "requestURI": "/api/v1/namespaces/a/pods", "requestObject": {"kind": "Pod"},
            "annotations": {"authorization.k8s.io/decision": "allow"},
            "responseStatus": {"code": 403, "message": REFUSED},
            "requestReceivedTimestamp": "2026-01-01T00:00:02.000000Z",
        });
        crate::merge::lay_over(&mut event, &over);
        serde_json::from_value(event).expect("an event")
    }

    fn told(level: Level, answer: &Response, traces: &[Event]) -> Told {
        let own = trace(json!({"requestReceivedTimestamp": "2026-01-01T00:00:01.000000Z"}));
        let logged = Logged { level, uri: None, received_only: Vec::new() };
        compare(&logged, answer, traces, &[own])
    }

    fn compared(answer: &Response, traces: &[Event]) -> Vec<String> {
        match told(Level::Request, answer, traces) {
            Told::Differences(wrong) => wrong,
            other => panic!("{other:?}"),
        }
    }

    fn refused() -> Response {
        Response { code: 403, message: Some(REFUSED.to_owned()), ..Response::default() }
    }

    #[test]
    fn the_controllers_event_is_compared_like_the_personas_own() {
        assert!(compared(&refused(), &[trace(json!({}))]).is_empty());
        for (over, words) in [
            (json!({"level": "Metadata"}), "level Metadata of the controller's request"),
            (
                json!({"level": "RequestResponse"}),
                "level RequestResponse of the controller's request",
            ),
            (json!({"requestObject": null}), "without the body of the controller's request"),
            (
                json!({"responseStatus": {"code": 201, "message": null}}),
                "codes [201] of the controller's request, and not its answer",
            ),
            (
                json!({"responseStatus": {"message": "no"}}),
                "codes [403] of the controller's request, and not its answer",
            ),
            (
                json!({"responseStatus": null}),
                "codes [] of the controller's request, and not its answer",
            ),
        ] {
            assert_eq!(compared(&refused(), &[trace(over)])[0], words);
        }
    }

    #[test]
    fn a_controller_that_was_let_in_leaves_the_same() {
        let made = Response { code: 201, ..Response::default() };
        let trace = trace(json!({"responseStatus": {"code": 201, "message": null}}));
        assert!(compared(&made, std::slice::from_ref(&trace)).is_empty());
        let words = "codes [201] of the controller's request, and not its answer";
        assert_eq!(compared(&refused(), &[trace]), [words]);
    }

    #[test]
    fn an_event_that_does_not_say_of_what_it_is_proves_nothing() {
        let made = Response { code: 201, ..Response::default() };
        let nameless = |second: u8| {
            trace(json!({
                "level": "Metadata", "requestObject": null,
                "responseStatus": {"code": 201, "message": null},
                "requestReceivedTimestamp": format!("2026-01-01T00:00:0{second}.000000Z"),
            }))
        };
        assert_eq!(told(Level::Metadata, &made, &[nameless(2)]), Told::Nameless);
        assert_eq!(compared(&made, &[nameless(2)]), ["level Metadata of the controller's request"]);
        assert_eq!(told(Level::Metadata, &made, &[nameless(0)]), Told::Nothing);
        assert_eq!(told(Level::Metadata, &made, &[]), Told::Nothing);
    }

    #[test]
    fn a_controller_without_the_right_leaves_no_body() {
        let forbidden = trace(json!({
            "requestObject": null, "annotations": {"authorization.k8s.io/decision": "forbid"},
        }));
        assert!(compared(&refused(), &[forbidden]).is_empty());
    }
}
