//! Whatever comes, attribution does not panic; and words that refuse do so only where the API server puts them.

use std::collections::BTreeMap;

use brinell::judge::attribute;
use brinell::model::{
    Answer, Decision, Door, Event, Layer, Level, Log, Response, ResponseStatus, Sent, User,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

/// Refusals of everything that has words of its own, as they begin.
const REFUSALS: [&str; 15] = [
    "admission webhook \"guard\" denied the request: no",
    "Internal error occurred: failed calling webhook \"guard\": no",
    "ValidatingAdmissionPolicy 'guard' with binding 'guard' denied request: no",
    "ValidatingAdmissionPolicy 'guard' denied request: failed to configure policy: no",
    "policy 'guard' with binding 'guard' denied request: expression 'x' resulted in error: no",
    "violates PodSecurity \"restricted:latest\": no",
    "exceeded quota: none, requested: pods=1",
    "service account none was not found",
    "unable to create new content in namespace none because it is being terminated",
    "expression 'x' resulted in error: no",
    "user \"u\" (groups=[\"g\"]) is attempting to grant RBAC permissions not currently held:\n",
    "node \"n\" is not allowed to modify taints",
    "no PriorityClass with name none was found",
    "User \"u\" cannot impersonate resource \"users\" in API group \"\"",
    "Too many requests: limit reached on type User for key u",
];

#[test]
fn anything() {
    let anywhere = (any::<u16>(), ".*", proptest::option::of(".*"), ".*", any::<bool>());
    check(&(anywhere, logs()), |((code, uri, message, text, flow_control), log)| {
        let text = Some(text);
        let response = Response { code, message, text, flow_control, ..Response::default() };
        // It is enough that it comes to an end.
        let _ = attribute(&sent(&uri), &Answer::Http(response), &log.of("", code));
    });
}

#[test]
fn in_a_name() {
    let tails = select(vec![
        "is forbidden: User \"u\" cannot get resource \"pods\"",
        "is invalid: metadata.name: Invalid value",
        "not found",
        "already exists",
    ]);
    let parts = ("[ -~]{0,12}", select(&REFUSALS[..]), "[ -~]{0,12}", tails);
    check(&(parts, codes(), logs()), |((before, refusal, after, tail), code, log)| {
        let name = format!("{before}{refusal}{after}").replace('\\', "\\\\").replace('"', "\\\"");
        nobody_named(&format!("pods \"{name}\" {tail}"), code, &log);
        let forbidden = format!("x\" is forbidden: {refusal}").replace('"', "\\\"");
        nobody_named(&format!("pods \"{forbidden}\" {tail}"), code, &log);
    });
}

#[test]
fn later() {
    let parts = ("[A-Za-z]{1,9}( [a-z]{1,9}){0,4}: ", select(&REFUSALS[..]));
    check(&(parts, codes(), logs()), |((start, refusal), code, log)| {
        if !start.contains("forbidden") {
            nobody_named(&format!("{start}{refusal}"), code, &log);
        }
    });
}

fn check<S: Strategy>(strategy: &S, test: impl Fn(S::Value)) {
    let result = TestRunner::default().run(strategy, |value| {
        test(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn codes() -> impl Strategy<Value = u16> {
    select(vec![400, 401, 403, 404, 409, 422, 429, 500])
}

/// What an audit log says of authorization's decision; `None` if there is no log.
#[derive(Debug, Clone)]
struct Noted(Option<Option<&'static str>>);

fn logs() -> impl Strategy<Value = Noted> {
    select(vec![
        Noted(None),
        Noted(Some(None)),
        Noted(Some(Some("allow"))),
        Noted(Some(Some("forbid"))),
    ])
}

impl Noted {
    /// The log of an API server that gave this answer.
    fn of(&self, message: &str, code: u16) -> Log {
        let Some(decision) = self.0 else { return Log::Disabled };
        let key = "authorization.k8s.io/decision".to_owned();
        let annotations: BTreeMap<_, _> =
            decision.map(|decision| (key, decision.to_owned())).into_iter().collect();
        let event = Event {
            audit_id: "k7f3-1".to_owned(),
            level: Level::Metadata,
            stage: "ResponseComplete".to_owned(),
            verb: "create".to_owned(),
            request_uri: String::new(),
            user: User::default(),
            impersonated_user: None,
            attempt: None,
            user_agent: None,
            object_ref: None,
            response_status: Some(ResponseStatus {
                code,
                message: message.to_owned(),
                ..ResponseStatus::default()
            }),
            annotations,
            request_object: false,
            response_object: false,
            request_received_timestamp: String::new(),
            unshown: Default::default(),
            line: None,
        };
        Log::Read { events: vec![event], traces: Vec::new(), fence: "k7f3-2".to_owned() }
    }
}

fn sent(uri: &str) -> Sent {
    Sent {
        impersonated: None,
        persona: "operator".to_owned(),
        user: Some("operator".to_owned()),
        door: Door::Direct,
        method: "POST".to_owned(),
        uri: uri.to_owned(),
        verb: Some("create".to_owned()),
        audit_id: Some("k7f3-1".to_owned()),
        body: true,
    }
}

fn nobody_named(message: &str, code: u16, log: &Noted) {
    let response = Response { code, message: Some(message.to_owned()), ..Response::default() };
    let sent = sent("/api/v1/namespaces/a/pods");
    let decision = attribute(&sent, &Answer::Http(response), &log.of(message, code));
    let harmless = match &decision {
        Decision::Unclear(_) => true,
        Decision::Denied(denial) => {
            matches!(denial.layer, Layer::Authorization | Layer::Validation)
        }
        Decision::LetIn | Decision::Read => false,
    };
    assert!(harmless, "{message:?}, {code}, {log:?}: {decision:?}");
}
