//! Whether a legitimate use worked, or a step on which the attacks after it rest.

use super::Judging;
use super::told::{summary, wanted};
use crate::judge::signature::BUSY;
use crate::model::{
    Answer, ApiPath, BROKEN, Decision, Effect, Evidence, Finding, Layer, Reason, Sent, SilenceKind,
    Stream, Succeeds, UNCLEAR,
};

impl Judging {
    /// A failed step makes the scenario inconclusive, not failed: the attacks after it rest on it.
    pub(super) fn step(&mut self, succeeds: &Succeeds, evidence: &Evidence) {
        let mut trying = Judging::default();
        trying.success(succeeds, evidence);
        let missing = |finding: Finding| {
            format!("what follows rests on this step, which did not work: {}", finding.got)
        };
        self.causes.extend(trying.causes);
        self.outcome = match trying.findings.is_empty() {
            true => trying.outcome,
            false => format!("{UNCLEAR}: this step must work"),
        };
        self.causes.extend(trying.findings.into_iter().map(missing));
    }

    pub(super) fn success(&mut self, succeeds: &Succeeds, evidence: &Evidence) {
        let lasts = !matches!(evidence.effect, Effect::Absent | Effect::Changed(_));
        let worked = lasts
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
                Answer::Review(reviewed) => {
                    reviewed.objects > 0 && reviewed.flaws.is_empty() && reviewed.unread.is_empty()
                }
                Answer::Rights(_) => evidence.decision == Decision::LetIn,
                Answer::Nothing(_) | Answer::Storage(_) | Answer::AuditLog(_) => false,
            };
        if let Some(cause) = unknown(succeeds, evidence, worked) {
            self.outcome = UNCLEAR.to_owned();
            self.causes.push(cause);
        } else if worked {
            self.outcome = format!("worked: {}", summary(&evidence.answer));
        } else {
            self.broken(succeeds, evidence);
        }
    }

    fn broken(&mut self, succeeds: &Succeeds, evidence: &Evidence) {
        let (got, who) = match (&evidence.decision, &evidence.effect) {
            (Decision::Denied(denial), _) => {
                (format!("refused: {}", denial.message), denial.layer.to_string())
            }
            (Decision::Unclear(why), _) => (why.clone(), String::new()),
            (Decision::Read, _) => (summary(&evidence.answer), String::new()),
            (Decision::LetIn, Effect::Absent) => {
                (format!("{}, but nothing is there", summary(&evidence.answer)), String::new())
            }
            (Decision::LetIn, Effect::Changed(what)) => {
                (format!("{}, but {what}", summary(&evidence.answer)), "a mutation".to_owned())
            }
            (Decision::LetIn, _) => (summary(&evidence.answer), "nobody refused".to_owned()),
        };
        self.outcome = format!("{BROKEN}: this must keep working");
        self.findings.push(Finding {
            reason: Reason::PermitBroken,
            expected: wanted(succeeds),
            got,
            who,
            look_at: "what the controls of this scenario refuse besides the attack".to_owned(),
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
        // A connection that was taken and not answered may have been taken by who stands between.
        (Answer::Nothing(silence), Decision::Unclear(why))
            if evidence.sent.audit_id.is_some() || silence.kind == SilenceKind::Cut =>
        {
            Some(why.clone())
        }
        (
            Answer::Http(_) | Answer::Through(_) | Answer::Stream(_) | Answer::Rights(_),
            Decision::Unclear(why),
        ) => Some(why.clone()),
        (_, Decision::Denied(denial)) if denial.layer == Layer::FlowControl => {
            Some(BUSY.to_owned())
        }
        _ => None,
    }
}

fn is_port_forward(sent: &Sent) -> bool {
    ApiPath::parse(&sent.uri).is_some_and(|path| path.subresource == "portforward")
}

/// Whether a stream ended well; `None` where its end was not heard.
fn ended(stream: &Stream) -> Option<bool> {
    stream.closing.as_ref().map(|closing| closing.status == "Success")
}

fn printed(succeeds: &Succeeds, output: &str) -> bool {
    let line = output.strip_suffix('\n').unwrap_or(output);
    succeeds.stdout.as_ref().is_none_or(|text| text == line)
        && succeeds.stdout_contains.as_ref().is_none_or(|text| output.contains(text.as_str()))
}
