//! Runs that the tests of reports show.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::judge::{settle, waive};
use crate::model::{
    Answer, AttemptResult, Cell, Decision, Denial, Door, Effect, Event, Evidence, Finding,
    Judgement, KnownVerdict, Layer, Level, Log, Mark, Outcome, Proof, Reason, Response, Results,
    Role, RunEvent, ScenarioResult, Sent, Stream, Summary, User, Vacuous, Verdict, Waiver,
    WaiverEntry, WeakeningResult,
};

const URI: &str =
    "/api/v1/namespaces/brinell-k7f3/pods/app/exec?command=probe&command=cat&stdin=true&tty=true";

/// An output that the test can read as well.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A result of every kind of run, and of a proof. `text` is what a hostile cluster said to one of them.
pub(crate) fn every_kind(text: &str) -> Vec<Results> {
    let runs = [
        passing(),
        failing(),
        mixed(),
        aborted(),
        unmet(),
        nothing(),
        waived(),
        hostile(text),
        proof(),
    ];
    runs.iter().map(|events| results(events)).collect()
}

/// Those of them that are runs, each with an id of its own, so that they can be merged.
pub(crate) fn told_apart(results: &[Results]) -> Vec<Results> {
    let runs = results.iter().filter(|it| it.proof.is_none()).enumerate();
    runs.map(|(number, it)| Results { run: format!("k{number}"), ..it.clone() }).collect()
}

pub(crate) fn results(events: &[RunEvent]) -> Results {
    let mut results = Results::default();
    events.iter().cloned().for_each(|event| results.on(event));
    results
}

/// A run in which everything passes.
pub(crate) fn passing() -> Vec<RunEvent> {
    let blocked = "blocked by exec-guard (webhook, 403)";
    let attempts = vec![
        attempt(Role::Attack, 1, Door::GetWebsocket, judged(blocked, "logged"), denied()),
        attempt(Role::Attack, 2, Door::PostSpdy, judged(blocked, "logged"), denied()),
        attempt(Role::Attack, 3, Door::GetSpdy, judged(blocked, "logged"), denied()),
        permit(judged("worked: \"foo\"", "logged")),
    ];
    let mut result = exec_interactive(Verdict::Passed, attempts);
    result.took = Duration::from_millis(412);
    run(vec![result], summary(1, 0, 0, 0))
}

/// A run in which a scenario fails.
pub(crate) fn failing() -> Vec<RunEvent> {
    run(vec![failed()], summary(0, 1, 0, 0))
}

/// A run with every verdict.
pub(crate) fn mixed() -> Vec<RunEvent> {
    let proxy = "the answer matches no known layer: 403 \"<html>\u{1b}[2J Access denied by the corporate \
                 proxy, please call the help desk and name the ticket 0815 </html>\r\n\"";
    let unclear = |outcome: &str| Judgement {
        verdict: Verdict::Inconclusive,
        causes: vec![proxy.to_owned()],
        ..judged(outcome, "logged")
    };
    let mut inconclusive = exec_interactive(
        Verdict::Inconclusive,
        vec![
            attempt(
                Role::Attack,
                5,
                Door::GetWebsocket,
                unclear("unclear: 403 by nobody known"),
                denied(),
            ),
            attempt(
                Role::Attack,
                6,
                Door::PostSpdy,
                unclear("unclear: 403 by nobody known"),
                denied(),
            ),
        ],
    );
    inconclusive.id = "secret-list-cluster".to_owned();
    inconclusive.family = "secrets".to_owned();
    inconclusive.title = "All Secrets of the cluster".to_owned();
    let mut skipped = exec_interactive(Verdict::Skipped, Vec::new());
    skipped.id = "egress-database".to_owned();
    skipped.family = "network".to_owned();
    skipped.title = "A connection from a frontend pod to the database".to_owned();
    skipped.cause =
        Some("it needs the node network, and the cluster `embedded` has none".to_owned());
    skipped.took = Duration::ZERO;
    let mut passed =
        exec_interactive(Verdict::Passed, vec![permit(judged("worked: \"foo\"", "logged"))]);
    passed.id = "exec-get-only-role".to_owned();
    passed.file = Some("mine/exec/exec-get-only-role.yaml".to_owned());
    run(
        vec![inconclusive, failed(), skipped, passed],
        Summary { attempts: 7, ..summary(1, 1, 1, 1) },
    )
}

/// A run in which all that fails is waived, and of which two waivers must go.
pub(crate) fn waived() -> Vec<RunEvent> {
    let both = vec![Reason::Bypassed, Reason::Unlogged];
    let waivers = [
        waiver(1, "exec-interactive", "2026-12-31", both),
        waiver(7, "exec-interactive", "2026-11-19", Vec::new()),
        waiver(13, "exec-interactive", "2026-12-31", vec![Reason::WrongLayer]),
        waiver(19, "egress-database", "2026-12-31", Vec::new()),
    ];
    let today = "2026-11-20";
    let mut result = failed();
    waive(&mut result, &waivers, today);
    let settled = settle(&waivers, std::slice::from_ref(&result), today);
    let summary = Summary { waived: 1, bad_waivers: 2, ..summary(0, 0, 0, 0) };
    let mut events = run(vec![result], summary);
    events.insert(events.len() - 1, RunEvent::WaiversSettled(settled));
    events
}

fn waiver(line: usize, scenario: &str, expires: &str, findings: Vec<Reason>) -> WaiverEntry {
    let waiver = Waiver {
        got: None,
        scenario: scenario.to_owned(),
        attempt: None,
        persona: None,
        door: None,
        verdict: KnownVerdict::Failed,
        findings,
        why: "the guard comes with the next release".to_owned(),
        owner: "team-a".to_owned(),
        expires: expires.to_owned(),
    };
    WaiverEntry { place: format!("expected.yaml:{line}"), waiver }
}

/// A run whose cluster could not be made.
pub(crate) fn aborted() -> Vec<RunEvent> {
    let error = "the cluster could not be created: kind ended with 1\nkind says: node(s) already exist for a \
                 cluster with the name \"brinell-k7f3\"; remove what an earlier run left behind with `brinell \
                 sweep`, then run again";
    let tidy = "Nothing was made.".to_owned();
    let took_by_cluster = Duration::ZERO;
    vec![
        started(),
        RunEvent::StepStarted { name: "cluster".to_owned(), doing: "creating".to_owned() },
        RunEvent::Aborted { error: error.to_owned() },
        RunEvent::Finished(Summary { attempts: 0, took_by_cluster, tidy, ..summary(0, 0, 0, 0) }),
    ]
}

/// A proof in which everything happens that can: every outcome, every mark, a vacuous scenario, a stale deviation.
pub(crate) fn proof() -> Vec<RunEvent> {
    let cell =
        |expected, mark, result: ScenarioResult| Cell { expected, mark, deviation: None, result };
    let other = |mark, verdict| {
        let mut result = exec_interactive(verdict, Vec::new());
        result.id = "attach-sensitive-pod".to_owned();
        cell(None, mark, result)
    };
    let green = || exec_interactive(Verdict::Passed, Vec::new());
    let must = Some(Reason::Bypassed);
    let why = "pods/attach is a resource of its own";
    let missed = Some(format!("not noticed by exec-interactive: {why}"));
    let wrong = Some("something else than the expected came of it: exec-interactive".to_owned());
    let unable =
        Some("needs a node that really runs pods, which embedded clusters lack".to_owned());
    let known = Some("no other version of pods/exec exists".to_owned());
    let table = [
        (
            "absent",
            Outcome::Caught,
            None,
            None,
            vec![cell(must, Mark::Caught, failed()), other(Mark::Green, Verdict::Passed)],
        ),
        (
            "fails-open",
            Outcome::Caught,
            None,
            None,
            vec![cell(must, Mark::Caught, failed()), other(Mark::Collateral, Verdict::Failed)],
        ),
        (
            "match-policy-exact",
            Outcome::Missed,
            missed.clone(),
            known,
            vec![cell(must, Mark::Green, green())],
        ),
        ("misses-attach", Outcome::Missed, missed, None, vec![cell(must, Mark::Green, green())]),
        (
            "tty-only",
            Outcome::Wrong,
            wrong,
            None,
            vec![cell(must, Mark::Wrong, exec_interactive(Verdict::Inconclusive, Vec::new()))],
        ),
        ("without-a-node", Outcome::Skipped, unable, None, Vec::new()),
    ];
    let weakenings: Vec<WeakeningResult> = table
        .into_iter()
        .map(|(name, outcome, cause, deviation, cells)| WeakeningResult {
            control: "exec-guard".to_owned(),
            name: name.to_owned(),
            why: why.to_owned(),
            outcome,
            cause,
            deviation,
            unasked: if name == "absent" { vec!["exec-shell-uri-logged".into()] } else { vec![] },
            cells,
            took: Duration::from_millis(2100),
        })
        .collect();
    let mut events = vec![started()];
    for weakening in &weakenings {
        events.push(RunEvent::WeakeningStarted { id: weakening.id() });
        events.push(RunEvent::WeakeningFinished(Box::new(weakening.clone())));
    }
    let vacuous = |scenario: &str, deviation: Option<&str>| Vacuous {
        scenario: scenario.to_owned(),
        attack: "reading along".to_owned(),
        control: "exec-guard".to_owned(),
        deviation: deviation.map(str::to_owned),
    };
    events.push(RunEvent::Proven(Box::new(Proof {
        only_expected: false,
        weakenings,
        vacuous: vec![vacuous("attach-sensitive-pod", None)],
        stale: ["exec-guard/absent", "exec-guard/fails-open"]
            .map(|id| format!("{id} is said to be missed, and it is caught"))
            .to_vec(),
    })));
    events.push(RunEvent::Finished(Summary { attempts: 0, ..summary(0, 0, 0, 0) }));
    events
}

/// A run for which nothing was selected.
pub(crate) fn nothing() -> Vec<RunEvent> {
    vec![started(), RunEvent::Finished(Summary { attempts: 0, ..summary(0, 0, 0, 0) })]
}

/// A run in which every text that can come from outside is this one.
pub(crate) fn hostile(text: &str) -> Vec<RunEvent> {
    let all = || text.to_owned();
    let finding =
        |reason| Finding { reason, expected: all(), got: all(), who: all(), look_at: all() };
    let judgement = Judgement {
        verdict: Verdict::Failed,
        outcome: all(),
        logged: all(),
        findings: vec![finding(Reason::Bypassed), finding(Reason::LeftOver)],
        causes: vec![all()],
        causes_of_log: 0,
    };
    let mut attempt = attempt(Role::Attack, 1, Door::GetWebsocket, judgement, denied());
    (attempt.name, attempt.persona, attempt.door) = (all(), all(), all());
    if let Some(evidence) = &mut attempt.evidence {
        (evidence.sent.uri, evidence.sent.method) = (all(), all());
        evidence.log = log("k7f3-1", &[text]);
    }
    let failed = ScenarioResult {
        run: None,
        id: all(),
        family: all(),
        file: Some(all()),
        title: all(),
        why: all(),
        fix: all(),
        tags: vec![all()],
        controls: vec![all()],
        verdict: Verdict::Failed,
        cause: None,
        waived: None,
        audit_lines: None,
        attempts: vec![attempt],
        took: Duration::from_millis(5),
    };
    let skipped = ScenarioResult {
        verdict: Verdict::Skipped,
        cause: Some(all()),
        attempts: Vec::new(),
        ..failed.clone()
    };
    let mut events = run(vec![failed, skipped], summary(0, 1, 0, 1));
    events.insert(1, RunEvent::StepStarted { name: all(), doing: all() });
    let took = Duration::from_secs(1);
    events.insert(2, RunEvent::StepFinished { name: all(), detail: all(), took });
    events
}

/// A run in which a control does not act, and all is judged.
pub(crate) fn unmet() -> Vec<RunEvent> {
    let mut events = passing();
    let cause = "the control exec-guard was not seen acting within 60s: LetIn".to_owned();
    events.insert(5, RunEvent::ControlUnmet { control: "exec-guard".to_owned(), cause });
    for event in &mut events {
        if let RunEvent::Finished(summary) = event {
            summary.unmet = 1;
        }
    }
    events
}

/// A run in which everything passes, and of which something may be there still.
pub(crate) fn left_behind() -> Results {
    let mut results = results(&passing());
    let summary = results.summary.as_mut().expect("a run that ended");
    summary.left_behind = true;
    summary.tidy = "LEFT BEHIND: a cluster\n`brinell sweep k7f3` tries again.".to_owned();
    results
}

pub(crate) fn summary(
    passed: usize,
    failed: usize,
    inconclusive: usize,
    skipped: usize,
) -> Summary {
    Summary {
        passed,
        failed,
        inconclusive,
        skipped,
        waived: 0,
        bad_waivers: 0,
        unmet: 0,
        attempts: 4,
        took: Duration::from_millis(20_312),
        took_by_cluster: Duration::from_secs(15),
        left_behind: false,
        tidy: "Cluster deleted, nothing left behind.".to_owned(),
    }
}

fn run(scenarios: Vec<ScenarioResult>, summary: Summary) -> Vec<RunEvent> {
    let mut events = vec![started()];
    events.extend(step("cluster", "creating", "created, 1 node", 13_204));
    let act = "9 of 9 controls act, each seen refusing a marker request";
    events.extend(step("hardened", "applying", act, 3_911));
    events.extend(step("staged", "staging", "1 target, 1 persona", 902));
    for result in scenarios {
        events.push(RunEvent::ScenarioStarted { id: result.id.clone() });
        events.push(RunEvent::ScenarioFinished(Box::new(result)));
    }
    events.push(RunEvent::Finished(summary));
    events
}

fn started() -> RunEvent {
    RunEvent::Started {
        run: "k7f3".to_owned(),
        at: "2026-11-20T10:00:00Z".to_owned(),
        cluster: "kind (Docker 28.5 and kind 0.33 answer)".to_owned(),
        kubernetes: "1.36.3".to_owned(),
        profile: "hardened".to_owned(),
        places: Vec::new(),
    }
}

fn step(name: &str, doing: &str, detail: &str, milliseconds: u64) -> [RunEvent; 2] {
    [
        RunEvent::StepStarted { name: name.to_owned(), doing: doing.to_owned() },
        RunEvent::StepFinished {
            name: name.to_owned(),
            detail: detail.to_owned(),
            took: Duration::from_millis(milliseconds),
        },
    ]
}

fn exec_interactive(verdict: Verdict, attempts: Vec<AttemptResult>) -> ScenarioResult {
    ScenarioResult {
        run: None,
        id: "exec-interactive".to_owned(),
        family: "exec".to_owned(),
        file: None,
        title: "An interactive shell in a production pod".to_owned(),
        why: "whoever may exec can open a shell; what they type is recorded nowhere".to_owned(),
        fix:
            "Refuse exec and attach with stdin or tty at admission, on CONNECT, failurePolicy Fail."
                .to_owned(),
        tags: vec!["mitre/T1609".to_owned()],
        controls: vec!["exec-guard".to_owned(), "audit-policy".to_owned()],
        verdict,
        cause: None,
        waived: None,
        audit_lines: None,
        attempts,
        took: Duration::from_millis(600),
    }
}

fn failed() -> ScenarioResult {
    let opened = "101 Switching Protocols, and the line that we typed came back";
    let let_in = "101 Switching Protocols";
    let attack = |number, door, outcome, got, logged| {
        let mut findings = vec![bypassed(got)];
        findings.extend((logged == "UNLOGGED").then(|| unlogged(number)));
        let judgement = Judgement { verdict: Verdict::Failed, findings, ..judged(outcome, logged) };
        let mut attempt = attempt(Role::Attack, number, door, judgement, stream());
        if let (Some(evidence), "UNLOGGED") = (&mut attempt.evidence, logged) {
            evidence.log = log("", &[]);
        }
        attempt
    };
    let mut permit = permit(Judgement {
        verdict: Verdict::Failed,
        findings: vec![unlogged(4)],
        ..judged("worked: \"foo\"", "UNLOGGED")
    });
    if let Some(evidence) = &mut permit.evidence {
        evidence.log = log("", &[]);
    }
    let shell = "BYPASSED: the shell opened";
    let in_by_spdy = "BYPASSED: let in (101)";
    exec_interactive(
        Verdict::Failed,
        vec![
            attack(1, Door::GetWebsocket, shell, opened, "UNLOGGED"),
            attack(2, Door::PostSpdy, in_by_spdy, let_in, "logged"),
            attack(3, Door::GetSpdy, in_by_spdy, let_in, "UNLOGGED"),
            permit,
        ],
    )
}

fn bypassed(got: &str) -> Finding {
    Finding {
        reason: Reason::Bypassed,
        expected: "403 by exec-guard (webhook exec-guard.brinell.dev) saying \"interactive\""
            .to_owned(),
        got: got.to_owned(),
        who: "nobody refused. exec-guard was called, was unreachable, and failed open".to_owned(),
        look_at:
            "ValidatingWebhookConfiguration exec-guard: failurePolicy (Ignore); its pods (0 ready)"
                .to_owned(),
    }
}

fn unlogged(number: u32) -> Finding {
    Finding {
        reason: Reason::Unlogged,
        expected: format!(
            "audit event k7f3-{number} at RequestResponse: get pods/exec by operator"
        ),
        got: "none, while the fence sent after it is in the log".to_owned(),
        who: String::new(),
        look_at: "the audit policy: an exec by GET is verb get, its rule may know create only"
            .to_owned(),
    }
}

fn judged(outcome: &str, logged: &str) -> Judgement {
    Judgement {
        verdict: Verdict::Passed,
        outcome: outcome.to_owned(),
        logged: logged.to_owned(),
        findings: Vec::new(),
        causes: Vec::new(),
        causes_of_log: 0,
    }
}

fn attempt(
    role: Role,
    number: u32,
    door: Door,
    judgement: Judgement,
    (answer, decision): (Answer, Decision),
) -> AttemptResult {
    let id = format!("k7f3-{number}");
    let fell_open = "failed-open.validating.webhook.admission.k8s.io/round_0_index_0";
    let notes: &[&str] = if decision == Decision::LetIn { &[fell_open] } else { &[] };
    AttemptResult {
        name: "a shell".to_owned(),
        role,
        persona: "operator".to_owned(),
        door: door.label().to_owned(),
        line: Some(11),
        judgement,
        evidence: Some(Evidence {
            sent: Sent {
                impersonated: None,
                persona: "operator".to_owned(),
                user: Some("system:serviceaccount:brinell-k7f3:operator".to_owned()),
                door,
                method: if door == Door::PostSpdy { "POST" } else { "GET" }.to_owned(),
                uri: URI.to_owned(),
                verb: Some("get".to_owned()),
                audit_id: Some(id.clone()),
                body: false,
            },
            answer,
            decision,
            effect: Effect::NotApplicable,
            log: log(&id, notes),
            namesakes: Vec::new(),
        }),
        too_soon: None,
    }
}

fn permit(judgement: Judgement) -> AttemptResult {
    AttemptResult {
        name: "a single command".to_owned(),
        door: "WebSocket".to_owned(),
        line: Some(27),
        ..attempt(Role::Permit, 4, Door::GetWebsocket, judgement, stream())
    }
}

fn denied() -> (Answer, Decision) {
    let message =
        "admission webhook \"exec-guard.brinell.dev\" denied the request: interactive".to_owned();
    let response = Response { code: 403, message: Some(message.clone()), ..Response::default() };
    let layer = Layer::Webhook("exec-guard.brinell.dev".to_owned());
    (Answer::Http(response), Decision::Denied(Denial { layer, message }))
}

fn stream() -> (Answer, Decision) {
    let stream = Stream { stdout: "foo\n".to_owned(), echoed: true, ..Stream::default() };
    (Answer::Stream(stream), Decision::LetIn)
}

/// A log with one event of this id, or without any where the id is empty.
fn log(id: &str, notes: &[&str]) -> Log {
    let mut annotations: BTreeMap<_, _> = notes
        .iter()
        .map(|note| ((*note).to_owned(), "exec-guard.brinell.dev".to_owned()))
        .collect();
    annotations.insert("authorization.k8s.io/decision".to_owned(), "allow".to_owned());
    let event = Event {
        audit_id: id.to_owned(),
        level: Level::RequestResponse,
        stage: "ResponseComplete".to_owned(),
        verb: "get".to_owned(),
        request_uri: URI.to_owned(),
        user: User {
            username: "system:serviceaccount:brinell-k7f3:operator".to_owned(),
            groups: vec![],
        },
        impersonated_user: None,
        attempt: None,
        user_agent: None,
        object_ref: None,
        response_status: None,
        annotations,
        request_object: false,
        response_object: false,
        request_received_timestamp: "2026-11-20T10:00:00.000000Z".to_owned(),
        unshown: BTreeSet::new(),
        line: None,
    };
    let events = if id.is_empty() { vec![] } else { vec![event] };
    Log::Read { events, traces: vec![], fence: "k7f3-fence".to_owned() }
}
