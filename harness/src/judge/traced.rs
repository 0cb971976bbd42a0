//! What a controller did for a workload, as the audit log holds it.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use crate::model::{Answer, Event, Level, Logged, Part, Response};

/// How events differ from what was sent and answered, as far as the log shows it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Compared {
    /// What is wrong, in words.
    pub wrong: Vec<String>,
    /// What was to be compared and is not shown.
    pub unshown: BTreeSet<Part>,
}

impl Compared {
    /// Notes what is wrong with a part of an event, if anything is, or that the log does not show the part.
    pub fn note(&mut self, event: &Event, part: Part, wrong: Option<String>) {
        match event.shows(part) {
            true => self.wrong.extend(wrong),
            false => self.unshown.extend([part]),
        }
    }

    /// Notes what is wrong with a part of several events, or that the log does not show it of each of them.
    pub fn note_all<'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e Event>,
        part: Part,
        wrong: Option<String>,
    ) {
        match events.into_iter().all(|event| event.shows(part)) {
            true => self.wrong.extend(wrong),
            false => self.unshown.extend([part]),
        }
    }
}

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
    Differences(Compared),
}

/// By what a controller's request is found in the log.
const FOUND_BY: [Part; 3] = [Part::Verb, Part::User, Part::Object];

/// What a log that shows events like these leaves out of that by which a controller's request is found.
pub(super) fn hidden(own: &[Event]) -> impl Iterator<Item = Part> {
    FOUND_BY.into_iter().filter(|part| own.iter().any(|event| !event.shows(*part)))
}

/// Compares the events of a controller, which were chosen by user and object before. `own` are the events of the
/// workload itself: nothing was done for it before them. What names the attempt is its own whatever the time: another
/// API server has another clock.
pub(super) fn compare(logged: &Logged, answer: &Response, traces: &[Event], own: &[Event]) -> Told {
    let (mut nameless, named): (Vec<&Event>, Vec<&Event>) =
        traces.iter().partition(|trace| trace.is_nameless());
    if !named.is_empty() {
        return Told::Differences(differences(logged, answer, &named));
    }
    let since = own.iter().filter_map(received).min();
    let is_early = |trace: &Event| received(trace).is_some_and(|at| Some(at) < since);
    nameless.retain(|trace| !is_early(trace));
    match nameless.first() {
        None => Told::Nothing,
        Some(trace) if trace.level == logged.level || !trace.shows(Part::Level) => Told::Nameless,
        Some(_) => Told::Differences(levels(logged, &nameless)),
    }
}

/// When the API server got the request; `None` where the event does not tell.
fn received(event: &Event) -> Option<Timestamp> {
    event.request_received_timestamp.parse().ok()
}

fn levels(logged: &Logged, traces: &[&Event]) -> Compared {
    let mut compared = Compared::default();
    for trace in traces {
        let level = trace.level;
        let wrong =
            (level != logged.level).then(|| format!("level {level:?} of the controller's request"));
        compared.note(trace, Part::Level, wrong);
    }
    compared
}

fn differences(logged: &Logged, answer: &Response, traces: &[&Event]) -> Compared {
    let mut compared = levels(logged, traces);
    let Some(trace) = traces.iter().find(|trace| holds(trace, answer)) else {
        let statuses = traces.iter().filter_map(|trace| trace.response_status.as_ref());
        let codes: Vec<u16> = statuses.map(|status| status.code).collect();
        let wrong = format!("codes {codes:?} of the controller's request, and not its answer");
        let part = if answer.is_success() { Part::Code } else { Part::Words };
        compared.note_all(traces.iter().copied(), part, Some(wrong));
        return compared;
    };
    compared.note(trace, Part::Code, None);
    let decision = trace.annotations.get("authorization.k8s.io/decision");
    // Authorization refuses before the body is read.
    let read = decision.is_some_and(|decision| decision == "allow");
    if trace.level >= Level::Request && read && !trace.request_object {
        let wrong = "without the body of the controller's request".to_owned();
        compared.note(trace, Part::RequestBody, Some(wrong));
    }
    if trace.level >= Level::RequestResponse && !trace.response_object {
        let wrong = "without the body of the controller's answer".to_owned();
        compared.note(trace, Part::AnswerBody, Some(wrong));
    }
    compared.wrong.dedup();
    compared
}

/// Whether an event holds the answer. A refusal is known by its words, as the controller does not repeat the code.
fn holds(trace: &Event, answer: &Response) -> bool {
    let Some(status) = &trace.response_status else { return false };
    let is_shown = trace.shows(Part::Code);
    if answer.is_success() {
        return status.code == answer.code || !is_shown && status.is_success();
    }
    (status.code >= 400 || !is_shown) && status.message == answer.words()
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
            Told::Differences(compared) => {
                assert_eq!(compared.unshown, BTreeSet::new());
                compared.wrong
            }
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
    fn what_names_the_attempt_is_its_own_whatever_another_api_servers_clock_says() {
        let early = trace(json!({"requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z"}));
        assert!(compared(&refused(), &[early]).is_empty());
    }

    #[test]
    fn times_are_compared_as_times_however_many_digits_they_have() {
        let made = Response { code: 201, ..Response::default() };
        let nameless = |at: &str| {
            trace(json!({
                "level": "Metadata", "requestObject": null, "requestReceivedTimestamp": at,
                "responseStatus": {"code": 201, "message": null},
            }))
        };
        for (at, expected) in [
            ("2026-01-01T00:00:01.01Z", Told::Nameless),
            ("2026-01-01T00:00:01Z", Told::Nameless),
            ("2026-01-01T00:00:00.99Z", Told::Nothing),
            // When it was nobody knows: it may be.
            ("", Told::Nameless),
        ] {
            let own = trace(json!({"requestReceivedTimestamp": "2026-01-01T00:00:01Z"}));
            let logged = Logged { level: Level::Metadata, uri: None, received_only: Vec::new() };
            assert_eq!(compare(&logged, &made, &[nameless(at)], &[own]), expected, "{at}");
        }
    }

    #[test]
    fn a_controller_without_the_right_leaves_no_body() {
        let forbidden = trace(json!({
            "requestObject": null, "annotations": {"authorization.k8s.io/decision": "forbid"},
        }));
        assert!(compared(&refused(), &[forbidden]).is_empty());
    }

    #[test]
    fn what_the_log_does_not_show_of_a_controllers_request_is_not_wrong() {
        let made = Response { code: 201, ..Response::default() };
        let hidden =
            |over: Value, answer: &Response| match told(Level::Request, answer, &[trace(over)]) {
                Told::Differences(Compared { wrong, unshown }) => {
                    assert_eq!(wrong, [""; 0]);
                    unshown.into_iter().collect::<Vec<Part>>()
                }
                other => panic!("{other:?}"),
            };
        let ok = json!({"code": 0, "reason": "OK", "message": null});
        assert_eq!(hidden(json!({"responseStatus": ok, "unshown": ["code"]}), &made), [Part::Code]);
        let denied = json!({"code": 0, "reason": "PERMISSION_DENIED", "message": null});
        let unshown = json!(["code", "words"]);
        assert_eq!(
            hidden(json!({"responseStatus": denied, "unshown": unshown}), &made),
            [Part::Code]
        );
        assert_eq!(
            hidden(json!({"responseStatus": denied, "unshown": unshown}), &refused()),
            [Part::Words]
        );
        assert_eq!(
            hidden(json!({"level": "Metadata", "unshown": ["level"]}), &refused()),
            [Part::Level]
        );
        assert_eq!(
            hidden(json!({"requestObject": null, "unshown": ["request-body"]}), &refused()),
            [Part::RequestBody]
        );
    }

    #[test]
    fn a_controller_that_the_log_may_not_name_is_looked_for_in_vain() {
        for part in FOUND_BY {
            let own = [trace(json!({"unshown": [part]}))];
            assert_eq!(hidden(&own).collect::<Vec<_>>(), [part]);
        }
        assert_eq!(hidden(&[trace(json!({"unshown": ["level"]}))]).next(), None);
    }
}
