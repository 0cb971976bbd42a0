//! Whether the audit log holds what was sent and answered, and as much of it as is asked for.

use std::collections::BTreeSet;

use super::Judging;
use super::told::asked;
use crate::judge::traced::{self, Told};
use crate::model::{
    Answer, ApiPath, Decision, Event, Evidence, Finding, Layer, Level, Log, Logged, Reason,
    Response, Sent, User,
};

/// The group of requests without a valid identity.
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// What the audit backend writes on an event whose bodies it dropped because they were too large.
const TRUNCATED: &str = "audit.k8s.io/truncated";

impl Judging {
    pub(super) fn log(&mut self, logged: Option<&Logged>, evidence: &Evidence) {
        let Some(logged) = logged else { return };
        match &evidence.log {
            Log::NotApplicable => self
                .causes
                .push("evidence is asked for, but the API server never sees this".to_owned()),
            Log::Unreadable(why) => {
                self.logged = "LOG UNREADABLE".to_owned();
                self.causes.push(why.clone());
            }
            Log::Disabled => {
                self.unlogged(logged, &evidence.sent, "the API server writes no audit log");
            }
            Log::Read { events, fence, .. } if events.is_empty() => {
                let got = format!("none, while the fence sent after it ({fence}) is in the log");
                self.unlogged(logged, &evidence.sent, &got);
            }
            Log::Read { events, traces, .. } => self.compare(logged, evidence, events, traces),
        }
    }

    fn unlogged(&mut self, logged: &Logged, sent: &Sent, got: &str) {
        self.logged = Reason::Unlogged.heading();
        self.findings.push(Finding {
            reason: Reason::Unlogged,
            expected: format!("an audit event at {:?}: {}", logged.level, asked(sent)),
            got: got.to_owned(),
            who: String::new(),
            look_at: "the audit policy: which rule comes first for this verb and resource"
                .to_owned(),
        });
    }

    fn compare(
        &mut self,
        logged: &Logged,
        evidence: &Evidence,
        events: &[Event],
        traces: &[Event],
    ) {
        let mut wrong = differences(logged, evidence, events);
        if let Some(answer) = traced::controllers_answer(&evidence.answer) {
            match traced::compare(logged, answer, traces, events) {
                Told::Nothing => {
                    let got = "the workload, and nothing of the pod that its controller asked for";
                    return self.unlogged(logged, &evidence.sent, got);
                }
                Told::Nameless => self.causes.push(
                    "at this level the audit log does not say which pod a controller made"
                        .to_owned(),
                ),
                Told::Differences(differences) => wrong.extend(differences),
            }
        }
        if wrong.is_empty() {
            self.logged = "logged".to_owned();
            return;
        }
        self.logged = Reason::WronglyLogged.heading();
        self.findings.push(Finding {
            reason: Reason::WronglyLogged,
            expected: format!("an audit event at {:?}: {}", logged.level, asked(&evidence.sent)),
            got: wrong.join("; "),
            who: String::new(),
            look_at:
                "the audit policy's rule for this verb and resource, its omitStages, and the API \
                      server's --audit-log-truncate-*"
                    .to_owned(),
        });
    }
}

/// Every way in which the events differ from what was sent and answered.
fn differences(logged: &Logged, evidence: &Evidence, events: &[Event]) -> Vec<String> {
    let sent = &evidence.sent;
    let mut wrong = Vec::new();
    for event in events {
        if event.level != logged.level {
            wrong.push(format!("level {:?}", event.level));
        }
        if Some(&event.verb) != sent.verb.as_ref() {
            wrong.push(format!("verb {}", event.verb));
        }
        if event.request_uri != sent.uri {
            wrong.push(format!("URI {}", event.request_uri));
        }
        let nobody = sent.user.is_none() && event.user.username == "system:anonymous";
        if !nobody && event.user.username != sent.user.as_deref().unwrap_or_default() {
            wrong.push(format!("user {:?}", event.user.username));
        }
        // The event of stage RequestReceived is written before impersonation.
        let received = event.stage == "RequestReceived";
        if !received && !same_impersonation(sent.impersonated.as_ref(), event, &evidence.decision) {
            let logged = event.impersonated_user.as_ref();
            wrong.push(match logged {
                Some(user) => format!("impersonating {:?} of {:?}", user.username, user.groups),
                None => "impersonating nobody".to_owned(),
            });
        }
        if let (Some(object), Some(path)) = (&event.object_ref, ApiPath::parse(&sent.uri))
            && (object.resource.as_str(), object.subresource.as_str())
                != (path.resource.as_str(), path.subresource.as_str())
        {
            wrong.push(format!("object {}/{}", object.resource, object.subresource));
        }
    }
    let answered = events.iter().any(|event| event.response_status.is_some());
    let lost = !answered && logged.received_only.contains(&sent.door);
    if let Some(code) = evidence.answer.code().filter(|_| !is_kubelets(evidence, events)) {
        let statuses = events.iter().filter_map(|event| event.response_status.as_ref());
        let codes: Vec<u16> = statuses.map(|status| status.code).collect();
        if !lost && codes.is_empty() || codes.iter().any(|logged| *logged != code) {
            wrong.push(format!("codes {codes:?} instead of {code}"));
        }
    }
    if let Some(text) = &logged.uri
        && !events.iter().any(|event| event.request_uri.contains(text.as_str()))
    {
        wrong.push(format!("no {text:?} in the URI"));
    }
    if !lost && events.iter().all(|event| event.level == logged.level) {
        wrong.extend(bodies(logged.level, evidence, events));
    }
    wrong.dedup();
    wrong
}

/// Which bodies are missing that the level promises, or are there although it holds none.
fn bodies(level: Level, evidence: &Evidence, events: &[Event]) -> Vec<String> {
    let request = events.iter().any(|event| event.request_object);
    let answer = events.iter().any(|event| event.response_object);
    let truncated = events.iter().any(|event| event.annotations.contains_key(TRUNCATED));
    let why = if truncated { format!(": the event says {TRUNCATED}") } else { String::new() };
    let mut wrong = Vec::new();
    if level >= Level::Request && had_body_read(evidence, events) && !request {
        wrong.push(format!("without the request's body{why}"));
    }
    if level == Level::RequestResponse
        && has_answer_object(evidence)
        && !is_kubelets(evidence, events)
        && !answer
    {
        wrong.push(format!("without the answer's body{why}"));
    }
    if level < Level::Request && request {
        wrong.push("with the request's body".to_owned());
    }
    if level < Level::RequestResponse && answer {
        wrong.push("with the answer's body".to_owned());
    }
    wrong
}

/// Whether the request had a body and came so far that the API server read it, which is after authorization. If the log
/// does not show what was decided, the body may not have been an object.
fn had_body_read(evidence: &Evidence, events: &[Event]) -> bool {
    let authorized = events.iter().any(|event| {
        event.annotations.get("authorization.k8s.io/decision").is_some_and(|it| it == "allow")
    });
    evidence.sent.body && authorized && !matches!(evidence.decision, Decision::Unclear(_))
}

/// Whether the API server itself answered with an object. A watch is a stream of them, and what stands behind a
/// proxy answers past it.
fn has_answer_object(evidence: &Evidence) -> bool {
    let response = match &evidence.answer {
        Answer::Http(response) => response,
        Answer::Through(through) => &through.workload,
        _ => return false,
    };
    let is_object = |response: &Response| response.kind.is_some() || response.message.is_some();
    let path = ApiPath::parse(&evidence.sent.uri);
    let forwarded = path.is_some_and(|path| path.subresource == "proxy");
    is_object(response) && !forwarded && evidence.sent.verb.as_deref() != Some("watch")
}

/// Whether a kubelet refused the stream: its answer comes past the API server, whose event says that it let the
/// stream through (101, measured on 1.36.3).
fn is_kubelets(evidence: &Evidence, events: &[Event]) -> bool {
    let mut statuses = events.iter().filter_map(|event| event.response_status.as_ref());
    matches!(evidence.answer, Answer::Http(_)) && statuses.any(|status| status.code == 101)
}

/// Whether an event says of impersonation what was asked for. It names the impersonated user only if impersonation was
/// granted, and then with the groups that come with the name (measured on 1.36.3).
fn same_impersonation(asked: Option<&User>, event: &Event, decision: &Decision) -> bool {
    let refused =
        matches!(decision, Decision::Denied(denial) if denial.layer == Layer::Impersonation);
    match (asked.filter(|_| !refused), &event.impersonated_user) {
        (None, None) => true,
        (Some(asked), Some(logged)) => {
            let groups: BTreeSet<String> = logged.groups.iter().cloned().collect();
            logged.username == asked.username && groups == granted_groups(asked)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The groups of an impersonated user: a ServiceAccount gets its own if none are asked for, and every user gets the
/// group of authenticated or of unauthenticated users.
fn granted_groups(asked: &User) -> BTreeSet<String> {
    let mut groups: BTreeSet<String> = asked.groups.iter().cloned().collect();
    let account = asked.username.strip_prefix("system:serviceaccount:");
    if let Some((namespace, _)) = account.and_then(|account| account.split_once(':'))
        && groups.is_empty()
    {
        groups.insert("system:serviceaccounts".to_owned());
        groups.insert(format!("system:serviceaccounts:{namespace}"));
    }
    let anonymous = asked.username == "system:anonymous" || groups.contains(UNAUTHENTICATED);
    groups.insert(if anonymous { UNAUTHENTICATED } else { "system:authenticated" }.to_owned());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge_record;
    use crate::model::{Door, Effect, Recorded};

    #[test]
    fn who_is_impersonated_gets_the_groups_that_come_with_the_name() {
        let granted = |username: &str, groups: &[&str]| {
            let groups = groups.iter().map(ToString::to_string).collect();
            let granted = granted_groups(&User { username: username.to_owned(), groups });
            granted.into_iter().collect::<Vec<_>>().join(" ")
        };
        let account = "system:serviceaccount:team-a:app";
        let own = "system:authenticated system:serviceaccounts system:serviceaccounts:team-a";
        assert_eq!(granted(account, &[]), own);
        assert_eq!(granted(account, &["dev"]), "dev system:authenticated");
        assert_eq!(granted("jane", &["system:authenticated"]), "system:authenticated");
        assert_eq!(granted("jane", &["system:unauthenticated"]), "system:unauthenticated");
        assert_eq!(granted("system:anonymous", &[]), "system:unauthenticated");
    }

    #[test]
    fn of_a_yaml_body_the_log_need_not_hold_more_than_that_it_was_received() {
        let event = |stage: &str, code: Option<u16>| -> Event {
            let status = code.map(|code| serde_json::json!({"code": code}));
            serde_json::from_value(serde_json::json!({
                "auditID": "k7f3-1", "level": "Request", "stage": stage, "verb": "patch",
                "requestURI": "/api/v1/namespaces/a/pods/p", "user": {"username": "operator"},
                "objectRef": {"resource": "pods", "namespace": "a", "name": "p"},
                "responseStatus": status,
            }))
            .expect("an event")
        };
        let log = |door: Door, events: Vec<Event>| {
            let recorded = Recorded {
                level: Level::Request,
                uri: None,
                refused_too: false,
                received_only: vec![Door::ApplyYaml],
            };
            let sent = Sent {
                persona: "operator".to_owned(),
                user: Some("operator".to_owned()),
                impersonated: None,
                door,
                method: "PATCH".to_owned(),
                uri: "/api/v1/namespaces/a/pods/p".to_owned(),
                verb: Some("patch".to_owned()),
                body: true,
                audit_id: Some("k7f3-1".to_owned()),
            };
            let response =
                Response { code: 200, kind: Some("Pod".to_owned()), ..Response::default() };
            let evidence = Evidence {
                sent,
                answer: Answer::Http(response),
                decision: Decision::LetIn,
                effect: Effect::NotApplicable,
                log: Log::Read { events, traces: Vec::new(), fence: "k7f3-2".to_owned() },
                namesakes: Vec::new(),
            };
            judge_record(&recorded, &evidence).logged
        };
        let received = || event("RequestReceived", None);
        assert_eq!(log(Door::ApplyYaml, vec![received()]), "logged");
        assert_eq!(log(Door::Apply, vec![received()]), "WRONGLY LOGGED");
        assert_eq!(log(Door::ApplyYaml, Vec::new()), "UNLOGGED");
        let whole = |code| vec![received(), event("ResponseComplete", Some(code))];
        assert_eq!(log(Door::ApplyYaml, whole(200)), "logged");
        assert_eq!(log(Door::ApplyYaml, whole(403)), "WRONGLY LOGGED");
    }
}
