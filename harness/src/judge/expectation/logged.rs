//! Whether the audit log holds what was sent and answered, and as much of it as is asked for.

use std::collections::BTreeSet;

use super::Judging;
use super::told::asked;
use crate::judge::traced::{self, Compared, Told};
use crate::model::{
    Answer, ApiPath, Decision, Effect, Event, Evidence, Finding, Layer, Level, Log, Logged,
    NOT_SHOWN, Part, Reason, Response, Sent, User,
};

/// Whether nothing shows that the API server was ever asked: no answer came, and nothing was there afterwards. A log proves
/// nothing about what was lost on the way to it.
fn may_not_have_come(evidence: &Evidence) -> bool {
    matches!(evidence.answer, Answer::Nothing(_))
        && matches!(evidence.effect, Effect::NotApplicable | Effect::Absent)
}

/// The group of requests without a valid identity.
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// What the audit backend writes on an event whose bodies it dropped because they were too large.
const TRUNCATED: &str = "audit.k8s.io/truncated";

impl Judging {
    pub(super) fn log(&mut self, logged: Option<&Logged>, evidence: &Evidence) {
        let Some(logged) = logged else { return };
        let before = self.causes.len();
        self.held(logged, evidence);
        self.causes_of_log = self.causes.len() - before;
    }

    /// What the log holds of it.
    fn held(&mut self, logged: &Logged, evidence: &Evidence) {
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
            Log::Read { events, .. } if events.is_empty() && may_not_have_come(evidence) => {
                self.logged = "NO EVENT".to_owned();
                self.causes.push(
                    "the audit log holds nothing of it, and it may never have come to the API server"
                        .to_owned(),
                );
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
        let mut compared = differences(logged, evidence, events);
        if let Some(answer) = traced::controllers_answer(&evidence.answer) {
            match traced::compare(logged, answer, traces, events) {
                Told::Nothing if traced::hidden(events).next().is_some() => {
                    compared.unshown.extend(traced::hidden(events));
                }
                Told::Nothing => {
                    let got = "the workload, and nothing of the pod that its controller asked for";
                    return self.unlogged(logged, &evidence.sent, got);
                }
                Told::Nameless => self.causes.push(
                    "at this level the audit log does not say which pod a controller made"
                        .to_owned(),
                ),
                Told::Differences(told) => {
                    compared.wrong.extend(told.wrong);
                    compared.unshown.extend(told.unshown);
                }
            }
        }
        let Compared { wrong, unshown } = compared;
        if !unshown.is_empty() {
            self.logged = NOT_SHOWN.to_owned();
            let parts: Vec<&str> = unshown.into_iter().map(Part::label).collect();
            self.causes.push(format!("not shown by this log: {}", parts.join(", ")));
        }
        if wrong.is_empty() {
            if self.logged.is_empty() {
                self.logged = "logged".to_owned();
            }
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
fn differences(logged: &Logged, evidence: &Evidence, events: &[Event]) -> Compared {
    let sent = &evidence.sent;
    let mut compared = Compared::default();
    for event in events {
        let level = event.level;
        let wrong = (level != logged.level).then(|| format!("level {level:?}"));
        compared.note(event, Part::Level, wrong);
        let wrong =
            (Some(&event.verb) != sent.verb.as_ref()).then(|| format!("verb {}", event.verb));
        compared.note(event, Part::Verb, wrong);
        let wrong = (event.request_uri != sent.uri).then(|| format!("URI {}", event.request_uri));
        compared.note(event, Part::Uri, wrong);
        who(&mut compared, evidence, event);
        if let Some(path) = ApiPath::parse(&sent.uri) {
            compared.note(event, Part::Object, other_object(&path, event));
        }
    }
    let answered =
        events.iter().any(|event| event.response_status.is_some() || !event.shows(Part::Code));
    let lost = !answered && logged.received_only.contains(&sent.door);
    codes(&mut compared, lost, evidence, events);
    if let Some(text) = &logged.uri
        && !events.iter().any(|event| event.request_uri.contains(text.as_str()))
    {
        compared.note_all(events, Part::Uri, Some(format!("no {text:?} in the URI")));
    }
    let is_level = |event: &Event| event.level == logged.level || !event.shows(Part::Level);
    if !lost && events.iter().all(is_level) {
        bodies(&mut compared, logged.level, evidence, events);
    }
    compared.wrong.dedup();
    compared
}

/// Compares who called and who was impersonated.
fn who(compared: &mut Compared, evidence: &Evidence, event: &Event) {
    let sent = &evidence.sent;
    let asked = sent.impersonated.as_ref();
    let nobody = sent.user.is_none() && event.user.username == "system:anonymous";
    let is_other = !nobody && event.user.username != sent.user.as_deref().unwrap_or_default();
    // A log without impersonation may name either of the two.
    if asked.is_none() || event.shows(Part::Impersonation) {
        let wrong = is_other.then(|| format!("user {:?}", event.user.username));
        compared.note(event, Part::User, wrong);
    }
    // The event of stage RequestReceived is written before impersonation.
    let received = event.stage == "RequestReceived";
    if received || same_impersonation(asked, event, &evidence.decision) {
        return;
    }
    let wrong = match &event.impersonated_user {
        Some(user) => format!("impersonating {:?} of {:?}", user.username, user.groups),
        None => "impersonating nobody".to_owned(),
    };
    compared.note(event, Part::Impersonation, Some(wrong));
}

/// The object of an event that names another one than the request.
fn other_object(path: &ApiPath, event: &Event) -> Option<String> {
    let object = event.object_ref.as_ref()?;
    let is_same = object.resource == path.resource && object.subresource == path.subresource;
    (!is_same).then(|| format!("object {}/{}", object.resource, object.subresource))
}

/// Compares the code that was answered.
fn codes(compared: &mut Compared, lost: bool, evidence: &Evidence, events: &[Event]) {
    let code = evidence.answer.code().filter(|_| !is_kubelets(evidence, events));
    let Some(code) = code else { return };
    let shown = events.iter().filter(|event| event.shows(Part::Code));
    let statuses = shown.filter_map(|event| event.response_status.as_ref());
    let codes: Vec<u16> = statuses.map(|status| status.code).collect();
    if codes.is_empty() && events.iter().any(|event| !event.shows(Part::Code)) {
        compared.unshown.insert(Part::Code);
    } else if !lost && codes.is_empty() || codes.iter().any(|logged| *logged != code) {
        compared.wrong.push(format!("codes {codes:?} instead of {code}"));
    }
}

/// Compares which bodies the level promises, and which are there although it holds none.
fn bodies(compared: &mut Compared, level: Level, evidence: &Evidence, events: &[Event]) {
    let request = events.iter().any(|event| event.request_object);
    let answer = events.iter().any(|event| event.response_object);
    let truncated = events.iter().any(|event| event.annotations.contains_key(TRUNCATED));
    let why = if truncated { format!(": the event says {TRUNCATED}") } else { String::new() };
    let shows = |part: Part| events.iter().all(|event| event.shows(part));
    if level >= Level::Request && had_body_read(evidence, events) && !request {
        let wrong = format!("without the request's body{why}");
        compared.note_all(events, Part::RequestBody, Some(wrong));
    } else if level >= Level::Request && evidence.sent.body && !shows(Part::Annotations) {
        compared.unshown.insert(Part::Annotations);
    }
    let owes_answer = level == Level::RequestResponse && has_answer_object(evidence) && !answer;
    if owes_answer && !shows(Part::Code) {
        // Whether a kubelet answered is known by the code.
        compared.unshown.insert(Part::AnswerBody);
    } else if owes_answer && !is_kubelets(evidence, events) {
        let wrong = format!("without the answer's body{why}");
        compared.note_all(events, Part::AnswerBody, Some(wrong));
    }
    if level < Level::Request {
        let wrong = request.then(|| "with the request's body".to_owned());
        compared.note_all(events, Part::RequestBody, wrong);
    }
    if level < Level::RequestResponse {
        let wrong = answer.then(|| "with the answer's body".to_owned());
        compared.note_all(events, Part::AnswerBody, wrong);
    }
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
    use crate::model::{Door, Recorded, Silence, SilenceKind, Verdict};

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

    /// Of a request that the network lost no log holds anything.
    #[test]
    fn what_may_never_have_come_is_not_said_to_be_unlogged() {
        let silence = Silence {
            kind: SilenceKind::TimedOut,
            text: "deadline has elapsed".to_owned(),
            listener_proven: false,
        };
        let judged = |answer: Answer, effect: Effect| {
            let recorded = Recorded {
                level: Level::Metadata,
                uri: None,
                refused_too: true,
                received_only: Vec::new(),
            };
            let (events, traces) = (Vec::new(), Vec::new());
            let evidence = Evidence {
                sent: shown().0,
                answer,
                decision: Decision::Unclear("no answer".to_owned()),
                effect,
                log: Log::Read { events, traces, fence: "k7f3-2".to_owned() },
                namesakes: Vec::new(),
            };
            let judged = judge_record(&recorded, &evidence);
            (judged.verdict, judged.logged)
        };
        let lost = || Answer::Nothing(silence.clone());
        let there = Effect::Present("Pod p is there".to_owned());
        assert_eq!(judged(lost(), Effect::Absent), (Verdict::Inconclusive, "NO EVENT".to_owned()));
        assert_eq!(judged(lost(), there), (Verdict::Failed, "UNLOGGED".to_owned()));
        let refused = Answer::Http(Response { code: 403, ..Response::default() });
        assert_eq!(judged(refused, Effect::Absent), (Verdict::Failed, "UNLOGGED".to_owned()));
    }

    /// A request with a body by somebody who acts as somebody else, and all that a log can show of it.
    fn shown() -> (Sent, serde_json::Value) {
        let sent = serde_json::json!({
            "persona": "operator", "user": "operator", "door": "direct", "method": "POST",
            "impersonated": {"username": "jane", "groups": ["dev"]}, "verb": "create", "body": true,
            "uri": "/api/v1/namespaces/a/pods?dryRun=All", "audit-id": "k7f3-1",
        });
        let event = serde_json::json!({
            "auditID": "k7f3-1", "level": "RequestResponse", "stage": "ResponseComplete", "verb": "create",
            "requestURI": "/api/v1/namespaces/a/pods?dryRun=All", "user": {"username": "operator"},
            "impersonatedUser": {"username": "jane", "groups": ["dev", "system:authenticated"]},
            "objectRef": {"resource": "pods", "namespace": "a"}, "responseStatus": {"code": 201},
            "annotations": {"authorization.k8s.io/decision": "allow"},
            "requestObject": {}, "responseObject": {},
        });
        (serde_json::from_value(sent).expect("a request"), event)
    }

    fn judged(event: serde_json::Value, level: Level) -> crate::model::Judgement {
        let recorded = Recorded {
            level,
            uri: Some("dryRun".to_owned()),
            refused_too: false,
            received_only: vec![Door::Direct],
        };
        let response = Response { code: 201, kind: Some("Pod".to_owned()), ..Response::default() };
        let events = vec![serde_json::from_value(event).expect("an event")];
        let evidence = Evidence {
            sent: shown().0,
            answer: Answer::Http(response),
            decision: Decision::LetIn,
            effect: Effect::NotApplicable,
            log: Log::Read { events, traces: Vec::new(), fence: "k7f3-2".to_owned() },
            namesakes: Vec::new(),
        };
        judge_record(&recorded, &evidence)
    }

    #[test]
    fn what_a_log_cannot_show_is_neither_logged_nor_wrongly_logged() {
        use serde_json::{Value, json};
        assert_eq!(judged(shown().1, Level::RequestResponse).verdict, Verdict::Passed);
        for (field, lost, part) in [
            ("level", json!("Metadata"), Part::Level),
            ("verb", json!(""), Part::Verb),
            ("requestURI", json!(""), Part::Uri),
            ("user", json!({}), Part::User),
            ("impersonatedUser", Value::Null, Part::Impersonation),
            ("objectRef", json!({"resource": "x"}), Part::Object),
            ("responseStatus", json!({"code": 0}), Part::Code),
            ("requestObject", Value::Null, Part::RequestBody),
            ("responseObject", Value::Null, Part::AnswerBody),
        ] {
            let (_, mut event) = shown();
            event[field] = lost;
            let judgement = judged(event.clone(), Level::RequestResponse);
            assert_eq!(judgement.verdict, Verdict::Failed, "{field} is shown");
            assert_eq!(judgement.logged, "WRONGLY LOGGED", "{field} is shown");
            event["unshown"] = json!([part]);
            let judgement = judged(event, Level::RequestResponse);
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{field}: {judgement:?}");
            assert_eq!(judgement.logged, "NOT SHOWN", "{field}");
            let cause = format!("not shown by this log: {}", part.label());
            assert_eq!((judgement.causes, judgement.causes_of_log), (vec![cause], 1), "{field}");
        }
    }

    #[test]
    fn that_a_body_is_not_in_the_log_must_be_shown_too() {
        let (_, mut event) = shown();
        event["level"] = "Metadata".into();
        event["requestObject"] = false.into();
        event["responseObject"] = false.into();
        assert_eq!(judged(event.clone(), Level::Metadata).verdict, Verdict::Passed);
        for part in [Part::RequestBody, Part::AnswerBody] {
            event["unshown"] = serde_json::json!([part]);
            let judgement = judged(event.clone(), Level::Metadata);
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{part:?}");
        }
    }

    #[test]
    fn whether_a_body_is_owed_is_told_by_annotations_and_code() {
        let (_, mut event) = shown();
        event["annotations"] = serde_json::json!({});
        event["requestObject"] = false.into();
        assert_eq!(judged(event.clone(), Level::RequestResponse).verdict, Verdict::Passed);
        event["unshown"] = serde_json::json!([Part::Annotations]);
        let judgement = judged(event, Level::RequestResponse);
        assert_eq!(judgement.causes, ["not shown by this log: the annotations"]);
        let (_, mut event) = shown();
        event["responseObject"] = false.into();
        event["unshown"] = serde_json::json!([Part::Code]);
        let judgement = judged(event, Level::RequestResponse);
        let cause = "not shown by this log: the code, the answer's body";
        assert_eq!(
            (judgement.verdict, judgement.causes),
            (Verdict::Inconclusive, vec![cause.to_owned()])
        );
    }

    #[test]
    fn what_is_shown_and_wrong_stays_wrong_beside_what_is_not_shown() {
        let (_, mut event) = shown();
        event["verb"] = "get".into();
        event["unshown"] = serde_json::json!([Part::Level, Part::Uri]);
        let judgement = judged(event, Level::RequestResponse);
        assert_eq!(judgement.verdict, Verdict::Failed);
        assert_eq!(judgement.findings[0].got, "verb get");
        assert_eq!(judgement.causes, ["not shown by this log: the level, the URI with its query"]);
    }

    #[test]
    fn a_log_without_impersonation_may_name_either_user() {
        let (_, mut event) = shown();
        event["user"]["username"] = "jane".into();
        event["impersonatedUser"] = serde_json::Value::Null;
        event["unshown"] = serde_json::json!([Part::Impersonation]);
        let judgement = judged(event, Level::RequestResponse);
        assert_eq!(judgement.causes, ["not shown by this log: who is impersonated"]);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
    }
}
