//! Who denied it? From an answer and the audit events beside it to the layer that decided.
//!
//! First it is settled who spoke (`spoken`), then what the words mean (`refusals`, with `policies` and `plugins`). The
//! texts are recorded in `tests/fast/corpus`, or else read in the source of Kubernetes 1.34 to 1.37.

mod plugins;
mod policies;
mod refusals;
mod spoken;
mod words;

use crate::model::{
    Answer, Decision, Denial, Door, Event, Granted, Held, Layer, Log, Part, Response, Searched,
    Sent, Silence, SilenceKind, Storage, Stream,
};
use refusals::layer_of;
pub use spoken::own_events;
use spoken::{
    Reached, asks_kubelet, hides_answer, hides_decision, is_strange, is_stream, may_be_forwarded,
    reached,
};
pub(super) use words::{after_subject, first, quoted};

/// Names the layer that decided about `sent`, from its `answer` and the events in `log`.
pub fn attribute(sent: &Sent, answer: &Answer, log: &Log) -> Decision {
    match answer {
        Answer::Http(response) if sent.audit_id.is_none() => by_kubelet(response),
        Answer::Http(response) => by_api_server(sent, response, events(log)),
        Answer::Through(through) => match by_api_server(sent, &through.workload, events(log)) {
            Decision::LetIn => by_controller(sent, &through.pod, traces(log)),
            refused => refused,
        },
        Answer::Stream(stream) => by_stream(stream),
        Answer::Worked(_) => Decision::LetIn,
        Answer::Nothing(silence) => by_silence(sent, silence),
        Answer::Storage(storage) => by_storage(storage),
        Answer::AuditLog(searched) => by_audit_policy(searched),
        Answer::Grants(granted) => by_grants(granted),
        Answer::Review(_) => Decision::Read,
        Answer::Rights(held) => by_authorizers(held),
    }
}

fn events(log: &Log) -> &[Event] {
    match log {
        Log::Read { events, .. } => events,
        _ => &[],
    }
}

fn traces(log: &Log) -> &[Event] {
    match log {
        Log::Read { traces, .. } => traces,
        _ => &[],
    }
}

fn by_api_server(sent: &Sent, response: &Response, events: &[Event]) -> Decision {
    if response.is_success() {
        return match is_strange(response, events) {
            true => unclear(response, STRANGE),
            false => Decision::LetIn,
        };
    }
    let Some(reached) = reached(sent, response, events) else {
        return unspoken(sent, response, events);
    };
    if is_let_in_without_upgrade(sent, response, reached) {
        return match Door::STREAMS.contains(&sent.door) {
            true => unclear(response, "what asks for the stream was dropped on the way"),
            false => Decision::LetIn,
        };
    }
    if is_stream(sent) && response.code == 404 {
        return unclear(response, NO_POD);
    }
    match layer_of(sent, response, reached) {
        Some(layer) => denied(layer, response.words()),
        None if asks_kubelet(sent) && is_refusal(response) => unclear(response, KUBELET_REFUSED),
        None => unclear(response, "no known layer refuses in these words"),
    }
}

/// Nothing shows that the API server spoke these words.
fn unspoken(sent: &Sent, response: &Response, events: &[Event]) -> Decision {
    if response.message.is_some() && (hides_answer(events) || hides_decision(events)) {
        return unclear(
            response,
            "an answer that may be forwarded, and this log does not show whose words it is",
        );
    }
    if asks_kubelet(sent) && is_refusal(response) && !events.is_empty() {
        return unclear(response, KUBELET_REFUSED);
    }
    if response.without_id && !may_be_forwarded(sent) {
        return unclear(response, STRANGE);
    }
    match &response.message {
        None => unclear(response, "the answer is not a Kubernetes Status"),
        Some(_) if events.is_empty() => {
            unclear(response, "an answer that may be forwarded, and no audit event vouches for it")
        }
        Some(message) if may_be_forwarded(sent) => denied(Layer::Backend, message),
        Some(_) => unclear(response, "the audit event does not hold these words"),
    }
}

/// Something on the way to the API server may have answered in its place.
const STRANGE: &str =
    "the answer does not bring our Audit-ID back, and no audit event vouches for it";

/// The pod is looked up last.
const NO_POD: &str =
    "nobody refused it, and there is no such pod: who goes by a pod's labels could not look at it";

/// The API server let the caller in and was then refused itself, so nobody refused the caller.
const KUBELET_REFUSED: &str = "the kubelet refused the API server, not the caller";

fn is_refusal(response: &Response) -> bool {
    matches!(response.code, 401 | 403)
}

/// A stream request without an upgrade that everything let in (measured: it is asked for last).
fn is_let_in_without_upgrade(sent: &Sent, response: &Response, reached: Reached) -> bool {
    matches!(reached, Reached::Admission | Reached::Somewhere)
        && is_stream(sent)
        && response.code == 400
        && response.message.as_deref() == Some("Upgrade request required")
}

/// A workload's status repeats the words that its controller was told, but not the code.
fn by_controller(sent: &Sent, pod: &Response, traces: &[Event]) -> Decision {
    let shown = traces.iter().filter(|trace| trace.shows(Part::Code));
    let mut statuses = shown.filter_map(|trace| trace.response_status.as_ref());
    let told = statuses.find(|status| status.message == pod.words());
    let code = told.map_or(pod.code, |status| status.code);
    by_api_server(sent, &Response { code, ..pod.clone() }, traces)
}

/// The kubelet answers for itself; only its two refusals are known to be refusals.
fn by_kubelet(response: &Response) -> Decision {
    match response.code {
        401 | 403 => denied(Layer::Kubelet, response.words()),
        200..300 => Decision::LetIn,
        // Whether there is such a path or pod is looked at after the caller was let in, and so is the upgrade of
        // a stream (code 500, measured on 1.36.3).
        400 | 404 | 405 => Decision::LetIn,
        _ if response.words().starts_with("Upgrade request required") => Decision::LetIn,
        _ => unclear(response, "an answer of the kubelet that tells nothing"),
    }
}

/// How the API server closes a WebSocket whose stream it could not open at the kubelet
/// (`k8s.io/apiserver/pkg/util/proxy/streamtranslator.go`, the error being that of its SPDY client).
const NOT_TAKEN: [&str; 2] = [
    "Internal error occurred: unable to upgrade connection: ",
    "Internal error occurred: error sending request: ",
];

/// 101 means hijacked, not run: the closing frame tells what came of it (measured).
fn by_stream(stream: &Stream) -> Decision {
    match &stream.closing {
        Some(closing) if closing.status == "Failure" => {
            let message = closing.message.as_deref().unwrap_or_default();
            if message.starts_with("command terminated with") {
                Decision::LetIn
            } else if NOT_TAKEN.iter().any(|start| message.starts_with(start)) {
                Decision::Unclear(format!("the kubelet did not take the stream: {message:?}"))
            } else {
                denied(Layer::Runtime, message)
            }
        }
        _ => Decision::LetIn,
    }
}

/// Silence is a block only if the listener is proven; otherwise nothing may have listened there.
fn by_silence(sent: &Sent, silence: &Silence) -> Decision {
    let closed = matches!(silence.kind, SilenceKind::Refused | SilenceKind::TimedOut);
    if sent.audit_id.is_some() || !closed {
        return Decision::Unclear(format!("no answer: {}", silence.text));
    }
    if !silence.listener_proven {
        return Decision::Unclear(format!(
            "no answer ({}), and nothing shows that anybody listens there",
            silence.text
        ));
    }
    let by_port = sent.uri.starts_with("http") && silence.kind == SilenceKind::Refused;
    denied(if by_port { Layer::Kubelet } else { Layer::Network }, &silence.text)
}

fn by_storage(storage: &Storage) -> Decision {
    if storage.below_prefix == 0 {
        return Decision::Unclear(format!(
            "etcd gave {} keys, none of them below the prefix",
            storage.keys
        ));
    }
    if storage.plain_count > 0 || storage.canary_count > 0 {
        return Decision::LetIn;
    }
    denied(
        Layer::Encryption,
        &format!("all {} values are encrypted, the canary stands nowhere", storage.below_prefix),
    )
}

fn by_audit_policy(searched: &Searched) -> Decision {
    match searched.leaks {
        0 => denied(Layer::AuditPolicy, "no line of the audit log holds the Secret's value"),
        _ => Decision::LetIn,
    }
}

/// Every cluster has an all-powerful subject: an empty list means that the read failed.
fn by_grants(granted: &Granted) -> Decision {
    match (granted.allowed.len(), granted.others.is_empty()) {
        (0, true) => Decision::Unclear("nobody at all is granted it, which cannot be".to_owned()),
        (count, true) => denied(
            Layer::Authorization,
            &format!("{count} subjects are granted it, each of them allowed"),
        ),
        (_, false) => Decision::LetIn,
    }
}

/// A right that is held is held, whatever else has no answer.
fn by_authorizers(held: &Held) -> Decision {
    let Held { answered, own, others, unanswered } = held;
    match (answered, others.is_empty(), unanswered.first()) {
        (_, false, _) => Decision::LetIn,
        (_, true, Some(why)) => {
            Decision::Unclear(format!("an authorizer could not answer, and may allow it: {why}"))
        }
        (0, true, None) => Decision::Unclear("nothing was asked about".to_owned()),
        (_, true, None) => denied(
            Layer::Authorization,
            &format!(
                "{answered} questions answered, {own} rights held, all as the persona's file says"
            ),
        ),
    }
}

fn denied(layer: Layer, message: &str) -> Decision {
    Decision::Denied(Denial { layer, message: message.to_owned() })
}

fn unclear(response: &Response, why: &str) -> Decision {
    let words: String = response.words().chars().take(300).collect();
    Decision::Unclear(format!("{why}: {} {words:?}", response.code))
}
