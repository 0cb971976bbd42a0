//! Every refusal again, as what runs behind the API server would say it.

use brinell::judge::attribute;
use brinell::model::{
    Answer, Door, Event, Layer, Level, Log, Response, ResponseStatus, Sent, User,
};

use super::exchange::{Decided, decided};

/// Paths on which something else than the API server may answer.
const FORWARDED: [&str; 11] = [
    "/api/v1/namespaces/a/pods/p:9080/proxy/x",
    "/api/v1/namespaces/a/pods/p/proxy",
    "/api/v1/namespaces/a/services/https:s:443/proxy/api/v1/namespaces/a/pods",
    "/api/v1/nodes/n/proxy/exec/a/p/c?command=id",
    "/api/v1/proxy/namespaces/a/pods/p/x",
    "/api/v1/namespaces/a/pods/p/%70roxy/x",
    "/api/v1/namespaces/a//pods/p/proxy/x",
    "/api/v1/namespaces/a/pods/p/log?container=c",
    "/apis/forged.brinell.dev/v1/namespaces/a/things",
    "/apis/metrics.k8s.io/v1beta1/pods",
    "/apis/forged/v1/things",
];

/// What a refusal says is said again by what runs behind such a path, as text and as a Status: the event holds its
/// code alone, or there is no event. It is never taken for the API server's.
pub fn check(sent: &Sent, answer: &Answer) -> Result<(), String> {
    let Answer::Http(response) = answer else { return Ok(()) };
    if response.is_success() {
        return Ok(());
    }
    let sent = &Sent { audit_id: Some("forged".to_owned()), ..sent.clone() };
    let words = Some(response.words().to_owned());
    let status = Response { message: words.clone(), text: None, ..response.clone() };
    let text = Response { message: None, text: words, flow_control: true, ..response.clone() };
    for uri in FORWARDED {
        for (verb, door) in [("get", Door::Direct), ("create", Door::Direct)] {
            let (uri, verb) = (uri.to_owned(), Some(verb.to_owned()));
            let sent = Sent { uri, verb, door, ..sent.clone() };
            for answer in [&status, &text] {
                refuse_forged(&sent, answer)?;
            }
        }
    }
    for door in [Door::PostSpdy, Door::GetSpdy] {
        let uri = "/api/v1/namespaces/a/pods/p/exec?command=id".to_owned();
        let sent = Sent { uri, door, ..sent.clone() };
        refuse_forged(&sent, &status)?;
        refuse_forged(&sent, &text)?;
    }
    // No layer but flow control speaks in text.
    if text.code == 429 { Ok(()) } else { refuse_forged(sent, &text) }
}

fn refuse_forged(sent: &Sent, answer: &Response) -> Result<(), String> {
    for log in [
        silent(sent, Some(answer.code)),
        silent(sent, Some(101)),
        silent(sent, None),
        Log::Disabled,
        Log::Unreadable("it is gone".to_owned()),
    ] {
        let seen = attribute(sent, &Answer::Http(answer.clone()), &log);
        if !matches!(decided(&seen), Decided::By(Layer::Backend) | Decided::Unclear) {
            let about = format!("{} of {} with {log:?}", sent.uri, answer.words());
            return Err(format!("a forged answer: {seen:?} from {about}"));
        }
    }
    Ok(())
}

/// The log of an API server that let a request in and answered with this code, but not in words of its own.
fn silent(sent: &Sent, code: Option<u16>) -> Log {
    let allowed = ("authorization.k8s.io/decision".to_owned(), "allow".to_owned());
    let event = code.map(|code| Event {
        audit_id: sent.audit_id.clone().unwrap_or_default(),
        level: Level::Metadata,
        stage: "ResponseComplete".to_owned(),
        verb: sent.verb.clone().unwrap_or_default(),
        request_uri: sent.uri.clone(),
        user: User::default(),
        attempt: None,
        impersonated_user: None,
        user_agent: None,
        object_ref: None,
        response_status: Some(ResponseStatus { code, ..ResponseStatus::default() }),
        annotations: [allowed].into(),
        request_object: false,
        response_object: false,
        request_received_timestamp: String::new(),
        unshown: Default::default(),
        line: None,
    });
    let events = event.into_iter().collect();
    Log::Read { events, traces: Vec::new(), fence: "fence".to_owned() }
}
