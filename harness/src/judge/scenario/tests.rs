use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::*;
use crate::catalog::{ControlEntry, Declared, PersonaEntry};
use crate::model::Steadiness;
use crate::model::{
    Action, Answer, ApiServer, AuditLogSearch, Door, Effect, Event, Level, Log, Logged, Objects,
    Persona, Reason, Recorded, Response, Sent, Succeeds,
};

const DENIED: &str = "admission webhook \"guard.example\" denied the request: interactive";

const FORBIDDEN: &str = "pods \"p\" is forbidden: User \"eve\" cannot get resource \"pods\" in API group \"\" in the namespace \"a\"";

fn turn(role: Role, expected: Expectation<Arc<ControlEntry>>) -> Turn {
    let (name, file) = ("eve".to_owned(), String::new());
    let persona = PersonaEntry {
        name,
        file,
        who: Persona::Anonymous,
        roles: Vec::new(),
        has_own_account: false,
        played: false,
    };
    Turn {
        name: "it".to_owned(),
        pointer: "/attacks/0".to_owned(),
        role,
        persona: Arc::new(persona),
        action: Action::AuditLog(AuditLogSearch {}),
        door: Door::Direct,
        expected,
    }
}

/// A control that decides by these layers.
fn guard(layers: &[Layer]) -> ControlEntry {
    ControlEntry {
        id: "guard".to_owned(),
        file: String::new(),
        built_in: true,
        control: Control {
            title: String::new(),
            decides: layers.to_vec(),
            leaves: BTreeMap::new(),
            look_at: "the guard".to_owned(),
            objects: Objects::default(),
            servers: Vec::new(),
            images: Vec::new(),
            api_server: ApiServer::default(),
            kubelet: None,
            ready: Vec::new(),
            weaken: BTreeMap::new(),
        },
        files: BTreeMap::new(),
        made: BTreeMap::new(),
        printed: Vec::new(),
        text: String::new(),
        declared: None,
        weakened: OnceLock::new(),
    }
}

fn blocked(layers: &[Layer]) -> Expectation<Arc<ControlEntry>> {
    let by = Arc::new(guard(layers));
    Expectation::Blocked(Blocked { by, at: None, saying: None }, None)
}

fn recorded() -> Expectation<Arc<ControlEntry>> {
    let level = Level::Metadata;
    Expectation::Recorded(Recorded {
        level,
        uri: None,
        received_only: Vec::new(),
        refused_too: false,
    })
}

/// What a pod's creation was answered.
fn seen(audit_id: &str, code: u16, message: &str) -> Seen {
    let message = Some(message.to_owned()).filter(|message| !message.is_empty());
    Seen {
        sent: Sent {
            persona: "eve".to_owned(),
            user: Some("eve".to_owned()),
            impersonated: None,
            door: Door::Direct,
            method: "POST".to_owned(),
            uri: "/api/v1/namespaces/a/pods".to_owned(),
            verb: Some("create".to_owned()),
            audit_id: Some(audit_id.to_owned()),
            body: true,
        },
        answer: Answer::Http(Response { code, message, ..Response::default() }),
        effect: Effect::NotApplicable,
        log: Log::Unreadable("nothing came yet".to_owned()),
        webhooks: Vec::new(),
        is_controller_elsewhere: false,
        unseen: None,
        was_taken: false,
    }
}

fn event(audit_id: &str, code: u16) -> Event {
    serde_json::from_value(serde_json::json!({
        "auditID": audit_id, "level": "Metadata", "stage": "ResponseComplete", "verb": "create",
        "requestURI": "/api/v1/namespaces/a/pods", "user": {"username": "eve"},
        "objectRef": {"resource": "pods", "namespace": "a"}, "responseStatus": {"code": code},
    }))
    .expect("an event")
}

fn record(seen: Vec<Seen>) -> Record {
    let attempt = |seen| AttemptRecord { seen: Ok(seen), too_soon: None };
    Record {
        attempts: seen.into_iter().map(attempt).collect(),
        steadiness: Steadiness::Steady,
        left_over: Vec::new(),
        cause: None,
    }
}

fn judged(turns: &[Turn], record: Record) -> Judged {
    judge(turns, record, &Values::default())
}

fn verdicts(judged: &Judged) -> Vec<Verdict> {
    judged.attempts.iter().map(|attempt| attempt.judgement.verdict).collect()
}

#[test]
fn a_record_that_was_written_down_is_judged_by_what_came_later() {
    let turns = [turn(Role::Attack, recorded())];
    let early = record(vec![seen("k7f3-1", 201, "")]);
    let text = serde_json::to_string(&early).expect("JSON");
    assert_eq!(judged(&turns, early).verdict, Verdict::Inconclusive);
    let mut late: Record = serde_json::from_str(&text).expect("a record");
    let events = vec![event("k7f3-1", 201)];
    let log = Log::Read { events, traces: Vec::new(), fence: "k7f3-9".to_owned() };
    late.attempts[0].seen.as_mut().expect("seen").log = log;
    assert_eq!(judged(&turns, late).verdict, Verdict::Passed);
}

#[test]
fn credentials_that_have_ended_are_no_block_and_no_broken_permit() {
    let works = || {
        let succeeds = Succeeds::default();
        Expectation::Succeeds(succeeds, None)
    };
    let turns = [
        turn(Role::Attack, blocked(&[Layer::Authentication])),
        turn(Role::Attack, recorded()),
        turn(Role::Permit, works()),
    ];
    let after = |was_taken: bool| {
        let seen = || Seen { was_taken, ..seen("k7f3-1", 401, "Unauthorized") };
        judged(&turns, record(vec![seen(), seen(), seen()]))
    };
    let ended = after(true);
    assert_eq!(verdicts(&ended), [Verdict::Inconclusive; 3]);
    for attempt in &ended.attempts {
        let causes = &attempt.judgement.causes;
        assert_eq!(causes, &["the credentials of eve are not accepted any more"]);
    }
    // Who was never let in is refused by what refuses.
    let [block, _, permit] = verdicts(&after(false))[..] else { panic!("three") };
    assert_eq!((block, permit), (Verdict::Passed, Verdict::Failed));
    // What is answered in other words, or had an effect, is judged as ever.
    let kept = |seen: Seen| judged(&turns[..1], record(vec![Seen { was_taken: true, ..seen }]));
    assert_eq!(kept(seen("k7f3-1", 403, FORBIDDEN)).verdict, Verdict::Failed);
    let effect = Effect::Present("Pod p".to_owned());
    let made = Seen { effect, ..seen("k7f3-1", 401, "Unauthorized") };
    assert_eq!(kept(made).verdict, Verdict::Failed);
}

#[test]
fn of_all_webhooks_those_count_whose_name_refused() {
    let layers = [Layer::Webhook("guard.example".to_owned())];
    let turns = [turn(Role::Attack, blocked(&layers))];
    let mut seen = seen("k7f3-1", 403, DENIED);
    seen.webhooks = [("guard.example", "ours"), ("other.example", "theirs")]
        .map(|(name, configuration)| Webhook {
            name: name.to_owned(),
            configuration: configuration.to_owned(),
        })
        .to_vec();
    let one = judged(&turns, record(vec![seen.clone()]));
    assert_eq!(verdicts(&one), [Verdict::Passed]);
    let evidence = one.attempts[0].evidence.as_ref().expect("evidence");
    assert_eq!(evidence.namesakes, ["ours"]);
    seen.webhooks[1].name = "guard.example".to_owned();
    let both = judged(&turns, record(vec![seen.clone()]));
    assert_eq!(verdicts(&both), [Verdict::Inconclusive]);
    seen.webhooks.clear();
    let unknown = judged(&turns, record(vec![seen]));
    assert_eq!(verdicts(&unknown), [Verdict::Inconclusive]);
}

/// What `guard.example` refused, by what a profile declares of the control.
fn declared(name: &str, saying: Option<&str>, leaves: &str, seen: Seen) -> AttemptResult {
    let mut guard = guard(&[Layer::Webhook(name.to_owned())]);
    guard.control.leaves = BTreeMap::from([("guard.example/policy".to_owned(), leaves.to_owned())]);
    let saying = saying.map(str::to_owned);
    let blocked = Blocked { by: Arc::new(guard), at: None, saying };
    let turns = [turn(Role::Attack, Expectation::Blocked(blocked, None))];
    judged(&turns, record(vec![seen])).attempts.remove(0)
}

#[test]
fn a_pattern_of_names_is_known_by_words_and_what_is_left() {
    let mut refused = seen("k7f3-1", 403, DENIED);
    let webhook = |configuration: &str| Webhook {
        name: "guard.example".to_owned(),
        configuration: configuration.to_owned(),
    };
    refused.webhooks = vec![webhook("theirs")];
    let mut left = event("k7f3-1", 403);
    for (key, value) in
        [("guard.example/policy", "shells"), ("authorization.k8s.io/decision", "allow")]
    {
        left.annotations.insert(key.to_owned(), value.to_owned());
    }
    let status = left.response_status.as_mut().expect("a status");
    status.message = DENIED.to_owned();
    let log = Log::Read { events: vec![left], traces: Vec::new(), fence: "k7f3-9".to_owned() };
    let logged = Seen { log, ..refused.clone() };
    let said = Some("interactive");

    for (name, saying) in [("guard.*", said), ("*.example", None), ("guard.example", None)] {
        let own = declared(name, saying, "shells", logged.clone());
        assert_eq!(own.judgement.verdict, Verdict::Passed, "{own:?}");
    }
    for (name, saying, leaves, reason, words) in [
        ("guards.*", said, "shells", Reason::WrongLayer, "blocked by webhook guard.example"),
        ("guard.*", Some("sensitive"), "shells", Reason::OtherReason, "something else"),
        ("guard.*", said, "images", Reason::WrongLayer, "another webhook guard.example"),
        ("guard.*", None, "images", Reason::WrongLayer, "another webhook guard.example"),
    ] {
        let other = declared(name, saying, leaves, logged.clone()).judgement;
        assert_eq!(other.findings[0].reason, reason, "{other:?}");
        assert!(other.outcome.contains(words), "{other:?}");
    }
    // Words tell without a log. Where they are not known, nothing does.
    let told = declared("guard.*", said, "shells", refused.clone());
    assert_eq!(told.judgement.verdict, Verdict::Passed);
    let untold = declared("guard.*", None, "shells", refused);
    assert_eq!(untold.judgement.verdict, Verdict::Inconclusive);
    let mut doubled = logged;
    doubled.webhooks.push(webhook("others"));
    let unclear = declared("guard.*", said, "shells", doubled);
    assert_eq!(unclear.judgement.verdict, Verdict::Inconclusive);
}

/// What somebody's policy says is no reason of Pod Security's, and what Pod Security says is none of the policy's.
#[test]
fn each_layer_of_a_declared_control_has_words_of_its_own() {
    let mut guard = guard(&[Layer::PodSecurity, Layer::Webhook("guard.example".to_owned())]);
    let (saying, same) = (Some("interactive".to_owned()), vec![Layer::PodSecurity]);
    guard.declared = Some(Declared { is_other: false, saying, same });
    let by = Arc::new(guard);
    let verdict = |written: &str, message: &str| {
        let blocked = Blocked { by: Arc::clone(&by), at: None, saying: Some(written.to_owned()) };
        let turns = [turn(Role::Attack, Expectation::Blocked(blocked, None))];
        let mut seen = seen("k7f3-1", 403, message);
        let configuration = "theirs".to_owned();
        seen.webhooks = vec![Webhook { name: "guard.example".to_owned(), configuration }];
        verdicts(&judged(&turns, record(vec![seen])))[0]
    };
    let violates = "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (container \"c\" must not set securityContext.privileged=true)";
    assert_eq!(verdict("privileged", violates), Verdict::Passed);
    assert_eq!(verdict("host namespaces", violates), Verdict::Failed);
    assert_eq!(verdict("privileged", DENIED), Verdict::Passed);
    let other = DENIED.replace("interactive", "nocturnal");
    assert_eq!(verdict("privileged", &other), Verdict::Failed);
}

/// Baseline calls otherwise what the restricted standard refuses as well.
#[test]
fn a_lower_standard_is_named_where_it_refuses_something_else() {
    let (by, saying) =
        (Arc::new(guard(&[Layer::PodSecurity])), "restricted volume types".to_owned());
    let blocked = Blocked { by, at: None, saying: Some(saying) };
    let turns = [turn(Role::Attack, Expectation::Blocked(blocked, None))];
    let violates = "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"root\")";
    let judged = judged(&turns, record(vec![seen("k7f3-1", 403, violates)]));
    let found = &judged.attempts[0].judgement.findings[0];
    assert_eq!(found.reason, Reason::OtherReason);
    let who = "Pod Security refused by baseline:latest, which is enforced there, for hostPath volumes, and not for \
               restricted volume types, a check of the restricted standard alone";
    assert_eq!(found.who, who);
}

#[test]
fn a_restart_takes_back_what_rests_on_authorization_and_nothing_else() {
    let layers = [Layer::Authorization, Layer::PodSecurity];
    let violates =
        "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (x)";
    let attack = turn(Role::Attack, blocked(&layers));
    let works = Expectation::Succeeds(Succeeds::default(), None);
    let permit = turn(Role::Permit, works);
    let turns = [attack.clone(), attack, permit.clone(), permit];
    let all = || {
        record(vec![
            seen("k7f3-1", 403, FORBIDDEN),
            seen("k7f3-2", 403, violates),
            seen("k7f3-3", 201, ""),
            seen("k7f3-4", 403, FORBIDDEN),
        ])
    };
    let steady = judged(&turns, all());
    let expected = [Verdict::Passed, Verdict::Passed, Verdict::Passed, Verdict::Failed];
    assert_eq!(verdicts(&steady), expected);
    assert_eq!(steady.attempts[3].judgement.causes, [""; 0]);
    for (steadiness, words) in [
        (Steadiness::Restarted, "the API server restarted meanwhile"),
        (Steadiness::Unknown, "which API server answered is not known here"),
    ] {
        let judged = judged(&turns, Record { steadiness, ..all() });
        let expected = [Verdict::Inconclusive, Verdict::Passed, Verdict::Passed, Verdict::Failed];
        assert_eq!(verdicts(&judged), expected);
        for doubted in [0, 3] {
            let causes = &judged.attempts[doubted].judgement.causes;
            assert!(causes[0].starts_with(words), "{causes:?}");
        }
    }
}

#[test]
fn of_several_api_servers_a_refusal_by_authorization_counts_where_its_own_was_seen_awake() {
    let attack = turn(Role::Attack, blocked(&[Layer::Authorization]));
    let seen = |id, unseen: Option<&str>| Seen {
        unseen: unseen.map(str::to_owned),
        ..seen(id, 403, FORBIDDEN)
    };
    let all = vec![seen("k7f3-1", None), seen("k7f3-2", Some("/readyz is answered 403"))];
    let all = Record { steadiness: Steadiness::Several, ..record(all) };
    let judged = judged(&[attack.clone(), attack], all);
    assert_eq!(verdicts(&judged), [Verdict::Passed, Verdict::Inconclusive]);
    let causes = &judged.attempts[1].judgement.causes;
    assert!(causes[0].ends_with(": /readyz is answered 403"), "{causes:?}");
}

#[test]
fn a_workload_whose_controller_is_elsewhere_is_judged_by_half() {
    let layers = [Layer::PodSecurity];
    let turns = [turn(Role::Attack, blocked(&layers))];
    let mut seen = seen("k7f3-1", 201, "");
    assert_eq!(judged(&turns, record(vec![seen.clone()])).verdict, Verdict::Failed);
    seen.is_controller_elsewhere = true;
    let half = judged(&turns, record(vec![seen]));
    assert_eq!(half.verdict, Verdict::Skipped);
    let outcome = &half.attempts[0].judgement.outcome;
    assert!(outcome.ends_with("; its controller asks another API server"), "{outcome}");
}

#[test]
fn a_workload_that_was_refused_is_judged_wherever_its_controller_is() {
    let turns = [turn(Role::Attack, blocked(&[Layer::Authorization]))];
    let mut seen = seen("k7f3-1", 403, FORBIDDEN);
    seen.is_controller_elsewhere = true;
    let judged = judged(&turns, record(vec![seen]));
    assert_eq!(judged.verdict, Verdict::Passed);
}

#[test]
fn an_attempt_through_a_door_that_is_not_there_is_skipped() {
    let turns = [turn(Role::Attack, blocked(&[]))];
    let mut record = record(Vec::new());
    let seen = Err(Unmade::Closed("no door".to_owned()));
    record.attempts.push(AttemptRecord { seen, too_soon: None });
    let judged = judged(&turns, record);
    assert_eq!(judged.verdict, Verdict::Skipped);
    assert_eq!(judged.attempts[0].judgement.causes, ["no door"]);
}

#[test]
fn an_attempt_that_could_not_be_made_tells_nothing() {
    let turns = [turn(Role::Attack, blocked(&[]))];
    let mut record = record(Vec::new());
    record
        .attempts
        .push(AttemptRecord { seen: Err(Unmade::Failed("no pod".to_owned())), too_soon: None });
    let judged = judged(&turns, record);
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    let AttemptResult { judgement, evidence, .. } = &judged.attempts[0];
    assert_eq!((judgement.outcome.as_str(), judgement.causes[0].as_str()), ("NOT MADE", "no pod"));
    assert!(evidence.is_none());
}

#[test]
fn a_step_that_does_not_work_is_no_broken_permit() {
    let logged = Logged { level: Level::Metadata, uri: None, received_only: Vec::new() };
    let works = |logged| Expectation::Succeeds(Succeeds::default(), logged);
    let turns = [turn(Role::Step, works(None)), turn(Role::Permit, works(None))];
    let refused = || vec![seen("k7f3-1", 403, FORBIDDEN), seen("k7f3-2", 403, FORBIDDEN)];
    let judged = judged(&turns, record(refused()));
    assert_eq!(verdicts(&judged), [Verdict::Inconclusive, Verdict::Failed]);
    assert_eq!(judged.attempts[0].role, Role::Step);
    let mut unlogged = seen("k7f3-1", 201, "");
    unlogged.log = Log::Disabled;
    let turns = [turn(Role::Step, works(Some(logged)))];
    let judged = super::judge(&turns, record(vec![unlogged]), &Values::default());
    assert_eq!(judged.attempts[0].judgement.findings[0].reason, Reason::Unlogged);
}

#[test]
fn what_is_left_over_fails_the_attempt_that_made_it() {
    let layers = [Layer::Authorization];
    let turns = [turn(Role::Attack, blocked(&layers)), turn(Role::Attack, blocked(&layers))];
    let both = || record(vec![seen("k7f3-1", 403, FORBIDDEN), seen("k7f3-2", 403, FORBIDDEN)]);
    let left = |attempt: &str| {
        vec![LeftOver { attempt: attempt.to_owned(), words: "Pod p stays".to_owned() }]
    };
    let judged = |attempt: &str| {
        judge(&turns, Record { left_over: left(attempt), ..both() }, &Values::default())
    };
    let first = judged("k7f3-1");
    assert_eq!(verdicts(&first), [Verdict::Failed, Verdict::Passed]);
    assert_eq!(first.attempts[0].judgement.findings[0].reason, Reason::LeftOver);
    assert_eq!(first.verdict, Verdict::Failed);
    // One that was sent too soon, or did not end.
    let unknown = judged("k7f3-7");
    assert_eq!(unknown.cause.as_deref(), Some("left over: Pod p stays"));
    assert_eq!(unknown.verdict, Verdict::Failed);
}

#[test]
fn a_scenario_that_ended_early_is_judged_as_far_as_it_came() {
    let turns = [
        turn(Role::Attack, blocked(&[Layer::Authorization])),
        turn(Role::Attack, blocked(&[Layer::Authorization])),
    ];
    let cause = Some("the deadline".to_owned());
    let first = Record { cause: cause.clone(), ..record(vec![seen("k7f3-1", 403, FORBIDDEN)]) };
    let judged = judged(&turns, first);
    assert_eq!(verdicts(&judged), [Verdict::Passed]);
    assert_eq!((judged.verdict, judged.cause), (Verdict::Inconclusive, cause));
    let none = super::judge(&turns, record(Vec::new()), &Values::default());
    assert_eq!(none.verdict, Verdict::Inconclusive);
}
