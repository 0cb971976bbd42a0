//! What was expected against what was observed.

use crate::audit::{ApiPath, Event, Leak, User};
use crate::catalog::{Logged, Succeeds};
use crate::text::count;
use crate::verdict::traced::{self, Told};
use crate::verdict::{
    Answer, Decision, Denial, Effect, Evidence, Finding, Judgement, Layer, Log, Reason, Searched,
    Sent, Stream, Verdict,
};

/// The block that is expected, with the control's own data beside the scenario's.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The control's id.
    pub control: &'a str,
    /// The layers by which it decides, narrowed by the scenario's `at`.
    pub layers: &'a [Layer],
    /// Words that the refusal must contain.
    pub saying: Option<&'a str>,
    /// Where to look when it did not act.
    pub look_at: &'a str,
}

/// Judges an attack: blocked by the right layer without effect, or at least logged, whatever of the two is
/// asked for.
pub fn judge_attack(
    blocked: Option<&Expected>,
    logged: Option<&Logged>,
    evidence: &Evidence,
) -> Judgement {
    let mut judging = Judging::default();
    match blocked {
        Some(expected) => judging.block(expected, evidence),
        None => judging.outcome = unopposed(evidence),
    }
    judging.log(logged, evidence);
    judging.conclude()
}

/// Judges a step that must work for the attacks after it to tell anything, and the evidence that it must leave.
pub fn judge_step(succeeds: &Succeeds, logged: Option<&Logged>, evidence: &Evidence) -> Judgement {
    let mut judging = Judging::default();
    judging.step(succeeds, evidence);
    judging.log(logged, evidence);
    judging.conclude()
}

/// Judges a legitimate use: it must work, and leave the evidence that is asked for.
pub fn judge_permit(
    succeeds: &Succeeds,
    logged: Option<&Logged>,
    evidence: &Evidence,
) -> Judgement {
    let mut judging = Judging::default();
    judging.success(succeeds, evidence);
    judging.log(logged, evidence);
    judging.conclude()
}

#[derive(Default)]
struct Judging {
    outcome: String,
    logged: String,
    findings: Vec<Finding>,
    causes: Vec<String>,
}

impl Judging {
    fn conclude(self) -> Judgement {
        let verdict = match (self.findings.is_empty(), self.causes.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Passed,
        };
        Judgement {
            verdict,
            outcome: self.outcome,
            logged: self.logged,
            findings: self.findings,
            causes: self.causes,
        }
    }

    fn block(&mut self, expected: &Expected, evidence: &Evidence) {
        match (&evidence.decision, &evidence.effect) {
            (Decision::Unclear(why), Effect::NotApplicable | Effect::Absent) => {
                self.outcome = "UNCLEAR".to_owned();
                self.causes.push(why.clone());
            }
            (Decision::LetIn, effect) => self.bypassed(expected, evidence, effect),
            (_, effect @ Effect::Present(_)) => self.bypassed(expected, evidence, effect),
            (Decision::Denied(denial), _) => self.denial(expected, evidence, denial),
        }
    }

    fn bypassed(&mut self, expected: &Expected, evidence: &Evidence, effect: &Effect) {
        let mut got = let_in(&evidence.answer);
        if let Effect::Present(what) = effect {
            got = format!("{got}; {what} is there");
        }
        self.outcome = format!("BYPASSED: {got}");
        self.findings.push(Finding {
            reason: Reason::Bypassed,
            expected: described(expected),
            got,
            who: bystanders(&evidence.log),
            look_at: expected.look_at.to_owned(),
        });
    }

    fn denial(&mut self, expected: &Expected, evidence: &Evidence, denial: &Denial) {
        let code = evidence.answer.code().map(|code| format!(", {code}")).unwrap_or_default();
        let right = expected.layers.contains(&denial.layer);
        let said = expected.saying.is_none_or(|words| denial.message.contains(words));
        if right && said {
            self.outcome =
                format!("blocked by {} ({}{code})", expected.control, kind(&denial.layer));
            self.causes.extend(contradiction(evidence));
            return;
        }
        self.outcome = format!("WRONG LAYER: blocked by {}", denial.layer);
        let who = if right {
            format!("{} refused, but in other words", denial.layer)
        } else {
            format!("{} refused before {} was asked", denial.layer, expected.control)
        };
        self.findings.push(Finding {
            reason: Reason::WrongLayer,
            expected: described(expected),
            got: format!("refused by {}: {}", denial.layer, denial.message),
            who,
            look_at: expected.look_at.to_owned(),
        });
    }

    /// A step that does not work breaks no promise, but leaves nothing to judge.
    fn step(&mut self, succeeds: &Succeeds, evidence: &Evidence) {
        let mut trying = Judging::default();
        trying.success(succeeds, evidence);
        let missing = |finding: Finding| {
            format!("what follows rests on this step, which did not work: {}", finding.got)
        };
        self.causes.extend(trying.causes);
        self.outcome = match trying.findings.is_empty() {
            true => trying.outcome,
            false => "UNCLEAR: this step must work".to_owned(),
        };
        self.causes.extend(trying.findings.into_iter().map(missing));
    }

    fn success(&mut self, succeeds: &Succeeds, evidence: &Evidence) {
        let worked = evidence.effect != Effect::Absent
            && match &evidence.answer {
                Answer::Http(response) => response.is_success(),
                Answer::Through(through) => {
                    through.workload.is_success() && through.pod.is_success()
                }
                Answer::Stream(stream) => {
                    evidence.decision == Decision::LetIn
                        && ended(stream) != Some(false)
                        && printed(succeeds, &stream.stdout)
                }
                Answer::Worked(output) => printed(succeeds, output),
                Answer::Grants(_) => matches!(evidence.decision, Decision::Denied(_)),
                Answer::Nothing(_) | Answer::Storage(_) | Answer::AuditLog(_) => false,
            };
        if let Some(cause) = unknown(succeeds, evidence, worked) {
            self.outcome = "UNCLEAR".to_owned();
            self.causes.push(cause);
        } else if worked {
            self.outcome = format!("worked: {}", summary(&evidence.answer));
        } else {
            self.broken(succeeds, evidence);
        }
    }

    fn broken(&mut self, succeeds: &Succeeds, evidence: &Evidence) {
        let (got, who) = match &evidence.decision {
            Decision::Denied(denial) => {
                (format!("refused: {}", denial.message), denial.layer.to_string())
            }
            Decision::Unclear(why) => (why.clone(), String::new()),
            Decision::LetIn if evidence.effect == Effect::Absent => {
                (format!("{}, but nothing is there", summary(&evidence.answer)), String::new())
            }
            Decision::LetIn => (summary(&evidence.answer), "nobody refused".to_owned()),
        };
        self.outcome = "BROKEN: this must keep working".to_owned();
        self.findings.push(Finding {
            reason: Reason::PermitBroken,
            expected: wanted(succeeds),
            got,
            who,
            look_at: "what the controls of this scenario refuse besides the attack".to_owned(),
        });
    }

    fn log(&mut self, logged: Option<&Logged>, evidence: &Evidence) {
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
        self.logged = "UNLOGGED".to_owned();
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
        self.logged = "WRONGLY LOGGED".to_owned();
        self.findings.push(Finding {
            reason: Reason::WronglyLogged,
            expected: format!("an audit event at {:?}: {}", logged.level, asked(&evidence.sent)),
            got: wrong.join("; "),
            who: String::new(),
            look_at: "the audit policy's rule for this verb and resource, and its omitStages"
                .to_owned(),
        });
    }
}

/// Why it cannot be told whether a permit worked.
fn unknown(succeeds: &Succeeds, evidence: &Evidence, worked: bool) -> Option<String> {
    match (&evidence.answer, &evidence.decision) {
        // 101 means hijacked, not run, and by SPDY nothing else is heard. A forwarded port is closed before it is used.
        (Answer::Stream(stream), Decision::LetIn)
            if worked
                && !is_port_forward(&evidence.sent)
                && ended(stream).is_none()
                && *succeeds == Succeeds::default() =>
        {
            Some("it was let in (101), and nothing tells what came of it".to_owned())
        }
        (Answer::Nothing(_), Decision::Unclear(why)) if evidence.sent.audit_id.is_some() => {
            Some(why.clone())
        }
        (Answer::Http(_) | Answer::Through(_), Decision::Unclear(why)) => Some(why.clone()),
        _ => None,
    }
}

fn is_port_forward(sent: &Sent) -> bool {
    ApiPath::parse(&sent.uri).is_some_and(|path| path.subresource == "portforward")
}

/// Whether a stream ended well; none where its end was not heard.
fn ended(stream: &Stream) -> Option<bool> {
    stream.closing.as_ref().map(|closing| closing.status == "Success")
}

/// A refusal whose own events say that the request was carried out: it was sent twice, or the answer is not the
/// API server's.
fn contradiction(evidence: &Evidence) -> Option<String> {
    let Log::Read { events, .. } = &evidence.log else { return None };
    let statuses = events.iter().filter_map(|event| event.response_status.as_ref());
    let mut codes = statuses.map(|status| status.code);
    let answered = evidence.answer.code();
    let done = codes.find(|code| matches!(code, 101 | 200..300) && Some(*code) != answered)?;
    Some(format!("it was refused, but the audit log says {done} of this very request"))
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
        if !same_impersonation(sent.impersonated.as_ref(), event, &evidence.decision) {
            let logged = event.impersonated_user.as_ref();
            wrong.push(match logged {
                Some(user) => format!("impersonating {:?} of {:?}", user.username, user.groups),
                None => "impersonating nobody".to_owned(),
            });
        }
        if let (Some(object), Some(path)) = (&event.object_ref, ApiPath::parse(&sent.uri))
            && (object.resource.as_str(), object.subresource.as_str())
                != (path.resource, path.subresource)
        {
            wrong.push(format!("object {}/{}", object.resource, object.subresource));
        }
    }
    if let Some(code) = evidence.answer.code() {
        let statuses = events.iter().filter_map(|event| event.response_status.as_ref());
        let codes: Vec<u16> = statuses.map(|status| status.code).collect();
        if codes.is_empty() || codes.iter().any(|logged| *logged != code) {
            wrong.push(format!("codes {codes:?} instead of {code}"));
        }
    }
    if let Some(text) = &logged.uri
        && !events.iter().any(|event| event.request_uri.contains(text.as_str()))
    {
        wrong.push(format!("no {text:?} in the URI"));
    }
    wrong.dedup();
    wrong
}

/// Whether an event says of impersonation what was asked for. It names somebody only once impersonation is granted,
/// and then with the group of everybody authenticated (measured on 1.36.3).
fn same_impersonation(asked: Option<&User>, event: &Event, decision: &Decision) -> bool {
    let refused =
        matches!(decision, Decision::Denied(denial) if denial.layer == Layer::Impersonation);
    match (asked.filter(|_| !refused), &event.impersonated_user) {
        (None, None) => true,
        (Some(asked), Some(logged)) => {
            let groups = logged.groups.iter().filter(|group| *group != "system:authenticated");
            logged.username == asked.username && groups.eq(&asked.groups)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn asked(sent: &Sent) -> String {
    let verb = sent.verb.as_deref().unwrap_or(&sent.method);
    let what = match ApiPath::parse(&sent.uri) {
        Some(path) if path.subresource.is_empty() => path.resource.to_owned(),
        Some(path) => format!("{}/{}", path.resource, path.subresource),
        None => sent.uri.clone(),
    };
    format!("{verb} {what} by {}", sent.persona)
}

fn described(expected: &Expected) -> String {
    let layers: Vec<String> = expected.layers.iter().map(ToString::to_string).collect();
    let saying = expected.saying.map(|words| format!(" saying {words:?}")).unwrap_or_default();
    format!("a refusal by {} ({}){saying}", expected.control, layers.join(" or "))
}

fn wanted(succeeds: &Succeeds) -> String {
    match (&succeeds.stdout, &succeeds.stdout_contains) {
        (Some(text), _) => format!("it works and prints {text:?}"),
        (None, Some(text)) => format!("it works and prints something with {text:?}"),
        (None, None) => "it works".to_owned(),
    }
}

fn printed(succeeds: &Succeeds, output: &str) -> bool {
    let line = output.strip_suffix('\n').unwrap_or(output);
    succeeds.stdout.as_ref().is_none_or(|text| text == line)
        && succeeds.stdout_contains.as_ref().is_none_or(|text| output.contains(text.as_str()))
}

/// The layer's kind without its name, for the short form of an outcome.
fn kind(layer: &Layer) -> String {
    match layer {
        Layer::Webhook(_) => "webhook".to_owned(),
        Layer::Policy(_) => "admission policy".to_owned(),
        other => other.to_string(),
    }
}

/// What came of an attack that nobody is asked to refuse.
fn unopposed(evidence: &Evidence) -> String {
    match &evidence.decision {
        Decision::Denied(denial) => format!("refused by {}", denial.layer),
        Decision::LetIn | Decision::Unclear(_) => let_in(&evidence.answer),
    }
}

fn let_in(answer: &Answer) -> String {
    match answer {
        Answer::Stream(stream) if stream.echoed => "the shell opened".to_owned(),
        Answer::Stream(stream) if !stream.stdout.is_empty() => "let in, and it answered".to_owned(),
        Answer::Stream(_) => "let in (101)".to_owned(),
        Answer::Http(response) if response.is_success() => {
            format!("worked ({}{})", response.code, held(response))
        }
        Answer::Http(response) => format!("let in ({})", response.code),
        Answer::Through(_) => "the controller's pod was made".to_owned(),
        Answer::Worked(_) => "connected".to_owned(),
        Answer::Nothing(silence) => format!("no answer: {}", silence.text),
        Answer::Grants(granted) => format!("granted to {}", granted.others.join(", ")),
        Answer::Storage(storage) => format!(
            "{} of {} values are plain, the canary stands in {} of them",
            storage.plain_count, storage.below_prefix, storage.canary_count
        ),
        Answer::AuditLog(searched) => leaked(searched),
    }
}

/// Which events hold a Secret's value: `create secrets by admin at Request (k7f3-12)`.
fn leaked(searched: &Searched) -> String {
    let told = searched.first.iter().map(|leak| {
        let Leak { audit_id, level, verb, resource, user } = leak;
        format!("{verb} {resource} by {user} at {level:?} (Audit-ID {audit_id})")
    });
    let lines = usize::try_from(searched.leaks).unwrap_or(usize::MAX);
    let events = told.collect::<Vec<_>>().join(", ");
    format!("{} of the audit log with a Secret's value: {events}", count(lines, "line"))
}

fn held(response: &crate::verdict::Response) -> String {
    match (&response.kind, response.count) {
        (Some(kind), Some(count)) => format!(", {kind} of {count}"),
        (Some(kind), None) => format!(", {kind}"),
        _ => String::new(),
    }
}

fn summary(answer: &Answer) -> String {
    match answer {
        Answer::Stream(stream) if *stream == Stream::default() => "let in (101)".to_owned(),
        Answer::Stream(stream) => format!("{:?}", first_line(&stream.stdout)),
        Answer::Worked(output) => first_line(output).to_owned(),
        Answer::Http(response) => format!("{}{}", response.code, held(response)),
        Answer::Through(through) => format!("{}, and its pod", through.workload.code),
        other => let_in(other),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// What the events tell of those who could have refused and did not.
fn bystanders(log: &Log) -> String {
    let Log::Read { events, .. } = log else { return "nobody refused".to_owned() };
    let failed_open = events
        .iter()
        .flat_map(|event| &event.annotations)
        .find(|(key, _)| key.starts_with("failed-open."));
    match failed_open {
        Some((key, webhook)) => {
            format!("nobody refused: webhook {webhook} could not be asked and failed open ({key})")
        }
        None => "nobody refused".to_owned(),
    }
}
