//! Verdicts that hold where somebody else answers in the control's name, where the log lacks what it promises, and
//! where what was made is not what was asked for: recorded exchanges, each changed in one way.

use std::collections::BTreeMap;

use brinell::judge::{Expected, Signature, attribute, judge_block, judge_permit, judge_record};
use brinell::model::{
    Answer, Decision, Denial, Effect, Event, Evidence, Finding, Judgement, Layer, Level, Log, Part,
    Reason, Recorded, ResponseStatus, Succeeds, Verdict,
};

use super::exchange::{all, recorded};
use super::judge::{change_events, evidence, passes, reasons, recorded_at, webhook};

/// Judges an attack by a control that decides at `by` and leaves its run's id on the event.
fn attack(by: &[Layer], saying: Option<&str>, evidence: &Evidence) -> Judgement {
    let key = "webhook-forbidden.brinell.dev/run".to_owned();
    let is_webhook = matches!(by, [Layer::Webhook(_)]);
    let leaves: BTreeMap<String, String> =
        is_webhook.then(|| (key, "k7f3".to_owned())).into_iter().collect();
    let signature = Signature { layers: by, saying, leaves: &leaves };
    let expected = Expected { control: "guard", signature, look_at: "the guard" };
    judge_block(&expected, None, evidence)
}

fn finding(judgement: &Judgement) -> &Finding {
    match judgement.findings.as_slice() {
        [finding] => finding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn webhook_without_our_annotation() {
    let own = evidence(&recorded("webhook-forbidden"));
    assert!(passes(&attack(&[webhook()], None, &own)));
    for annotation in [None, Some("k7f4")] {
        let mut other = own.clone();
        change_events(&mut other, |events| {
            let annotations = &mut events[0].annotations;
            annotations.remove("webhook-forbidden.brinell.dev/run");
            annotations.extend(
                annotation
                    .map(|it| ("webhook-forbidden.brinell.dev/run".to_owned(), it.to_owned())),
            );
        });
        let judgement = attack(&[webhook()], None, &other);
        assert_eq!(reasons(&judgement), [Reason::WrongLayer], "{annotation:?}");
        assert!(judgement.outcome.contains("another webhook"), "{}", judgement.outcome);
    }
    // What cannot be read is not missing, but without words nothing else tells whose it is.
    let mut unread = own;
    unread.log = Log::Unreadable("it is gone".to_owned());
    let judgement = attack(&[webhook()], None, &unread);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:?}");
}

/// Of a server-side apply in YAML the log has no event of the answer, in which the annotation would be.
#[test]
fn webhook_of_which_the_log_has_the_arrival_alone() {
    let mut arrival = evidence(&recorded("webhook-forbidden"));
    change_events(&mut arrival, |events| {
        events[0].stage = "RequestReceived".to_owned();
        events[0].response_status = None;
        events[0].annotations.clear();
    });
    assert!(passes(&attack(&[webhook()], Some("not here"), &arrival)));
    let judgement = attack(&[webhook()], Some("another"), &arrival);
    assert_eq!(reasons(&judgement), [Reason::OtherReason], "{judgement:?}");
    let judgement = attack(&[webhook()], None, &arrival);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:?}");
}

/// Takes from an event what a log may not show of it.
fn hide(event: &mut Event, parts: &[Part]) {
    event.unshown.extend(parts);
    if parts.contains(&Part::Annotations) {
        event.annotations.clear();
    }
    if parts.contains(&Part::Uri) {
        event.request_uri.clear();
    }
    if let Some(status) = event.response_status.as_mut().filter(|_| parts.contains(&Part::Code)) {
        let is_done = status.is_success();
        let reason = if is_done { ResponseStatus::RPC_OK } else { "UNKNOWN" }.to_owned();
        let message = status.message.clone();
        *status = ResponseStatus { code: 0, reason, message };
    }
    if let Some(status) = event.response_status.as_mut().filter(|_| parts.contains(&Part::Words)) {
        status.message.clear();
    }
}

#[test]
fn webhook_of_which_the_log_shows_no_annotation() {
    let mut evidence = evidence(&recorded("webhook-forbidden"));
    change_events(&mut evidence, |events| hide(&mut events[0], &[Part::Annotations]));
    let judgement = attack(&[webhook()], None, &evidence);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:?}");
    assert!(
        judgement.causes[0].contains("no audit event shows what this one leaves"),
        "{:?}",
        judgement.causes
    );
}

/// Who decided is told as it is from the whole event, or not at all.
#[test]
fn whatever_a_log_does_not_show_nobody_else_is_named() {
    let hidden: [&[Part]; 5] = [
        &[Part::Code],
        &[Part::Words, Part::Code],
        &[Part::Annotations],
        &[Part::Code, Part::Annotations, Part::Uri],
        &[Part::Words, Part::Code, Part::Annotations, Part::Uri],
    ];
    for (name, exchange) in all() {
        let whole = attribute(&exchange.sent, &exchange.answer, &exchange.log);
        for parts in hidden {
            let mut log = exchange.log.clone();
            if let Log::Read { events, traces, .. } = &mut log {
                events.iter_mut().chain(traces).for_each(|event| hide(event, parts));
            }
            let decision = attribute(&exchange.sent, &exchange.answer, &log);
            let is_told = decision == whole;
            assert!(
                is_told || matches!(decision, Decision::Unclear(_)),
                "{name} {parts:?}: {decision:?}"
            );
        }
    }
}

#[test]
fn a_refusal_that_the_log_calls_carried_out_is_no_pass() {
    let mut evidence = evidence(&recorded("authorization-get"));
    change_events(&mut evidence, |events| {
        let status = ResponseStatus { code: 200, ..ResponseStatus::default() };
        events[0].response_status = Some(status);
        hide(&mut events[0], &[Part::Code, Part::Words]);
    });
    let judgement = attack(&[Layer::Authorization], None, &evidence);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:?}");
    assert!(judgement.causes[0].contains("says OK of this very request"), "{:?}", judgement.causes);
}

#[test]
fn webhook_of_another_configuration() {
    let mut evidence = evidence(&recorded("webhook-forbidden"));
    for (namesakes, verdict) in [
        (vec!["ValidatingWebhookConfiguration/guard"], Verdict::Passed),
        (
            vec!["ValidatingWebhookConfiguration/guard", "ValidatingWebhookConfiguration/other"],
            Verdict::Inconclusive,
        ),
        (
            vec!["ValidatingWebhookConfiguration/guard", "MutatingWebhookConfiguration/other"],
            Verdict::Inconclusive,
        ),
        (vec![], Verdict::Inconclusive),
    ] {
        evidence.namesakes = namesakes.iter().map(ToString::to_string).collect();
        let judgement = attack(&[webhook()], None, &evidence);
        assert_eq!(judgement.verdict, verdict, "{namesakes:?}");
        if let [_, other] = namesakes.as_slice() {
            assert!(judgement.causes[0].contains(other), "{:?}", judgement.causes);
        }
    }
}

/// It refuses in the very words of a validating one, and leaves nothing of ours.
#[test]
fn mutating_webhook_of_our_name() {
    let exchange = recorded("webhook-mutating");
    let evidence = evidence(&exchange);
    let Decision::Denied(Denial { layer, .. }) = &exchange.decision else {
        panic!("{:?}", exchange.decision)
    };
    let judgement = attack(std::slice::from_ref(layer), None, &evidence);
    assert_eq!(reasons(&judgement), [Reason::WrongLayer], "{judgement:?}");
}

#[test]
fn right_layer_for_another_reason() {
    for (exchange, right, other) in [
        ("webhook-forbidden", "not here", "webhook-forbidden"),
        ("policy-forbidden", "not here", "policy-forbidden"),
        ("authorization-subresource", "resource \"pods/exec\"", "developer"),
        ("pod-security-restricted", "restricted volume types", "hostPath"),
    ] {
        let evidence = evidence(&recorded(exchange));
        let Decision::Denied(Denial { layer, message }) = &evidence.decision else {
            panic!("{exchange}: {:?}", evidence.decision)
        };
        let by = std::slice::from_ref(layer);
        assert!(passes(&attack(by, Some(right), &evidence)), "{exchange}: {message}");
        let judgement = attack(by, Some(other), &evidence);
        assert_eq!(reasons(&judgement), [Reason::OtherReason], "{exchange}: {message}");
        assert!(judgement.outcome.starts_with("OTHER REASON: "), "{}", judgement.outcome);
    }
}

#[test]
fn several_violations() {
    let evidence = evidence(&recorded("pod-security-several"));
    let Decision::Denied(denial) = &evidence.decision else { panic!("{:?}", evidence.decision) };
    let judgement = attack(&[Layer::PodSecurity], Some("host namespaces"), &evidence);
    assert!(passes(&judgement), "{}", denial.message);
    assert!(judgement.outcome.contains(" as well"), "{}: {}", judgement.outcome, denial.message);
}

/// A refusal of a request to a pod `app` in the namespace `a` by the user `guest`, with these parts replaced.
fn refused(layer: Layer, message: &str, uri: &str) -> Evidence {
    let mut evidence = evidence(&recorded("quota-unsaid"));
    evidence.sent.user = Some("system:serviceaccount:a:mallory".to_owned());
    evidence.sent.uri = uri.to_owned();
    evidence.decision = Decision::Denied(Denial { layer, message: message.to_owned() });
    evidence
}

/// A name that the sender has chosen is never taken for the reason, even without quotation marks.
#[test]
fn names_without_quotation_marks() {
    let plugin = |name: &str| Layer::AdmissionPlugin(name.to_owned());
    let pods = "/api/v1/namespaces/a/pods";
    for (layer, message, uri, met, chosen) in [
        // Names in the body.
        (
            Layer::Quota,
            r#"pods "p" is forbidden: failed quota: small: must specify limits.memory for: privileged,side; limits.cpu for: side"#,
            pods,
            "must specify limits.memory",
            "privileged",
        ),
        (
            plugin("ServiceAccount"),
            r#"pods "p" is forbidden: container privileged with envVar HOST_PID referencing secret.secretName="s" is not allowed because service account allowed-no does not reference that secret"#,
            pods,
            "is not allowed because service account",
            "privileged",
        ),
        (
            plugin("ServiceAccount"),
            r#"pods "p" is forbidden: container c with envVar HOST_PID referencing secret.secretName="s" is not allowed because service account default does not reference that secret"#,
            pods,
            "does not reference that secret",
            "HOST_PID",
        ),
        (
            plugin("ServiceAccount"),
            r#"pods "p" is forbidden: error looking up service account a/privileged: serviceaccount "privileged" not found"#,
            pods,
            "error looking up service account",
            "privileged",
        ),
        (
            plugin("Priority"),
            r#"pods "p" is forbidden: no PriorityClass with name privileged was found"#,
            pods,
            "no PriorityClass with name",
            "privileged",
        ),
        (
            plugin("LimitPodHardAntiAffinityTopology"),
            r#"pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey privileged but only key kubernetes.io/hostname is allowed"#,
            pods,
            "but only key kubernetes.io/hostname is allowed",
            "privileged",
        ),
        (
            plugin("OwnerReferencesPermissionEnforcement"),
            r#"pods "p" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion privileged/v1 Kind hostpid: no matches for kind "hostpid" in version "privileged/v1""#,
            pods,
            "cannot set blockOwnerDeletion",
            "hostpid",
        ),
        (
            plugin("RuntimeClass"),
            "pods \"p\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[zone] = inner; \
             pod.spec.nodeSelector[zone] = privileged",
            pods,
            "conflict: runtimeClass.scheduling.nodeSelector",
            "privileged",
        ),
        // Names in the path, of whoever asks, and of the object as the refusal names it.
        (
            plugin("NamespaceLifecycle"),
            r#"pods "p" is forbidden: unable to create new content in namespace being-terminated because it is being terminated"#,
            "/api/v1/namespaces/being-terminated/pods",
            "it is being terminated",
            "being-terminated",
        ),
        (
            Layer::WebhookFailure("w".to_owned()),
            r#"Internal error occurred: failed calling webhook "w": failed to call webhook: no route to privileged.svc"#,
            "/api/v1/namespaces/privileged/pods",
            "failed to call webhook",
            "privileged",
        ),
        (
            Layer::PolicyFailure("x".to_owned()),
            r#"pods "privileged" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: expression 'object.metadata.labels[object.metadata.name]' resulted in error: no such key: privileged"#,
            pods,
            "no such key",
            "privileged",
        ),
        (
            Layer::Webhook("w".to_owned()),
            r#"admission webhook "w" denied the request: mallory may not enter interactive, container hostpid: not here"#,
            "/api/v1/namespaces/a/pods/interactive/exec?container=hostpid&command=id",
            "not here",
            "interactive",
        ),
        (
            Layer::Webhook("w".to_owned()),
            r#"admission webhook "w" denied the request: mallory may not enter interactive, container hostpid: not here"#,
            "/api/v1/namespaces/a/pods/interactive/exec?container=hostpid&command=id",
            "may not enter",
            "mallory",
        ),
        (
            Layer::Webhook("w".to_owned()),
            r#"admission webhook "w" denied the request: no shell in my-interactive-app, container hostpid"#,
            "/api/v1/namespaces/a/pods/my-interactive-app/exec?container=hostpid&command=id",
            "no shell",
            "interactive",
        ),
        // A resource that is none.
        (
            Layer::Authorization,
            r#"x is forbidden: not on duty is forbidden: User "guest" cannot list resource "x is forbidden: not on duty" in API group "" at the cluster scope"#,
            "/api/v1/x%20is%20forbidden:%20not%20on%20duty",
            "cannot list resource",
            "not on duty is forbidden: User",
        ),
    ] {
        let by = std::slice::from_ref(&layer);
        let evidence = refused(layer.clone(), message, uri);
        let judge = |words: &str| {
            let signature = Signature { layers: by, saying: Some(words), leaves: &BTreeMap::new() };
            let expected = Expected { control: "guard", signature, look_at: "the guard" };
            judge_block(&expected, None, &evidence)
        };
        assert!(passes(&judge(met)), "{message}: {met}");
        assert_eq!(reasons(&judge(chosen)), [Reason::OtherReason], "{message}: {chosen}");
    }
}

/// A word of the reason that is a name as well is met where it is said beside the name, and with the words around it.
#[test]
fn words_beside_a_name() {
    let uri = "/api/v1/namespaces/production/pods/interactive/exec?command=id";
    let said = "admission webhook \"w\" denied the request: interactive-exec into interactive is not \
                allowed in production, because it is an interactive.";
    let layer = Layer::Webhook("w".to_owned());
    let evidence = refused(layer.clone(), said, uri);
    for (words, met) in [
        ("interactive-exec", true),
        ("allowed in production", true),
        ("into interactive is", true),
        ("production", false),
        ("an interactive", true),
    ] {
        let signature = Signature {
            layers: std::slice::from_ref(&layer),
            saying: Some(words),
            leaves: &BTreeMap::new(),
        };
        let expected = Expected { control: "guard", signature, look_at: "the guard" };
        let judgement = judge_block(&expected, None, &evidence);
        assert_eq!(passes(&judgement), met, "{words}");
    }
}

/// A policy that says no, one that cannot be evaluated, and an object that is not valid: only the first is a block.
#[test]
fn three_causes_of_422() {
    let policy = |name: &str| Layer::Policy(name.to_owned());
    for (exchange, by, outcome, who) in [
        (
            "policy-invalid",
            policy("policy-invalid"),
            "blocked by guard (admission policy, 422)",
            "",
        ),
        (
            "policy-error",
            policy("policy-error"),
            "WRONG LAYER: blocked by admission policy policy-error failing closed",
            "guard could not be asked and failed closed: that it refuses shows nothing of what it decides",
        ),
        (
            "policy-budget",
            policy("policy-budget"),
            "WRONG LAYER: blocked by admission policy policy-budget failing closed",
            "guard could not be asked and failed closed: that it refuses shows nothing of what it decides",
        ),
        (
            "webhook-refused",
            Layer::Webhook("webhook-refused.brinell.dev".to_owned()),
            "WRONG LAYER: blocked by webhook webhook-refused.brinell.dev failing closed",
            "guard could not be asked and failed closed: that it refuses shows nothing of what it decides",
        ),
        (
            "policy-error",
            policy("another"),
            "WRONG LAYER: blocked by admission policy policy-error failing closed",
            "admission policy policy-error failing closed refused before guard was asked",
        ),
        (
            "validation-invalid",
            policy("policy-invalid"),
            "WRONG LAYER: blocked by validation",
            "validation refused before guard was asked",
        ),
        (
            "validation-invalid",
            Layer::Authorization,
            "WRONG LAYER: blocked by validation",
            "guard let it in, and validation refused",
        ),
    ] {
        let judgement = attack(&[by], None, &evidence(&recorded(exchange)));
        assert_eq!(judgement.outcome, outcome, "{exchange}");
        let told = judgement.findings.first().map(|finding| finding.who.as_str());
        assert_eq!(told.unwrap_or_default(), who, "{exchange}");
    }
    let unclear = attack(&[policy("x")], None, &evidence(&recorded("none-json-patch")));
    assert_eq!(unclear.outcome, "UNCLEAR");
}

/// A program that is missing stands in nobody's way whose image has it.
#[test]
fn a_command_that_is_not_there_was_let_in() {
    let guard = Layer::Policy("guard".to_owned());
    let judgement = attack(&[guard], None, &evidence(&recorded("stream-no-command")));
    assert_eq!(judgement.outcome, "WRONG LAYER: blocked by runtime");
    assert_eq!(judgement.findings[0].who, "guard let it in, and runtime refused");
}

#[test]
fn refused_but_to_be_recorded() {
    for (name, exchange) in all() {
        let evidence = evidence(&exchange);
        // What a controller did is compared by itself.
        let (Log::Read { events, .. }, false) = (&evidence.log, by_controller(&evidence)) else {
            continue;
        };
        let Some(level) = events.first().map(|event| event.level) else { continue };
        let judgement = judge_record(&recorded_at(level), &evidence);
        let reached = match &evidence.decision {
            Decision::LetIn => true,
            Decision::Denied(denial) => matches!(denial.layer, Layer::Runtime | Layer::Backend),
            Decision::Unclear(_) | Decision::Read => false,
        };
        assert_eq!(judgement.causes.is_empty(), reached, "{name}: {judgement:?}");
        let either = Recorded { refused_too: true, ..recorded_at(level) };
        let judgement = judge_record(&either, &evidence);
        let decided = match &evidence.decision {
            Decision::Denied(denial) => !is_chance(&denial.layer),
            Decision::LetIn | Decision::Read => true,
            Decision::Unclear(_) => false,
        };
        assert_eq!(judgement.causes.is_empty(), decided, "{name}: {judgement:?}");
    }
}

/// Whether a layer's refusal of a request says nothing of the next one.
fn is_chance(layer: &Layer) -> bool {
    let layer = layer.to_string();
    let words = ["flow control", "broken match condition", "admission plug-in EventRateLimit"];
    words.contains(&&*layer) || layer.ends_with(" failing closed")
}

/// What takes a label away may be refused. By who was too busy, or could not be asked, it was not: an attacker asks again.
#[test]
fn a_refusal_that_decides_nothing_is_not_as_good() {
    let mut refused = evidence(&recorded("webhook-forbidden"));
    let Log::Read { events, .. } = &refused.log else { panic!("it was logged") };
    let either = Recorded { refused_too: true, ..recorded_at(events[0].level) };
    for (layer, decides) in [
        (Layer::FlowControl, false),
        (Layer::WebhookFailure("w".to_owned()), false),
        (Layer::PolicyFailure("p".to_owned()), false),
        (Layer::MatchCondition, false),
        (Layer::AdmissionPlugin("EventRateLimit".to_owned()), false),
        (Layer::AdmissionPlugin("LimitRanger".to_owned()), true),
        (Layer::Authorization, true),
        (Layer::Webhook("w".to_owned()), true),
    ] {
        assert_eq!(is_chance(&layer), !decides, "{layer}");
        refused.decision = Decision::Denied(Denial { layer, message: "no".to_owned() });
        let judgement = judge_record(&either, &refused);
        assert_eq!(judgement.causes.is_empty(), decides, "{judgement:?}");
    }
}

/// What the API server wrote is what the level promises.
#[test]
fn bodies_of_every_exchange() {
    for (name, exchange) in all() {
        let mut evidence = evidence(&exchange);
        evidence.sent.body = !["GET", "DELETE"].contains(&evidence.sent.method.as_str());
        let streams = ["/exec", "/attach", "/portforward", "/proxy", "/eviction"];
        if streams.iter().any(|stream| evidence.sent.uri.contains(stream)) {
            evidence.sent.body = false;
        }
        let (Log::Read { events, .. }, false) = (&evidence.log, by_controller(&evidence)) else {
            continue;
        };
        let Some(level) = events.first().map(|event| event.level) else { continue };
        let judgement = judge_record(&recorded_at(level), &evidence);
        assert!(!speaks_of_a_body(&judgement), "{name}: {judgement:?}");
        for lost in [true, false] {
            let mut changed = evidence.clone();
            change_events(&mut changed, |events| {
                for event in events {
                    event.request_object &= !lost;
                    event.response_object |= level < Level::RequestResponse && !lost;
                }
            });
            let had = events.iter().any(|event| event.request_object);
            let judged = judge_record(&recorded_at(level), &changed);
            let unclear = matches!(evidence.decision, Decision::Unclear(_));
            let wrong = if lost { had && !unclear } else { level < Level::RequestResponse };
            assert_eq!(speaks_of_a_body(&judged), wrong, "{name}, lost: {lost}");
        }
    }
}

fn by_controller(evidence: &Evidence) -> bool {
    matches!(evidence.answer, Answer::Through(_))
}

fn speaks_of_a_body(judgement: &Judgement) -> bool {
    judgement.findings.iter().any(|finding| finding.got.contains(" body"))
}

#[test]
fn truncated_events() {
    let mut evidence = evidence(&recorded("let-in-create"));
    evidence.sent.body = true;
    change_events(&mut evidence, |events| {
        events[0].request_object = false;
        events[0].annotations.insert("audit.k8s.io/truncated".to_owned(), "true".to_owned());
    });
    let judgement = judge_record(&recorded_at(Level::Request), &evidence);
    assert_eq!(
        finding(&judgement).got,
        "without the request's body: the event says audit.k8s.io/truncated"
    );
    assert_eq!(finding(&judgement).reason, Reason::WronglyLogged);
}

/// The object is there, but without what made it an attack.
#[test]
fn defused_by_a_mutation() {
    let mut evidence = evidence(&recorded("let-in-create"));
    evidence.effect = Effect::Changed("Pod attack is there without spec.hostPID".to_owned());
    change_events(&mut evidence, |events| {
        events[0].annotations.insert(
            "mutation.webhook.admission.k8s.io/round_0_index_0".to_owned(),
            r#"{"configuration":"tidy","webhook":"tidy.example","mutated":true}"#.to_owned(),
        );
    });
    let judgement = attack(&[Layer::PodSecurity], Some("host namespaces"), &evidence);
    assert_eq!(judgement.outcome, "WRONG LAYER: defused, Pod attack is there without spec.hostPID");
    let finding = finding(&judgement);
    assert_eq!(finding.reason, Reason::WrongLayer);
    assert!(finding.who.contains("webhook tidy.example changed it"), "{}", finding.who);
    assert!(finding.look_at.contains("MutatingWebhookConfiguration tidy"), "{}", finding.look_at);
    assert_eq!(
        reasons(&judge_permit(&Succeeds::default(), None, &evidence)),
        [Reason::PermitBroken]
    );
}

#[test]
fn who_let_it_in() {
    let binding =
        r#"ClusterRoleBinding "developer" of ClusterRole "developer" to Group "developers""#;
    for (exchange, by, who, look_at) in [
        ("let-in-create", Layer::Authorization, binding, binding),
        (
            "pod-security-audit",
            Layer::PodSecurity,
            "Pod Security only recorded that it would violate PodSecurity \"restricted:latest\": host namespaces (hostPID=true)",
            "the guard",
        ),
        (
            "pod-security-allowed",
            Layer::PodSecurity,
            "Pod Security enforced restricted:latest",
            "the guard",
        ),
        (
            "pod-security-exempt",
            Layer::PodSecurity,
            "Pod Security exempts this user",
            "exemptions.usernames",
        ),
        (
            "policy-audits",
            Layer::Policy("policy-audits".to_owned()),
            "policy policy-audits only recorded it: failed expression: false",
            "ValidatingAdmissionPolicyBinding policy-audits-binding: validationActions",
        ),
        (
            "webhook-fails-open",
            webhook(),
            "webhook webhook-fails-open.brinell.dev could not be asked and failed open",
            "the guard",
        ),
    ] {
        let evidence = evidence(&recorded(exchange));
        assert_eq!(attribute(&evidence.sent, &evidence.answer, &evidence.log), Decision::LetIn);
        let judgement = attack(&[by], None, &evidence);
        let finding = finding(&judgement);
        assert_eq!(finding.reason, Reason::Bypassed, "{exchange}");
        assert!(finding.who.contains(who), "{exchange}: {}", finding.who);
        assert!(finding.look_at.contains(look_at), "{exchange}: {}", finding.look_at);
    }
    // Another authorizer, and none that gives a reason.
    for (reason, who) in [
        ("the team is on duty", "an authorizer other than RBAC: the team is on duty"),
        ("", "authorization gave no reason"),
    ] {
        let mut evidence = evidence(&recorded("let-in-create"));
        change_events(&mut evidence, |events| {
            let annotations = &mut events[0].annotations;
            annotations.insert("authorization.k8s.io/reason".to_owned(), reason.to_owned());
        });
        let judgement = attack(&[Layer::Authorization], None, &evidence);
        assert!(finding(&judgement).who.contains(who), "{judgement:?}");
    }
}

/// The check for `create` on streams has no answer of its own where it lets in: what can be wrong is told.
#[test]
fn stream_by_get_that_was_let_in() {
    let mut evidence = evidence(&recorded("stream-worked"));
    let binding = "RoleBinding \"operator/production-app\" of ClusterRole \"brinell-operator\" to \
                   ServiceAccount \"operator/brinell-personas\"";
    let judgement = attack(&[Layer::UpgradeCheck], None, &evidence);
    assert_eq!(
        finding(&judgement).who,
        format!(
            "nobody refused: RBAC, allowed by {binding}; create was not asked for, or is held too"
        )
    );
    assert_eq!(
        finding(&judgement).look_at,
        format!(
            "{binding}; the API server's version and --feature-gates: \
             AuthorizePodWebsocketUpgradeCreatePermission, which Kubernetes has from 1.35 on; the guard"
        )
    );
    // Of another control nothing is said of it, nor of a request that authorization asked `create` for.
    let other = attack(&[webhook()], None, &evidence);
    assert_eq!(finding(&other).who, format!("nobody refused: RBAC, allowed by {binding}"));
    assert_eq!(finding(&other).look_at, "the guard");
    evidence.sent.verb = Some("create".to_owned());
    let judgement = attack(&[Layer::UpgradeCheck], None, &evidence);
    assert_eq!(finding(&judgement).look_at, format!("{binding}; the guard"));
}
