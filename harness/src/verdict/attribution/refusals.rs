//! Which layer refuses in these words? Only words that the API server itself spoke come here. A text that is not
//! known is never guessed at.

use crate::verdict::attribution::plugins::plugin_layer;
use crate::verdict::attribution::policies::{is_failure, policy_layer};
use crate::verdict::attribution::spoken::{Reached, is_admitted, is_stream};
use crate::verdict::attribution::words::{after_subject, quoted};
use crate::verdict::{Layer, Response, Sent};

/// The layer that refused a request that came so far.
pub fn layer_of(sent: &Sent, response: &Response, reached: Reached) -> Option<Layer> {
    let code = response.code;
    let Some(words) = response.message.as_deref() else { return Some(Layer::FlowControl) };
    let admission = || is_admitted(sent).then(|| at_admission(sent, code, reached, words))?;
    match reached {
        Reached::Start => at_start(code, words),
        Reached::Authorization => Some(Layer::Authorization),
        Reached::Admission => admission(),
        Reached::Somewhere => {
            at_start(code, words).or_else(|| at_authorization(code, words)).or_else(admission)
        }
    }
}

fn at_start(code: u16, words: &str) -> Option<Layer> {
    match code {
        401 => (words == "Unauthorized").then_some(Layer::Authentication),
        403 => cannot(words)?.starts_with("impersonate").then_some(Layer::Impersonation),
        _ => None,
    }
}

fn at_authorization(code: u16, words: &str) -> Option<Layer> {
    (code == 403 && cannot(words).is_some()).then_some(Layer::Authorization)
}

/// What a user cannot do, in the words of authorization and of impersonation.
fn cannot(words: &str) -> Option<&str> {
    let (_, rest) = quoted(after_subject(words, "forbidden")?.strip_prefix("User ")?)?;
    rest.strip_prefix(" cannot ")
}

fn at_admission(sent: &Sent, code: u16, reached: Reached, words: &str) -> Option<Layer> {
    webhook_layer(code, words)
        .or_else(|| policy_layer(code, reached == Reached::Admission, words))
        .or_else(|| forbidden_layer(sent, code, words))
        .or_else(|| plugin_layer(code, words))
        .or_else(|| invalid_layer(code, words))
}

/// A webhook may send any code and any text: only the API server's own words around it count, at the start.
fn webhook_layer(code: u16, words: &str) -> Option<Layer> {
    if let Some((name, rest)) = words.strip_prefix("admission webhook ").and_then(quoted) {
        let rest = rest.strip_prefix(" denied the request")?;
        let denied = rest.starts_with(": ") || rest == " without explanation";
        return denied.then(|| Layer::Webhook(name.to_owned()));
    }
    let failed = words.strip_prefix("Internal error occurred: failed calling webhook ");
    let (name, rest) = failed.and_then(quoted)?;
    (code == 500 && rest.starts_with(": ")).then(|| Layer::WebhookFailure(name.to_owned()))
}

/// What refuses with 403 besides plug-ins: RBAC's guard, the check behind a stream, a webhook's match condition.
fn forbidden_layer(sent: &Sent, code: u16, words: &str) -> Option<Layer> {
    let why = after_subject(words, "forbidden").filter(|_| code == 403)?;
    if is_escalation(why) {
        return Some(Layer::EscalationGuard);
    }
    if is_upgrade_check(sent, why) {
        return Some(Layer::UpgradeCheck);
    }
    is_failure(why).then_some(Layer::MatchCondition)
}

/// `pkg/registry/rbac/escalation_check.go` and the storage of roles and bindings.
fn is_escalation(why: &str) -> bool {
    let granting = why.strip_prefix("user ").and_then(quoted).is_some_and(|(_, rest)| {
        rest.starts_with(" (groups=[")
            && rest.contains("]) is attempting to grant RBAC permissions not currently held:")
    });
    granting || why == "must have cluster-admin privileges to use the aggregationRule"
}

/// Kubernetes 1.35 and later ask for `create` after everything else let a stream in by `get`
/// (`pkg/registry/core/pod/rest/authorize.go`). It gives no reason but what an authorizer adds (measured on 1.36.3);
/// of authorizers, only RBAC's reasons are known.
fn is_upgrade_check(sent: &Sent, why: &str) -> bool {
    let by_get = is_stream(sent) && sent.verb.as_deref() == Some("get");
    by_get && (why.is_empty() || why.starts_with("RBAC: "))
}

fn invalid_layer(code: u16, words: &str) -> Option<Layer> {
    after_subject(words, "invalid").filter(|_| code == 422).map(|_| Layer::Validation)
}
