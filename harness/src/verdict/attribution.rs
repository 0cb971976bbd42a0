//! Who denied it? From an answer and the audit events beside it to the layer that decided.
//!
//! The texts are those of Kubernetes 1.33 to 1.36, measured; a text that is not known here is never guessed at.
//! A refusal's words count only where the API server itself spoke them: what stands behind a proxy can answer in
//! any words, but it cannot write them into the API server's audit event.

use crate::audit::Event;
use crate::verdict::{
    Answer, Decision, Denial, Layer, Log, Response, Sent, Silence, SilenceKind, Storage, Stream,
};

/// Names the layer that decided about `sent`, from its `answer` and the events in `log`.
pub fn attribute(sent: &Sent, answer: &Answer, log: &Log) -> Decision {
    match answer {
        Answer::Http(response) if sent.audit_id.is_none() => by_kubelet(response),
        Answer::Http(response) => by_api_server(sent, response, own_events(log)),
        Answer::Through(through) if !through.workload.is_success() => {
            by_api_server(sent, &through.workload, own_events(log))
        }
        Answer::Through(through) => by_api_server(sent, &through.pod, traces(log)),
        Answer::Stream(stream) => by_stream(stream),
        Answer::Worked(_) => Decision::LetIn,
        Answer::Nothing(silence) => by_silence(sent, silence),
        Answer::Storage(storage) => by_storage(storage),
    }
}

fn own_events(log: &Log) -> &[Event] {
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
    if response.is_success() || is_upgrade_required(response) {
        return Decision::LetIn;
    }
    let Some(message) = response.message.as_deref() else {
        return unclear(response, "the answer is not a Kubernetes Status");
    };
    match spoken_by(sent, response, message, events) {
        Speaker::ApiServer => {}
        Speaker::Backend => return denied(Layer::Backend, message),
        Speaker::Unknown => {
            return unclear(response, "a proxied answer that no audit event vouches for");
        }
    }
    match layer_of(sent, response, message, events) {
        Some(layer) => denied(layer, message),
        None => unclear(response, "no known layer refuses in these words"),
    }
}

/// A stream request without an upgrade that everything let in (measured: it is asked for last).
fn is_upgrade_required(response: &Response) -> bool {
    response.code == 400 && response.words().contains("Upgrade request required")
}

/// Who spoke the words of a refusal.
enum Speaker {
    ApiServer,
    Backend,
    Unknown,
}

/// The API server writes a Status of its own into the event; of a forwarded one only the code stands there
/// (measured on 1.36.3, at level Metadata too).
fn spoken_by(sent: &Sent, response: &Response, message: &str, events: &[Event]) -> Speaker {
    if events.is_empty() {
        return if is_proxied(&sent.uri) { Speaker::Unknown } else { Speaker::ApiServer };
    }
    let vouched = events.iter().filter_map(|event| event.response_status.as_ref()).any(|status| {
        status.code == response.code
            && (status.message == message
                || status.message.starts_with("Authentication failed")
                || status.message.contains(message) && response.code == 401)
    });
    if vouched { Speaker::ApiServer } else { Speaker::Backend }
}

fn is_proxied(uri: &str) -> bool {
    let path = uri.split('?').next().unwrap_or_default();
    path.split('/').any(|segment| segment == "proxy")
}

fn layer_of(sent: &Sent, response: &Response, message: &str, events: &[Event]) -> Option<Layer> {
    webhook_layer(message)
        .or_else(|| (response.code == 401).then_some(Layer::Authentication))
        .or_else(|| flow_control(response))
        .or_else(|| forbidden_layer(sent, response, message, events))
        .or_else(|| (response.code == 422).then_some(Layer::Validation))
}

/// A webhook may send any code and any text: only the API server's own words around it count, at the start.
fn webhook_layer(message: &str) -> Option<Layer> {
    if let Some(rest) = message.strip_prefix("admission webhook \"") {
        let (name, words) = rest.split_once('"')?;
        return words.starts_with(" denied the request").then(|| Layer::Webhook(name.to_owned()));
    }
    let rest = message.strip_prefix("Internal error occurred: failed calling webhook \"")?;
    let (name, words) = rest.split_once('"')?;
    words.starts_with(": ").then(|| Layer::WebhookFailure(name.to_owned()))
}

/// A 429 is three things; only priority and fairness marks its answers with headers of its own.
fn flow_control(response: &Response) -> Option<Layer> {
    (response.code == 429 && response.flow_control).then_some(Layer::FlowControl)
}

fn forbidden_layer(
    sent: &Sent,
    response: &Response,
    message: &str,
    events: &[Event],
) -> Option<Layer> {
    let why = after_subject(message)?;
    policy_layer(why)
        .or_else(|| (response.code == 403).then(|| plain_forbidden(sent, why, events)).flatten())
}

/// What follows `pods "p" is forbidden: `, `pods is forbidden: ` or `forbidden: `; the subject may hold quoted
/// text of the caller's, so it must have the one form that the API server gives it.
fn after_subject(message: &str) -> Option<&str> {
    if let Some(why) = message.strip_prefix("forbidden: ") {
        return Some(why);
    }
    let (resource, rest) = message.split_once(' ')?;
    if !resource.chars().all(|c| c.is_ascii_alphanumeric() || ".-/".contains(c)) {
        return None;
    }
    let rest = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.1.strip_prefix(' ')?,
        None => rest,
    };
    ["is forbidden: ", "is invalid: ", "is forbidden:", "is forbidden"]
        .iter()
        .find_map(|words| rest.strip_prefix(words))
}

/// Policies speak with the reason that they choose: Forbidden, or Invalid where they choose none.
fn policy_layer(why: &str) -> Option<Layer> {
    let why = why.strip_prefix(": ").unwrap_or(why);
    let (name, rest) = why.strip_prefix("ValidatingAdmissionPolicy '")?.split_once('\'')?;
    let words = rest.strip_prefix(" with binding '").and_then(|rest| rest.split_once('\''));
    if words.is_some_and(|(_, words)| words.starts_with(" denied request: "))
        && !rest.contains("resulted in error")
    {
        return Some(Layer::Policy(name.to_owned()));
    }
    let fails_closed = ["resulted in error", "failed to configure"];
    fails_closed
        .iter()
        .any(|words| rest.contains(words))
        .then(|| Layer::PolicyFailure(name.to_owned()))
}

/// Words of a refusal, and the layer that uses them.
type Words = (&'static str, fn() -> Layer);

/// The words that begin the reason of a 403, and who says them.
const FORBIDDEN: [Words; 7] = [
    ("violates PodSecurity \"", || Layer::PodSecurity),
    ("exceeded quota: ", || Layer::Quota),
    ("error looking up service account ", || Layer::AdmissionPlugin("ServiceAccount".to_owned())),
    ("service account ", || Layer::AdmissionPlugin("ServiceAccount".to_owned())),
    ("unable to create new content in namespace ", || {
        Layer::AdmissionPlugin("NamespaceLifecycle".to_owned())
    }),
    ("no PriorityClass with name ", || Layer::AdmissionPlugin("Priority".to_owned())),
    ("expression '", || Layer::MatchCondition),
];

fn plain_forbidden(sent: &Sent, why: &str, events: &[Event]) -> Option<Layer> {
    if why.starts_with("user \"") && why.contains(" is attempting to grant RBAC permissions") {
        return Some(Layer::EscalationGuard);
    }
    if why.starts_with("User \"") {
        return user_cannot(why, events);
    }
    if why.is_empty() && is_stream(&sent.uri) {
        return upgrade_check(events);
    }
    FORBIDDEN.iter().find(|(words, _)| why.starts_with(words)).map(|(_, layer)| layer())
}

fn user_cannot(why: &str, events: &[Event]) -> Option<Layer> {
    let (_, words) = why.strip_prefix("User \"")?.split_once('"')?;
    if words.starts_with(" cannot impersonate") {
        return Some(Layer::Impersonation);
    }
    let authorized = events.iter().any(|event| decision(event) == Some("allow"));
    (words.starts_with(" cannot ") && !authorized).then_some(Layer::Authorization)
}

/// Kubernetes 1.35 and later ask for `create` after everything else let a stream in: the event says `allow`
/// beside code 403, and the reason is empty (measured).
fn upgrade_check(events: &[Event]) -> Option<Layer> {
    let refused_before = events.iter().any(|event| decision(event) == Some("forbid"));
    (!refused_before).then_some(Layer::UpgradeCheck)
}

fn decision(event: &Event) -> Option<&str> {
    event.annotations.get("authorization.k8s.io/decision").map(String::as_str)
}

fn is_stream(uri: &str) -> bool {
    let path = uri.split('?').next().unwrap_or_default();
    ["/exec", "/attach", "/portforward"].iter().any(|end| path.ends_with(end))
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

/// 101 means hijacked, not run: the closing frame tells what came of it (measured).
fn by_stream(stream: &Stream) -> Decision {
    match &stream.closing {
        Some(closing) if closing.status == "Failure" => {
            let message = closing.message.as_deref().unwrap_or_default();
            if message.starts_with("command terminated with") {
                Decision::LetIn
            } else {
                denied(Layer::Runtime, message)
            }
        }
        _ => Decision::LetIn,
    }
}

/// Silence is a block only where the listener is proven; otherwise nobody may have been there.
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
    let bare = storage.plain_count > 0 || storage.canary_count > 0;
    if bare || storage.canary_in_audit_log {
        return Decision::LetIn;
    }
    denied(
        Layer::Encryption,
        &format!("all {} values are encrypted, the canary stands nowhere", storage.below_prefix),
    )
}

fn denied(layer: Layer, message: &str) -> Decision {
    Decision::Denied(Denial { layer, message: message.to_owned() })
}

fn unclear(response: &Response, why: &str) -> Decision {
    let words: String = response.words().chars().take(300).collect();
    Decision::Unclear(format!("{why}: {} {words:?}", response.code))
}
