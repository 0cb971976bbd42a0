//! Who denied it? From an answer and the audit events beside it to the layer that decided.
//!
//! The texts are those of Kubernetes 1.34 and 1.36, recorded in `tests/corpus`; a text that is not known here is
//! never guessed at. A refusal's words count only where the API server itself spoke them: what stands behind a
//! proxy can answer in any words, but it cannot write them into the API server's audit event.

use crate::audit::{ApiPath, Event};
use crate::text::cut;
use crate::verdict::{
    Answer, Decision, Denial, Granted, LONGEST_MESSAGE, Layer, Log, Response, Sent, Silence,
    SilenceKind, Storage, Stream,
};

/// Names the layer that decided about `sent`, from its `answer` and the events in `log`.
pub fn attribute(sent: &Sent, answer: &Answer, log: &Log) -> Decision {
    match answer {
        Answer::Http(response) if sent.audit_id.is_none() => by_kubelet(response),
        Answer::Http(response) => by_api_server(sent, response, own_events(log)),
        Answer::Through(through) if !through.workload.is_success() => {
            by_api_server(sent, &through.workload, own_events(log))
        }
        Answer::Through(through) => by_controller(sent, &through.pod, traces(log)),
        Answer::Stream(stream) => by_stream(stream),
        Answer::Worked(_) => Decision::LetIn,
        Answer::Nothing(silence) => by_silence(sent, silence),
        Answer::Storage(storage) => by_storage(storage),
        Answer::Grants(granted) => by_grants(granted),
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
    if response.is_success() {
        return Decision::LetIn;
    }
    let Some(reached) = reached(sent, response, events) else {
        return unspoken(sent, response, events);
    };
    if is_let_in_without_upgrade(sent, response, reached) {
        return Decision::LetIn;
    }
    match layer_of(sent, response, reached) {
        Some(layer) => denied(layer, response.words()),
        None => unclear(response, "no known layer refuses in these words"),
    }
}

/// How far a request came.
#[derive(Clone, Copy, PartialEq)]
enum Reached {
    /// Not to authorization: its event says nothing of a decision.
    Start,
    /// To authorization, which refused.
    Authorization,
    /// Behind authorization.
    Admission,
    /// It is not known: there is no event.
    Somewhere,
}

/// How far the event says that a request came which holds the very words of the answer; none where nothing
/// shows that the API server spoke them. It writes a Status of its own into the event, and of a forwarded one
/// only the code (measured on 1.36.3, at level Metadata too).
fn reached(sent: &Sent, response: &Response, events: &[Event]) -> Option<Reached> {
    if events.is_empty() {
        return (!may_be_forwarded(&sent.uri)).then_some(Reached::Somewhere);
    }
    let event = events.iter().find(|event| holds(event, response))?;
    Some(match event.annotations.get("authorization.k8s.io/decision").map(String::as_str) {
        None => Reached::Start,
        Some("forbid") => Reached::Authorization,
        Some(_) => Reached::Admission,
    })
}

fn holds(event: &Event, response: &Response) -> bool {
    let Some(status) = &event.response_status else { return false };
    let same_words = match response.message.as_deref() {
        None => status.message.is_empty(),
        Some("") => false,
        Some(message) => cut(&status.message, LONGEST_MESSAGE) == message,
    };
    status.code == response.code && same_words
}

/// Nothing shows that the API server spoke these words.
fn unspoken(sent: &Sent, response: &Response, events: &[Event]) -> Decision {
    match &response.message {
        None => unclear(response, "the answer is not a Kubernetes Status"),
        Some(_) if events.is_empty() => {
            unclear(response, "an answer that may be forwarded, and no audit event vouches for it")
        }
        Some(message) if may_be_forwarded(&sent.uri) => denied(Layer::Backend, message),
        Some(_) => unclear(response, "the audit event does not hold these words"),
    }
}

/// API groups that no other server than the API server answers for: those without a domain, and these of
/// `k8s.io`.
const OWN_GROUPS: [&str; 18] = [
    "admissionregistration",
    "apiextensions",
    "apiregistration",
    "authentication",
    "authorization",
    "certificates",
    "coordination",
    "discovery",
    "events",
    "flowcontrol.apiserver",
    "internal.apiserver",
    "networking",
    "node",
    "rbac.authorization",
    "resource",
    "scheduling",
    "storage",
    "storagemigration",
];

/// Whether something else may answer: behind a proxy, or as an aggregated API server. A path with encoded
/// characters is not looked into.
fn may_be_forwarded(uri: &str) -> bool {
    let path = uri.split('?').next().unwrap_or_default();
    let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next());
    let foreign = group.is_some_and(|group| match group.strip_suffix(".k8s.io") {
        Some(group) => !OWN_GROUPS.contains(&group),
        None => group.contains('.'),
    });
    let proxied = ApiPath::parse(uri).is_some_and(|path| path.subresource == "proxy");
    foreign || proxied || path.contains('%')
}

/// A stream request without an upgrade that everything let in (measured: it is asked for last).
fn is_let_in_without_upgrade(sent: &Sent, response: &Response, reached: Reached) -> bool {
    matches!(reached, Reached::Admission | Reached::Somewhere)
        && is_stream(sent)
        && response.code == 400
        && response.message.as_deref() == Some("Upgrade request required")
}

fn is_stream(sent: &Sent) -> bool {
    ApiPath::parse(&sent.uri)
        .is_some_and(|path| ["exec", "attach", "portforward"].contains(&path.subresource))
}

fn layer_of(sent: &Sent, response: &Response, reached: Reached) -> Option<Layer> {
    let words = response.words();
    match reached {
        Reached::Start => at_start(response, words),
        Reached::Authorization => Some(Layer::Authorization),
        Reached::Admission => at_admission(sent, response, words),
        Reached::Somewhere => at_start(response, words)
            .or_else(|| at_authorization(response, words))
            .or_else(|| at_admission(sent, response, words)),
    }
}

fn at_start(response: &Response, words: &str) -> Option<Layer> {
    match response.code {
        401 => (words == "Unauthorized").then_some(Layer::Authentication),
        403 => cannot(words)?.starts_with("impersonate").then_some(Layer::Impersonation),
        // Every answer carries these headers; only this one is no Status (measured).
        429 if response.flow_control && response.message.is_none() => {
            words.starts_with("Too many requests, ").then_some(Layer::FlowControl)
        }
        _ => None,
    }
}

fn at_authorization(response: &Response, words: &str) -> Option<Layer> {
    (response.code == 403 && cannot(words).is_some()).then_some(Layer::Authorization)
}

/// What a user cannot do, in the words of authorization and of impersonation.
fn cannot(words: &str) -> Option<&str> {
    let (_, rest) = quoted(after_subject(words, "forbidden")?.strip_prefix("User ")?)?;
    rest.strip_prefix(" cannot ")
}

fn at_admission(sent: &Sent, response: &Response, words: &str) -> Option<Layer> {
    webhook_layer(words)
        .or_else(|| policy_layer(after_subject(words, "forbidden").unwrap_or(words)))
        .or_else(|| by_code(sent, response.code, words))
}

/// A webhook may send any code and any text: only the API server's own words around it count, at the start.
fn webhook_layer(words: &str) -> Option<Layer> {
    if let Some((name, rest)) = words.strip_prefix("admission webhook ").and_then(quoted) {
        return rest.starts_with(" denied the request").then(|| Layer::Webhook(name.to_owned()));
    }
    let failed = words.strip_prefix("Internal error occurred: failed calling webhook ");
    let (name, rest) = failed.and_then(quoted)?;
    rest.starts_with(": ").then(|| Layer::WebhookFailure(name.to_owned()))
}

/// Policies speak with the reason that they choose: Forbidden, or Invalid where they choose none. A mutating one
/// refuses only by failing.
fn policy_layer(why: &str) -> Option<Layer> {
    if let Some((name, reason)) = policy_words(why, "ValidatingAdmissionPolicy '") {
        let layer = if is_failure(reason) { Layer::PolicyFailure } else { Layer::Policy };
        return Some(layer(name.to_owned()));
    }
    let (name, reason) = policy_words(why, "policy '")?;
    is_failure(reason).then(|| Layer::PolicyFailure(name.to_owned()))
}

/// The policy's name and its reason.
fn policy_words<'a>(why: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = why.strip_prefix(kind)?.split_once('\'')?;
    let rest = match rest.strip_prefix(" with binding '") {
        Some(bound) => bound.split_once('\'')?.1,
        None => rest,
    };
    Some((name, rest.strip_prefix(" denied request: ")?))
}

/// Whether a policy failed closed. What its author lets it say may hold the same words, but not at the start.
fn is_failure(reason: &str) -> bool {
    reason.starts_with("failed to configure ")
        || reason.starts_with("expression '") && reason.contains("' resulted in error: ")
}

fn by_code(sent: &Sent, code: u16, words: &str) -> Option<Layer> {
    match code {
        403 => forbidden_layer(sent, after_subject(words, "forbidden")?),
        422 => after_subject(words, "invalid").map(|_| Layer::Validation),
        429 => words
            .starts_with("Too many requests: limit reached on type ")
            .then(|| Layer::AdmissionPlugin("EventRateLimit".to_owned())),
        _ => None,
    }
}

/// How the reason of a 403 begins, by the plug-in that gives it.
const PLUGINS: [(&str, &[&str]); 14] = [
    ("CertificateApproval", &["user not permitted to approve requests with signerName "]),
    ("CertificateSigning", &["user not permitted to sign requests with signerName "]),
    (
        "CertificateSubjectRestriction",
        &[
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
        ],
    ),
    ("DenyServiceExternalIPs", &["Use of external IPs is denied by admission control"]),
    (
        "LimitRanger",
        &[
            "maximum ",
            "minimum ",
            "[maximum ",
            "[minimum ",
            "cpu max limit to request ratio ",
            "memory max limit to request ratio ",
        ],
    ),
    (
        "NamespaceLifecycle",
        &["unable to create new content in namespace ", "this namespace may not be deleted"],
    ),
    (
        "NodeRestriction",
        &[
            "node \"",
            "node requested token ",
            "is not allowed to modify labels: ",
            "pod does not have \"kubernetes.io/config.mirror\" annotation, ",
        ],
    ),
    ("OwnerReferencesPermissionEnforcement", &["cannot set blockOwnerDeletion "]),
    ("PersistentVolumeClaimResize", &["only dynamically provisioned pvc can be resized "]),
    ("PodSecurity", &["violates PodSecurity \""]),
    ("Priority", &["no PriorityClass with name ", "the integer value of priority ("]),
    ("ResourceQuota", &["exceeded quota: ", "failed quota: "]),
    ("RuntimeClass", &["pod rejected: RuntimeClass "]),
    ("ServiceAccount", &["error looking up service account ", "service account "]),
];

fn forbidden_layer(sent: &Sent, why: &str) -> Option<Layer> {
    if is_escalation(why) {
        return Some(Layer::EscalationGuard);
    }
    // Kubernetes 1.35 and later ask for `create` after everything else let a stream in. It gives no reason but
    // what an authorizer adds (measured).
    if is_stream(sent) && (why.is_empty() || why.starts_with("RBAC: ")) {
        return Some(Layer::UpgradeCheck);
    }
    if why.starts_with("expression '") && why.contains("' resulted in error: ") {
        return Some(Layer::MatchCondition);
    }
    let begins = |starts: &[&str]| starts.iter().any(|start| why.starts_with(start));
    let (plugin, _) = PLUGINS.iter().find(|(_, starts)| begins(starts))?;
    Some(match *plugin {
        "PodSecurity" => Layer::PodSecurity,
        "ResourceQuota" => Layer::Quota,
        other => Layer::AdmissionPlugin(other.to_owned()),
    })
}

fn is_escalation(why: &str) -> bool {
    let granting = why.strip_prefix("user ").and_then(quoted).is_some_and(|(_, rest)| {
        rest.starts_with(" (groups=[")
            && rest.contains("]) is attempting to grant RBAC permissions not currently held:")
    });
    granting || why == "must have cluster-admin privileges to use the aggregationRule"
}

/// What follows `pods "p" is forbidden: `, `pods is forbidden: ` or `forbidden: `. A name is the caller's and may
/// hold anything, but quoted.
fn after_subject<'a>(words: &'a str, sort: &str) -> Option<&'a str> {
    let after = |rest: &'a str| rest.strip_prefix(sort)?.strip_prefix(": ");
    if let Some(why) = after(words) {
        return Some(why);
    }
    let (resource, rest) = words.split_once(' ')?;
    if !resource.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
        return None;
    }
    let rest = match quoted(rest) {
        Some((_, rest)) => rest.strip_prefix(' ')?,
        None => rest,
    };
    after(rest.strip_prefix("is ")?)
}

/// Parts a text after its quoted beginning. The API server quotes as Go does: a quotation mark within has a
/// backslash before it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// A workload's status repeats the words that its controller was told, but not the code.
fn by_controller(sent: &Sent, pod: &Response, traces: &[Event]) -> Decision {
    let statuses = traces.iter().filter_map(|trace| trace.response_status.as_ref());
    let told = statuses.clone().find(|status| status.message == pod.words());
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

/// Somebody is granted everything on every cluster: who finds nobody has not looked.
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

fn denied(layer: Layer, message: &str) -> Decision {
    Decision::Denied(Denial { layer, message: message.to_owned() })
}

fn unclear(response: &Response, why: &str) -> Decision {
    let words: String = response.words().chars().take(300).collect();
    Decision::Unclear(format!("{why}: {} {words:?}", response.code))
}
