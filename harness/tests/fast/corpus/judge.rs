//! What would make a verdict pass that must not: told on recorded exchanges, each changed in one way.

use std::collections::BTreeMap;

use brinell::judge::{
    Expected, Signature, attribute, judge_block, judge_permit, judge_record, judge_sound,
    judge_step,
};
use brinell::model::{
    Answer, Decision, Denial, Effect, Evidence, Exchange, Flaw, Granted, Judgement, Layer, Level,
    Log, Logged, Reason, Recorded, Reviewed, Succeeds, User, Verdict,
};

use super::exchange::{all, recorded};

pub fn evidence(exchange: &Exchange) -> Evidence {
    let Exchange { sent, answer, log, .. } = exchange.clone();
    let decision = attribute(&sent, &answer, &log);
    let namesakes = vec!["ValidatingWebhookConfiguration/guard".to_owned()];
    Evidence { sent, answer, decision, effect: Effect::NotApplicable, log, namesakes }
}

fn attack(by: &[Layer], evidence: &Evidence) -> Judgement {
    blocked(by, None, evidence)
}

/// What must be refused, and be on record.
fn blocked(by: &[Layer], logged: Option<&Logged>, evidence: &Evidence) -> Judgement {
    let signature = Signature { layers: by, saying: None, leaves: &BTreeMap::new() };
    let expected = Expected { control: "guard", signature, look_at: "" };
    judge_block(&expected, logged, evidence)
}

pub fn at(level: Level) -> Logged {
    Logged { level, uri: None, received_only: Vec::new() }
}

/// What must be let in, and leave an event of this level.
pub fn recorded_at(level: Level) -> Recorded {
    Recorded { level, uri: None, received_only: Vec::new(), refused_too: false }
}

pub fn webhook() -> Layer {
    Layer::Webhook("webhook-forbidden.brinell.dev".to_owned())
}

pub fn passes(judgement: &Judgement) -> bool {
    judgement.verdict == Verdict::Passed
}

pub fn reasons(judgement: &Judgement) -> Vec<Reason> {
    judgement.findings.iter().map(|finding| finding.reason).collect()
}

/// An attack passes when the layer decided that is asked for, and no other way.
#[test]
fn every_attack() {
    let all = all();
    let layers: Vec<Layer> = all.iter().filter_map(|(_, exchange)| layer(exchange)).collect();
    for (name, exchange) in &all {
        let evidence = evidence(exchange);
        for asked in &layers {
            let judgement = attack(std::slice::from_ref(asked), &evidence);
            let right = layer(exchange).as_ref() == Some(asked);
            assert_eq!(passes(&judgement), right, "{name} by {asked}: {judgement:?}");
        }
    }
}

fn layer(exchange: &Exchange) -> Option<Layer> {
    match &exchange.decision {
        Decision::Denied(denial) => Some(denial.layer.clone()),
        Decision::LetIn | Decision::Unclear(_) | Decision::Read => None,
    }
}

/// A request that flow control turned away shows nothing, whether it was an attack or a permit.
#[test]
fn flow_control() {
    let busy = evidence(&recorded("flow-control"));
    assert_eq!(attack(&[webhook()], &busy).verdict, Verdict::Inconclusive);
    assert_eq!(judge_permit(&Succeeds::default(), None, &busy).verdict, Verdict::Inconclusive);
    assert_eq!(attack(&[Layer::FlowControl], &busy).verdict, Verdict::Passed);
}

/// The caller was let in, but nothing came of it, so that nobody refused it either.
#[test]
fn kubelet_that_refuses_the_api_server() {
    for name in ["kubelet-refuses-exec", "kubelet-refuses-log", "kubelet-refuses-proxy"] {
        let refused = evidence(&recorded(name));
        for by in [webhook(), Layer::Kubelet] {
            assert_eq!(attack(&[by], &refused).verdict, Verdict::Inconclusive, "{name}");
        }
    }
}

/// A permit never passes where somebody refused or nobody knows.
#[test]
fn every_permit() {
    for (name, exchange) in all() {
        if passes(&judge_permit(&Succeeds::default(), None, &evidence(&exchange))) {
            assert_eq!(exchange.decision, Decision::LetIn, "{name}");
        }
    }
}

/// A step works where a permit does; where it does not, no promise is broken, and nothing can be told.
#[test]
fn every_step() {
    for (name, exchange) in all() {
        let evidence = evidence(&exchange);
        let worked = passes(&judge_permit(&Succeeds::default(), None, &evidence));
        let expected = if worked { Verdict::Passed } else { Verdict::Inconclusive };
        let judgement = judge_step(&Succeeds::default(), None, &evidence);
        assert_eq!(judgement.verdict, expected, "{name}: {judgement:?}");
    }
}

#[test]
fn effect_of_a_refused_attack() {
    let mut evidence = evidence(&recorded("webhook-forbidden"));
    evidence.effect = Effect::Present("Pod attack".to_owned());
    assert_eq!(reasons(&attack(&[webhook()], &evidence)), [Reason::Bypassed]);
    let mut unclear = self::evidence(&recorded("proxy-502"));
    unclear.effect = Effect::Present("Pod attack".to_owned());
    assert_eq!(reasons(&attack(&[webhook()], &unclear)), [Reason::Bypassed]);
}

/// The request was sent twice under one id, and carried out once.
#[test]
fn refusal_beside_a_success() {
    let mut evidence = evidence(&recorded("webhook-forbidden"));
    change_events(&mut evidence, |events| {
        let mut carried_out = events[0].clone();
        if let Some(status) = &mut carried_out.response_status {
            status.code = 201;
            status.message.clear();
        }
        events.push(carried_out);
    });
    assert_eq!(attack(&[webhook()], &evidence).verdict, Verdict::Inconclusive);
    let logged = blocked(&[webhook()], Some(&at(Level::Request)), &evidence);
    assert_eq!(reasons(&logged), [Reason::WronglyLogged]);
}

/// The event has our id, but is not of what we sent.
#[test]
fn event_of_another() {
    let logged = at(Level::Request);
    let own = evidence(&recorded("webhook-forbidden"));
    assert!(passes(&blocked(&[webhook()], Some(&logged), &own)));
    let changes: [fn(&mut brinell::model::Event); 6] = [
        |event| event.user.username = "somebody".to_owned(),
        |event| event.impersonated_user = Some(User::default()),
        |event| event.verb = "get".to_owned(),
        |event| event.request_uri.push_str("?dryRun=All"),
        |event| event.level = Level::RequestResponse,
        |event| event.response_status = None,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut other = own.clone();
        change_events(&mut other, |events| events.iter_mut().for_each(change));
        let judgement = blocked(&[webhook()], Some(&logged), &other);
        assert_eq!(reasons(&judgement), [Reason::WronglyLogged], "change {index}");
        let mut beside = own.clone();
        change_events(&mut beside, |events| {
            events.push(events[0].clone());
            change(&mut events[1]);
        });
        // A second event may lack the answer, as RequestReceived does.
        let silent = index == 5;
        assert_eq!(
            passes(&blocked(&[webhook()], Some(&logged), &beside)),
            silent,
            "change {index}"
        );
    }
}

/// The event names whom the caller asked to be, once that is granted, and nobody else.
#[test]
fn event_of_an_impersonation() {
    let colleague = |groups: &[&str]| User {
        username: "colleague".to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    let granted = evidence(&recorded("webhook-forbidden"));
    let mut refused = granted.clone();
    refused.decision =
        Decision::Denied(Denial { layer: Layer::Impersonation, message: String::new() });
    for (groups, as_asked) in [
        (None, false),
        // Everybody who is impersonated is authenticated as well.
        (Some(&["staff"][..]), false),
        (Some(&["staff", "system:authenticated"][..]), true),
        (Some(&["staff", "system:masters"][..]), false),
        (Some(&[][..]), false),
    ] {
        for (evidence, expected) in [(&granted, as_asked), (&refused, groups.is_none())] {
            let mut evidence = evidence.clone();
            evidence.sent.impersonated = Some(colleague(&["staff"]));
            change_events(&mut evidence, |events| {
                events[0].impersonated_user = groups.map(colleague);
            });
            let judgement =
                blocked(&[webhook(), Layer::Impersonation], Some(&at(Level::Request)), &evidence);
            assert_eq!(passes(&judgement), expected, "{groups:?}");
        }
    }
}

/// A review passes if it is granted to allowed subjects alone. If it is granted to nobody, the read has failed.
#[test]
fn review_of_grants() {
    let admins = || vec!["Group/system:masters".to_owned()];
    for (allowed, others, as_attack, as_permit) in [
        (admins(), vec![], Verdict::Passed, Verdict::Passed),
        (admins(), vec!["User/x (RoleBinding/a/b)".to_owned()], Verdict::Failed, Verdict::Failed),
        (vec![], vec!["User/x (RoleBinding/a/b)".to_owned()], Verdict::Failed, Verdict::Failed),
        (vec![], vec![], Verdict::Inconclusive, Verdict::Failed),
    ] {
        let mut evidence = evidence(&recorded("webhook-forbidden"));
        evidence.answer = Answer::Grants(Granted { allowed, others });
        evidence.log = Log::NotApplicable;
        evidence.decision = attribute(&evidence.sent, &evidence.answer, &evidence.log);
        assert_eq!(attack(&[Layer::Authorization], &evidence).verdict, as_attack);
        assert_eq!(judge_permit(&Succeeds::default(), None, &evidence).verdict, as_permit);
    }
}

/// A review is right when all was read and nothing is wrong. It is never said to have blocked anything.
#[test]
fn review_of_configuration() {
    let flaw = || Flaw {
        object: "Webhook/x".to_owned(),
        field: "failurePolicy".to_owned(),
        is: "Ignore".to_owned(),
        follows: "everybody is let in".to_owned(),
    };
    let unread = || vec!["the file is not known".to_owned()];
    for (objects, flaws, unread, as_review, as_permit) in [
        (1, vec![], vec![], Verdict::Passed, Verdict::Passed),
        (1, vec![flaw()], vec![], Verdict::Failed, Verdict::Failed),
        (0, vec![flaw()], vec![], Verdict::Failed, Verdict::Failed),
        (1, vec![flaw()], unread(), Verdict::Failed, Verdict::Failed),
        (1, vec![], unread(), Verdict::Inconclusive, Verdict::Failed),
        (0, vec![], vec![], Verdict::Inconclusive, Verdict::Failed),
    ] {
        let mut evidence = evidence(&recorded("webhook-forbidden"));
        evidence.answer = Answer::Review(Reviewed { objects, flaws, more: 0, unread });
        evidence.log = Log::NotApplicable;
        evidence.decision = attribute(&evidence.sent, &evidence.answer, &evidence.log);
        let judgement = judge_sound("exec-guard", "there", &evidence);
        assert_eq!(judgement.verdict, as_review);
        assert!(!judgement.outcome.contains("blocked"), "{judgement:?}");
        let reasons: Vec<Reason> = judgement.findings.iter().map(|it| it.reason).collect();
        assert!(reasons.iter().all(|reason| *reason == Reason::Misconfigured));
        assert_eq!(judge_permit(&Succeeds::default(), None, &evidence).verdict, as_permit);
        assert_eq!(attack(&[webhook()], &evidence).verdict, Verdict::Inconclusive);
    }
}

pub fn change_events(
    evidence: &mut Evidence,
    change: impl FnOnce(&mut Vec<brinell::model::Event>),
) {
    match &mut evidence.log {
        Log::Read { events, .. } => change(events),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_event() {
    let mut evidence = evidence(&recorded("webhook-forbidden"));
    for (log, expected) in [
        (Log::Disabled, Verdict::Failed),
        (Log::Unreadable("it is gone".to_owned()), Verdict::Inconclusive),
        (Log::NotApplicable, Verdict::Inconclusive),
    ] {
        evidence.log = log;
        let judgement = judge_record(&recorded_at(Level::Request), &evidence);
        assert_eq!(judgement.verdict, expected);
    }
}

/// The answer says that it was made, and nothing is there.
#[test]
fn permit_without_effect() {
    let mut evidence = evidence(&recorded("let-in-create"));
    assert!(passes(&judge_permit(&Succeeds::default(), None, &evidence)));
    evidence.effect = Effect::Absent;
    let judgement = judge_permit(&Succeeds::default(), None, &evidence);
    assert_eq!(reasons(&judgement), [Reason::PermitBroken]);
}

/// 101 is no success: what is asked for ran only where its end or its output came back.
#[test]
fn permit_by_spdy() {
    let evidence = evidence(&recorded("stream-spdy"));
    assert!(matches!(&evidence.answer, Answer::Stream(stream) if stream.closing.is_none()));
    let judgement = judge_permit(&Succeeds::default(), None, &evidence);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let output = Succeeds { stdout: Some("foo".to_owned()), stdout_contains: None };
    assert_eq!(judge_permit(&output, None, &evidence).verdict, Verdict::Failed);
    // A forwarded port is closed before it is used, so that being let in is all there is.
    let mut forwarded = evidence;
    forwarded.sent.uri = "/api/v1/namespaces/a/pods/p/portforward".to_owned();
    assert!(passes(&judge_permit(&Succeeds::default(), None, &forwarded)));
}

#[test]
fn permit_with_other_output() {
    let evidence = evidence(&recorded("stream-worked"));
    let output = |text: &str| Succeeds { stdout: Some(text.to_owned()), stdout_contains: None };
    assert!(passes(&judge_permit(&output("foo"), None, &evidence)));
    for other in ["", "fo", "foo\n\n", "bar"] {
        assert!(!passes(&judge_permit(&output(other), None, &evidence)), "{other:?}");
    }
}
