//! How a block by a control is known: by its layer, its words, and what it leaves on the audit event. Words alone are
//! not enough for a webhook: another one may have its name, and a mutating one refuses in the same words.

use std::collections::BTreeMap;

use super::words::{besides, says};
use crate::model::{Answer, Denial, Event, Evidence, Layer, Log, Part};

/// What a refusal must show to be a control's own.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    /// The layers by which the control decides.
    pub layers: &'a [Layer],
    /// The reason that the refusal must give.
    pub saying: Option<&'a str>,
    /// The annotations that each of its refusals leaves on the audit event. Where it fails closed it leaves none.
    pub leaves: &'a BTreeMap<String, String>,
}

/// Whose a refusal is.
#[derive(Debug, Clone, PartialEq)]
pub enum Recognised {
    /// The control's own. It named these checks beside the one that is meant.
    Own(Vec<String>),
    /// Another layer's; which.
    OtherLayer(String),
    /// The control's own, for another reason than the one that is meant.
    OtherReason,
    /// It cannot be told, and why.
    Unclear(String),
}

/// Whether a refusal leaves on the audit event what the control's own do.
enum Signed<'a> {
    /// It does, or there is nothing in which it could be seen.
    Yes,
    /// This annotation is missing.
    No(&'a String, &'a String),
    /// No event shows it, and its words are not known.
    Unshown,
}

/// Flow control turns a request away before anything looks at it, whatever it asks for.
pub const BUSY: &str = "flow control turned it away (429), which decides nothing";

impl Signature<'_> {
    /// Whether the control decides by this layer.
    pub fn decides(&self, layer: &Layer) -> bool {
        self.layers.iter().any(|meant| meant.covers(layer))
    }

    /// Whose this refusal is.
    pub fn recognise(&self, denial: &Denial, evidence: &Evidence) -> Recognised {
        if !self.decides(&denial.layer) {
            if denial.layer == Layer::FlowControl {
                return Recognised::Unclear(BUSY.to_owned());
            }
            return Recognised::OtherLayer(denial.layer.to_string());
        }
        if let Some(strange) = self.strange(denial, evidence) {
            return strange;
        }
        match self.saying {
            Some(words) if says(denial, &evidence.sent, words) => {
                Recognised::Own(besides(denial, words))
            }
            Some(_) => Recognised::OtherReason,
            None => Recognised::Own(Vec::new()),
        }
    }

    /// Whether this refusal has the layer, the words and, where the log can be read, the annotations. Who else has a
    /// webhook of the name is not asked.
    pub fn is_met(&self, denial: &Denial, evidence: &Evidence) -> bool {
        self.decides(&denial.layer)
            && !matches!(self.signed(denial, evidence), Signed::No(..))
            && self.saying.is_none_or(|words| says(denial, &evidence.sent, words))
    }

    /// Whether the log holds every annotation of a refusal by the control.
    fn signed(&self, denial: &Denial, evidence: &Evidence) -> Signed<'_> {
        if matches!(denial.layer, Layer::WebhookFailure(_) | Layer::PolicyFailure(_)) {
            return Signed::Yes;
        }
        let events: Vec<&Event> = deciding(evidence).filter(|event| is_answered(event)).collect();
        if events.is_empty() {
            // Without an answer's event its words tell whose it is. Where none are known, nothing does.
            let is_told = self.leaves.is_empty() || self.saying.is_some();
            return if is_told { Signed::Yes } else { Signed::Unshown };
        }
        let is_left = |(key, value): &(&String, &String)| {
            events.iter().any(|event| event.annotations.get(*key) == Some(*value))
        };
        match self.leaves.iter().find(|left| !is_left(left)) {
            None => Signed::Yes,
            Some(_) if events.iter().any(|event| !event.shows(Part::Annotations)) => {
                Signed::Unshown
            }
            Some((key, value)) => Signed::No(key, value),
        }
    }

    /// A refusal in the control's name that is another's, or may be.
    fn strange(&self, denial: &Denial, evidence: &Evidence) -> Option<Recognised> {
        match self.signed(denial, evidence) {
            Signed::Yes => {}
            Signed::No(key, value) => {
                return Some(Recognised::OtherLayer(format!(
                    "another {} (a refusal by this one leaves {key}: {value} on the audit event)",
                    denial.layer
                )));
            }
            Signed::Unshown => {
                return Some(Recognised::Unclear(format!(
                    "another {} may have refused: no audit event shows what this one leaves there",
                    denial.layer
                )));
            }
        }
        let (Layer::Webhook(name) | Layer::WebhookFailure(name)) = &denial.layer else {
            return None;
        };
        match evidence.namesakes.as_slice() {
            [_] => None,
            [] => Some(Recognised::Unclear(format!(
                "which webhooks are named {name} could not be seen, so that another may have refused"
            ))),
            several => Some(Recognised::Unclear(format!(
                "{} webhooks are named {name}, and which of them refused cannot be told: {}",
                several.len(),
                several.join(", ")
            ))),
        }
    }
}

/// The events of the request that was decided about: the controller's, where it made the pod; none where the log could not
/// be read.
fn deciding(evidence: &Evidence) -> impl Iterator<Item = &Event> {
    let by_controller =
        matches!(&evidence.answer, Answer::Through(through) if through.workload.is_success());
    let known = match &evidence.log {
        Log::Read { events, traces, .. } => Some(if by_controller { traces } else { events }),
        _ => None,
    };
    known.into_iter().flatten()
}

/// Whether an event was written when the request was decided about. Of a server-side apply in YAML there may be none but
/// that of its arrival, which nobody has annotated yet (docs/decisions/0010-yaml-bodies.md).
fn is_answered(event: &Event) -> bool {
    event.response_status.is_some() || !event.shows(Part::Code)
}
