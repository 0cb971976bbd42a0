//! Did the API server itself say it? What runs behind a proxy can answer in any words, and so can a kubelet, but they
//! cannot write them into the API server's audit event.

use crate::model::{
    ApiPath, Door, Event, LONGEST_MESSAGE, Part, Response, ResponseStatus, Sent, is_built_in,
};
use crate::text::cut;

/// How far a request came.
#[derive(Clone, Copy, PartialEq)]
pub enum Reached {
    /// Not to authorization: its event says nothing of a decision.
    Start,
    /// To authorization, which refused.
    Authorization,
    /// Behind authorization.
    Admission,
    /// It is not known: there is no event.
    Somewhere,
}

/// The words of a refusal: those of a Status, or flow control's own, which alone comes as text.
pub fn refusal(response: &Response) -> Option<&str> {
    match &response.message {
        Some(message) => (!message.is_empty()).then_some(message),
        None => response.text.as_deref().filter(|text| {
            // Every answer carries flow control's headers (measured on 1.36.3).
            response.code == 429 && response.flow_control && text.starts_with("Too many requests, ")
        }),
    }
}

/// How far a refusal of the API server's own came; `None` where nothing shows that it spoke these words. It writes a
/// Status of its own into the event, and of a forwarded one only the code (measured on 1.36.3, at level Metadata
/// too). Flow control comes before authorization, so its event says nothing of a decision.
pub fn reached(sent: &Sent, response: &Response, events: &[Event]) -> Option<Reached> {
    let words = refusal(response)?;
    let is_own = !may_be_forwarded(sent) && !response.without_id;
    // A YAML body takes its event with it (measured on 1.36.3): what is left was written before there was an answer.
    if events.iter().all(|event| event.response_status.is_none()) {
        return is_own.then_some(Reached::Somewhere);
    }
    let repeats = |event: &&Event| {
        event.response_status.as_ref().is_some_and(|status| {
            let said = cut(&status.message, LONGEST_MESSAGE);
            let expected = if response.message.is_some() { words } else { "" };
            // The words of a Status tell whose it is where the code is not shown.
            let is_unshown = !event.shows(Part::Code) && response.message.is_some();
            (is_unshown || status.code == response.code) && said == expected
        })
    };
    let Some(event) = events.iter().find(repeats) else {
        return (hides_answer(events) && is_own).then_some(Reached::Somewhere);
    };
    let reached = match event.annotations.get("authorization.k8s.io/decision").map(String::as_str) {
        // A kubelet's words are repeated too; only the decision tells that it was asked.
        None if hides_decision(events) && is_kubelets(sent) => return None,
        None if !event.shows(Part::Annotations) => Reached::Somewhere,
        None => Reached::Start,
        Some("forbid") => Reached::Authorization,
        Some(_) => Reached::Admission,
    };
    (response.message.is_some() || reached == Reached::Start).then_some(reached)
}

/// Whether a success is not shown to be the API server's: neither did the answer bring our Audit-ID back, nor does an
/// event tell of it. What stands before an API server answers with pages of its own, such as one to log in.
pub fn is_strange(response: &Response, events: &[Event]) -> bool {
    let mut statuses = events.iter().filter_map(|event| event.response_status.as_ref());
    response.without_id && !statuses.any(ResponseStatus::is_success)
}

/// Whether the log may have left out what the API server wrote down of its answer.
pub fn hides_answer(events: &[Event]) -> bool {
    events.iter().any(|event| !event.shows(Part::Words) || !event.shows(Part::Code))
}

/// Whether the log leaves out what authorization decided.
pub fn hides_decision(events: &[Event]) -> bool {
    events.iter().any(|event| !event.shows(Part::Annotations))
}

/// The events of the request itself, among all that have its Audit-ID. It goes along with what is forwarded, so that a
/// backend which is an API server too writes what it decides under the same id (measured on 1.36.3: the API server
/// asked for itself by its Service): in its words the one that was asked would have refused.
pub fn own_events(sent: &Sent, mut events: Vec<Event>) -> Vec<Event> {
    if may_be_forwarded(sent) {
        events.retain(|event| match event.shows(Part::Uri) {
            true => event.request_uri == sent.uri,
            false => is_of(sent, event),
        });
    }
    events
}

/// Whether an event without its URI is of the object that the request is of, or names none.
fn is_of(sent: &Sent, event: &Event) -> bool {
    let (Some(object), Some(path)) = (&event.object_ref, ApiPath::parse(&sent.uri)) else {
        return true;
    };
    let ApiPath { namespace, resource, name, subresource, .. } = path;
    object.namespace == namespace
        && object.resource == resource
        && object.name == name
        && object.subresource == subresource
}

/// Whether something else than the API server may answer: behind a proxy, as an aggregated API server, or a kubelet.
/// A path that is not plain is not looked into.
pub fn may_be_forwarded(sent: &Sent) -> bool {
    let path = sent.uri.split('?').next().unwrap_or_default();
    let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next());
    let foreign = group.is_some_and(|group| !is_built_in(group));
    foreign || !is_plain(path) || path.split('/').any(|part| part == "proxy") || is_kubelets(sent)
}

/// Whether a path can be read in one way only. One that names no resource may end in a slash, as `/debug/pprof/` does:
/// the API server serves it itself. One that names a resource may not: the slash may be dropped when it is routed, so
/// that it may ask a kubelet after all.
fn is_plain(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_of_resource = ["/api/", "/apis/"].iter().any(|root| path.starts_with(root));
    let path = path.strip_suffix('/').filter(|_| !is_of_resource).unwrap_or(path);
    path.strip_prefix('/').is_some_and(|path| {
        path.split('/').all(|part| !["", ".", ".."].contains(&part) && part.chars().all(plain))
    })
}

/// Whether the kubelet's answer comes through as it is: logs, and streams that no WebSocket carries. Those of a
/// WebSocket end on its closing frame.
fn is_kubelets(sent: &Sent) -> bool {
    match subresource(sent).as_str() {
        "log" => true,
        _ => is_stream(sent) && matches!(sent.door, Door::GetSpdy | Door::PostSpdy),
    }
}

/// Whether the API server hands the request on to a kubelet.
pub fn asks_kubelet(sent: &Sent) -> bool {
    let node = ApiPath::parse(&sent.uri).is_some_and(|path| path.resource == "nodes");
    is_stream(sent) || subresource(sent) == "log" || node && subresource(sent) == "proxy"
}

/// Whether a request opens a stream into a pod.
pub fn is_stream(sent: &Sent) -> bool {
    ["exec", "attach", "portforward"].contains(&subresource(sent).as_str())
}

/// Whether admission is asked: about what is written, and about connections, never about what is read.
pub fn is_admitted(sent: &Sent) -> bool {
    let reads = matches!(sent.verb.as_deref(), Some("get" | "list" | "watch"));
    !reads || is_stream(sent) || subresource(sent) == "proxy"
}

fn subresource(sent: &Sent) -> String {
    ApiPath::parse(&sent.uri).map(|path| path.subresource).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::attribute;
    use crate::model::{Answer, Decision, Denial, Layer, Log};

    fn event(uri: &str, status: serde_json::Value) -> Event {
        let event = json!({
            "kind": "Event", "auditID": "k7f3-1", "level": "Metadata", "stage": "ResponseComplete",
            "verb": "get", "requestURI": uri, "user": {"username": "ann"}, "responseStatus": status,
        });
        serde_json::from_value(event).expect("an event")
    }

    fn sent(uri: &str) -> Sent {
        let sent = json!({
            "persona": "reader", "user": "ann", "door": "direct", "method": "GET", "uri": uri,
            "verb": "get", "audit-id": "k7f3-1",
        });
        serde_json::from_value(sent).expect("a request")
    }

    #[test]
    fn what_an_api_server_behind_a_proxy_decides_is_not_decided_before_it() {
        let sent =
            sent("/api/v1/namespaces/default/services/https:kubernetes:443/proxy/api/v1/secrets");
        let words =
            "secrets is forbidden: User \"system:anonymous\" cannot list resource \"secrets\"";
        let outer = event(&sent.uri, json!({"code": 403}));
        let inner = event("/api/v1/secrets", json!({"code": 403, "message": words}));
        let events = own_events(&sent, vec![inner.clone(), outer.clone()]);
        assert_eq!(events, [outer]);
        let response =
            Response { code: 403, message: Some(words.to_owned()), ..Response::default() };
        let log = Log::Read { events, traces: Vec::new(), fence: "k7f3-2".to_owned() };
        let decision = attribute(&sent, &Answer::Http(response), &log);
        let Decision::Denied(Denial { layer, .. }) = decision else { panic!("{decision:?}") };
        assert_eq!(layer, Layer::Backend);
    }

    #[test]
    fn what_nobody_forwards_keeps_what_is_logged_of_it() {
        let other = event("/api/v1/pods", json!({"code": 200}));
        assert_eq!(own_events(&sent("/api/v1/secrets"), vec![other.clone()]), [other]);
    }

    const WORDS: &str = "pods is forbidden: User \"ann\" cannot list resource \"pods\"";

    /// Who decided about a request that was refused in these words, and of which the log shows this.
    fn decided(uri: &str, event: Event) -> Decision {
        let response =
            Response { code: 403, message: Some(WORDS.to_owned()), ..Response::default() };
        let log = Log::Read { events: vec![event], traces: Vec::new(), fence: "k7f3-2".to_owned() };
        attribute(&sent(uri), &Answer::Http(response), &log)
    }

    /// An event in which the log shows neither the code nor the words.
    fn wordless(uri: &str) -> Event {
        let unshown = [Part::Code, Part::Words].into();
        let status =
            json!({"code": 0, "reason": "PERMISSION_DENIED", "message": "PERMISSION_DENIED"});
        Event { unshown, ..event(uri, status) }
    }

    /// What stands before an API server refuses in the same words.
    #[test]
    fn an_answer_without_our_audit_id_is_nobodys() {
        let sent = sent("/api/v1/pods");
        let forged = Response {
            code: 403,
            message: Some(WORDS.to_owned()),
            without_id: true,
            ..Response::default()
        };
        let page = Response { code: 200, without_id: true, ..Response::default() };
        let read = |events| Log::Read { events, traces: Vec::new(), fence: "k7f3-2".to_owned() };
        let unlogged = || vec![Log::Disabled, read(Vec::new())];
        for (response, logs) in [
            (
                &forged,
                [unlogged(), vec![read(vec![event(&sent.uri, json!({"code": 200}))])]].concat(),
            ),
            (
                &page,
                [unlogged(), vec![read(vec![event(&sent.uri, json!({"code": 403}))])]].concat(),
            ),
        ] {
            for log in logs {
                let decision = attribute(&sent, &Answer::Http(response.clone()), &log);
                let Decision::Unclear(why) = decision else { panic!("{decision:?}") };
                assert!(why.contains("Audit-ID"), "{why}");
            }
        }
        // What the log vouches for counts however the answer came back.
        let annotations = [("authorization.k8s.io/decision".to_owned(), "forbid".to_owned())];
        let refused = event(&sent.uri, json!({"code": 403, "message": WORDS}));
        let log = read(vec![Event { annotations: annotations.into(), ..refused }]);
        let decision = attribute(&sent, &Answer::Http(forged), &log);
        assert!(matches!(decision, Decision::Denied(_)), "{decision:?}");
        let log = read(vec![event(&sent.uri, json!({"code": 200}))]);
        assert_eq!(attribute(&sent, &Answer::Http(page), &log), Decision::LetIn);
    }

    #[test]
    fn what_ends_in_a_slash_is_forwarded_where_it_may_be_a_resource() {
        for (uri, may_be) in [
            ("/debug/pprof/", false),
            ("/logs/?x=/", false),
            ("/", true),
            ("/debug//", true),
            ("//debug/", true),
            ("/debug/../api/v1/nodes/", true),
            ("/debug/%2e%2e/", true),
            ("/api/v1/namespaces/a/pods/p/log/", true),
            ("/api/v1/pods/", true),
            ("/apis/apps/", true),
        ] {
            assert_eq!(may_be_forwarded(&sent(uri)), may_be, "{uri}");
        }
    }

    #[test]
    fn whose_words_a_log_without_words_does_not_tell() {
        let proxied = "/api/v1/namespaces/a/services/s/proxy/x";
        let Decision::Unclear(why) = decided(proxied, wordless(proxied)) else { panic!("told") };
        assert!(why.contains("this log does not show whose words it is"), "{why}");
        // Nobody else can have spoken them.
        let Decision::Denied(denial) = decided("/api/v1/pods", wordless("/api/v1/pods")) else {
            panic!("unclear")
        };
        assert_eq!(denial.layer, Layer::Authorization);
    }

    #[test]
    fn words_that_are_shown_vouch_without_the_code() {
        let uri = "/apis/example.com/v1/things";
        let status = json!({"code": 0, "reason": "PERMISSION_DENIED", "message": WORDS});
        let annotations = [("authorization.k8s.io/decision".to_owned(), "forbid".to_owned())];
        let mut event = Event {
            unshown: [Part::Code].into(),
            annotations: annotations.into(),
            ..event(uri, status)
        };
        let Decision::Denied(denial) = decided(uri, event.clone()) else { panic!("unclear") };
        assert_eq!(denial.layer, Layer::Authorization);
        // Without annotations it is not told how far it came: the words tell.
        event.annotations.clear();
        event.unshown.insert(Part::Annotations);
        let Decision::Denied(denial) = decided(uri, event) else { panic!("unclear") };
        assert_eq!(denial.layer, Layer::Authorization);
    }

    #[test]
    fn an_event_without_its_uri_is_known_by_its_object() {
        let sent = sent("/api/v1/namespaces/a/services/s/proxy/x");
        let unshown = [Part::Uri].into();
        let object = |resource: &str, subresource: &str| -> Event {
            let object = json!({
                "resource": resource, "namespace": "a", "name": "s", "subresource": subresource,
            });
            let object_ref = serde_json::from_value(object).expect("an object");
            let status = json!({"code": 0});
            Event {
                object_ref,
                unshown: std::collections::BTreeSet::clone(&unshown),
                ..event("", status)
            }
        };
        let own = object("services", "proxy");
        let nameless = Event { object_ref: None, ..own.clone() };
        let all = vec![own.clone(), object("secrets", ""), nameless.clone()];
        assert_eq!(own_events(&sent, all), [own, nameless]);
    }
}
