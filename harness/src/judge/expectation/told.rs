//! What was sent, answered and expected, in words for a person.

use crate::judge::Expected;
use crate::model::{
    Answer, ApiPath, Holding, Layer, Leak, Response, Reviewed, Searched, Sent, Succeeds,
};
use crate::text::{count, first_of};

/// `create pods by deployer`
pub(super) fn asked(sent: &Sent) -> String {
    let verb = sent.verb.as_deref().unwrap_or(&sent.method);
    let what = match ApiPath::parse(&sent.uri) {
        Some(path) if path.subresource.is_empty() => path.resource.to_owned(),
        Some(path) => format!("{}/{}", path.resource, path.subresource),
        None => sent.uri.clone(),
    };
    format!("{verb} {what} by {}", sent.persona)
}

/// The refusal that is expected.
pub(super) fn described(expected: &Expected) -> String {
    let layers: Vec<String> = expected.signature.layers.iter().map(ToString::to_string).collect();
    let saying = expected.signature.saying;
    let saying = saying.map(|words| format!(" saying {words:?}")).unwrap_or_default();
    format!("a refusal by {} ({}){saying}", expected.control, layers.join(" or "))
}

/// What shows that a legitimate use worked.
pub(super) fn wanted(succeeds: &Succeeds) -> String {
    match (&succeeds.stdout, &succeeds.stdout_contains) {
        (Some(text), _) => format!("it works and prints {text:?}"),
        (None, Some(text)) => format!("it works and prints something with {text:?}"),
        (None, None) => "it works".to_owned(),
    }
}

/// The layer's kind without its name, for the short form of an outcome.
pub(super) fn kind(layer: &Layer) -> String {
    match layer {
        Layer::Webhook(_) => "webhook".to_owned(),
        Layer::Policy(_) => "admission policy".to_owned(),
        other => other.to_string(),
    }
}

/// What came of an attack that nobody refused.
pub(super) fn let_in(answer: &Answer) -> String {
    match answer {
        Answer::Stream(stream) if stream.echoed => "the shell opened".to_owned(),
        Answer::Stream(stream) if !stream.stdout.is_empty() => "let in, and it answered".to_owned(),
        Answer::Stream(_) => "let in (101)".to_owned(),
        Answer::Http(response) if response.is_success() => {
            format!("worked ({}{})", response.code, counted(response))
        }
        Answer::Http(response) => format!("let in ({})", response.code),
        Answer::Through(_) => "the controller's pod was made".to_owned(),
        Answer::Worked(_) => "connected".to_owned(),
        Answer::Nothing(silence) => format!("no answer: {}", silence.text),
        Answer::Grants(granted) => format!("granted to {}", granted.others.join(", ")),
        Answer::Rights(held) => self::held(&held.others),
        Answer::Storage(storage) => format!(
            "{} of {} values are plain, the canary stands in {} of them",
            storage.plain_count, storage.below_prefix, storage.canary_count
        ),
        Answer::AuditLog(searched) => leaked(searched),
        Answer::Review(reviewed) => found(reviewed),
    }
}

/// What a review found: `3 objects read, 1 flaw`.
fn found(reviewed: &Reviewed) -> String {
    let Reviewed { objects, flaws, more, unread } = reviewed;
    let unread = match unread.as_slice() {
        [] => String::new(),
        some => format!(", {} not read", count(some.len(), "thing")),
    };
    format!("{} read{unread}, {}", count(*objects, "object"), count(flaws.len() + more, "flaw"))
}

/// How many rights of one holding are told, and how many holdings: all are in the results.
const TOLD: usize = 6;

/// Who may do what, and where: `ann may get secrets and list secrets in kube-system`.
fn held(holdings: &[Holding]) -> String {
    let one = |holding: &Holding| {
        let Holding { who, rights, place, expired, .. } = holding;
        let expired = expired.iter().map(|when| format!(", by a binding that expired at {when}"));
        format!("{who} may {} {place}{}", first_of(rights, TOLD), expired.collect::<String>())
    };
    first_of(&holdings.iter().map(one).collect::<Vec<_>>(), TOLD)
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

/// What came of a legitimate use.
pub(super) fn summary(answer: &Answer) -> String {
    match answer {
        Answer::Stream(stream) if *stream == Default::default() => "let in (101)".to_owned(),
        Answer::Stream(stream) => format!("{:?}", first_line(&stream.stdout)),
        Answer::Worked(output) => first_line(output).to_owned(),
        Answer::Http(response) => format!("{}{}", response.code, counted(response)),
        Answer::Through(through) => format!("{}, and its pod", through.workload.code),
        other => let_in(other),
    }
}

fn counted(response: &Response) -> String {
    match (&response.kind, response.count) {
        (Some(kind), Some(count)) => format!(", {kind} of {count}"),
        (Some(kind), None) => format!(", {kind}"),
        _ => String::new(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
