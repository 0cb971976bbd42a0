//! Whether the right control refused, for the right reason, and nothing came of it.

use super::told::{described, kind, let_in};
use super::{Expected, Judging, bystanders};
use crate::judge::signature::Recognised;
use crate::judge::words::by_standard;
use crate::model::{Decision, Denial, Effect, Evidence, Finding, Layer, Log, Reason, UNCLEAR};

impl Judging {
    pub(super) fn block(&mut self, expected: &Expected, evidence: &Evidence) {
        match (&evidence.decision, &evidence.effect) {
            // The catalog asks a review for its own expectation.
            (Decision::Read, _) => self.unclear("it was read, and nobody was attacked".to_owned()),
            (Decision::Unclear(why), Effect::NotApplicable | Effect::Absent) => {
                self.unclear(why.clone());
            }
            (_, Effect::Changed(what)) => self.defused(expected, evidence, what),
            (Decision::LetIn, _) | (_, Effect::Present(_) | Effect::Gone(_)) => {
                self.bypassed(expected, evidence)
            }
            (Decision::Denied(denial), _) => self.denial(expected, evidence, denial),
        }
    }

    fn unclear(&mut self, why: String) {
        self.outcome = UNCLEAR.to_owned();
        self.causes.push(why);
    }

    fn bypassed(&mut self, expected: &Expected, evidence: &Evidence) {
        let mut got = let_in(&evidence.answer);
        match &evidence.effect {
            Effect::Present(what) => got = format!("{got}; {what} is there"),
            Effect::Gone(what) => got = format!("{got}; {what} is gone"),
            Effect::NotApplicable | Effect::Absent | Effect::Changed(_) => {}
        }
        let bystanders = bystanders::of(expected, evidence);
        self.outcome = format!("{}: {got}", Reason::Bypassed.heading());
        self.findings.push(Finding {
            reason: Reason::Bypassed,
            expected: described(expected),
            got,
            who: bystanders.who,
            look_at: bystanders.look_at,
        });
    }

    /// A mutation took out what makes it an attack. Without the mutation nothing would refuse it.
    fn defused(&mut self, expected: &Expected, evidence: &Evidence, what: &str) {
        let bystanders = bystanders::of(expected, evidence);
        self.outcome = format!("{}: defused, {what}", Reason::WrongLayer.heading());
        self.findings.push(Finding {
            reason: Reason::WrongLayer,
            expected: described(expected),
            got: format!("{}; {what}", let_in(&evidence.answer)),
            who: format!(
                "a mutation changed it before {} was asked: {}",
                expected.control, bystanders.who
            ),
            look_at: format!(
                "the MutatingWebhookConfigurations and MutatingAdmissionPolicies; {}",
                bystanders.look_at
            ),
        });
    }

    fn denial(&mut self, expected: &Expected, evidence: &Evidence, denial: &Denial) {
        let layer = &denial.layer;
        let (reason, outcome, who) = match expected.signature.recognise(denial, evidence) {
            Recognised::Own(besides) => return self.blocked(expected, evidence, denial, &besides),
            Recognised::Unclear(why) => return self.unclear(why),
            Recognised::OtherReason => (
                Reason::OtherReason,
                format!("{}: {layer} refused something else", Reason::OtherReason.heading()),
                other_reason(expected, denial),
            ),
            Recognised::OtherLayer(other) => (
                Reason::WrongLayer,
                format!("{}: blocked by {other}", Reason::WrongLayer.heading()),
                who_refused(expected, layer, &other),
            ),
        };
        self.outcome = outcome;
        self.findings.push(Finding {
            reason,
            expected: described(expected),
            got: format!("refused by {layer}: {}", denial.message),
            who,
            look_at: expected.look_at.to_owned(),
        });
    }

    fn blocked(
        &mut self,
        expected: &Expected,
        evidence: &Evidence,
        denial: &Denial,
        besides: &[String],
    ) {
        let code = evidence.answer.code().map(|code| format!(", {code}")).unwrap_or_default();
        let besides = match besides {
            [] => String::new(),
            others => format!(", for {} as well", others.join(" and ")),
        };
        self.outcome =
            format!("blocked by {} ({}{code}){besides}", expected.control, kind(&denial.layer));
        self.causes.extend(contradiction(evidence));
    }
}

/// What the control's own layer refused in the place of what was meant.
fn other_reason(expected: &Expected, denial: &Denial) -> String {
    let standard = expected.signature.saying.and_then(|words| by_standard(denial, words));
    let what = standard.unwrap_or_else(|| ", but not for what this attack is about".to_owned());
    format!("{} refused{what}", denial.layer)
}

/// Whether the control was not asked yet, was asked and has no answer, or let it in.
fn who_refused(expected: &Expected, layer: &Layer, other: &str) -> String {
    let was_let_in = match layer {
        Layer::Runtime => true,
        // Whether an object is valid is looked at when authorization has let it in.
        Layer::Validation => expected.signature.layers == [Layer::Authorization],
        _ => false,
    };
    if was_let_in {
        return format!("{} let it in, and {other} refused", expected.control);
    }
    let asked = match layer {
        Layer::PolicyFailure(name) => Layer::Policy(name.clone()),
        Layer::WebhookFailure(name) => Layer::Webhook(name.clone()),
        _ => return format!("{other} refused before {} was asked", expected.control),
    };
    let control = expected.control;
    match expected.signature.decides(&asked) {
        true => format!(
            "{control} could not be asked and failed closed: that it refuses shows nothing of what it decides"
        ),
        false => format!("{other} refused before {control} was asked"),
    }
}

/// A refusal whose own events say that the request was carried out: it was sent twice, or the answer is not the
/// API server's.
fn contradiction(evidence: &Evidence) -> Option<String> {
    let Log::Read { events, .. } = &evidence.log else { return None };
    let mut statuses = events.iter().filter_map(|event| event.response_status.as_ref());
    let answered = evidence.answer.code();
    let done = statuses.find(|status| {
        (status.code == 101 || status.is_success()) && Some(status.code) != answered
    })?;
    let said = match done.code {
        0 => done.reason.clone(),
        code => code.to_string(),
    };
    Some(format!("it was refused, but the audit log says {said} of this very request"))
}
