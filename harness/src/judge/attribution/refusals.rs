//! Which layer refuses in these words? Only words that the API server itself spoke come here. A text that is not
//! known is never guessed at.

use crate::judge::attribution::plugins::plugin_layer;
use crate::judge::attribution::policies::{is_failure, policy_layer};
use crate::judge::attribution::spoken::{Reached, is_admitted, is_stream};
use crate::judge::attribution::words::{after_subject, quoted};
use crate::model::{Layer, Response, Sent};

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
/// (`pkg/registry/core/pod/rest/authorize.go`). It gives no reason but what authorizers add (measured on 1.36.3), each in
/// a line of its own.
fn is_upgrade_check(sent: &Sent, why: &str) -> bool {
    let by_get = is_stream(sent) && sent.verb.as_deref() == Some("get");
    by_get && why.lines().all(is_authorizers)
}

/// A reason of RBAC or of ABAC (`pkg/auth/authorizer/abac/abac.go`), the only ones that are known; from Kubernetes 1.37 on
/// behind the authorizer's name, which is a name in DNS (`k8s.io/apiserver/pkg/authorization/union`, measured on 1.37.2).
fn is_authorizers(reason: &str) -> bool {
    let is_of_one = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_name = |text: &str| !text.is_empty() && text.chars().all(is_of_one);
    let named = reason.split_once(": ").filter(|(name, _)| is_name(name));
    let reason = named.map_or(reason, |(_, reason)| reason);
    reason.starts_with("RBAC: ") || reason == "No policy matched."
}

/// An object that is not valid, with what is wrong in it or without.
fn invalid_layer(code: u16, words: &str) -> Option<Layer> {
    let bare = || words.split_once(' ').and_then(|(_, rest)| quoted(rest));
    let is_invalid = after_subject(words, "invalid").is_some()
        || bare().is_some_and(|(_, rest)| rest == " is invalid");
    (code == 422 && is_invalid).then_some(Layer::Validation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Door;

    /// Who refuses a pod with 422 in these words.
    fn refuses(words: &str) -> Option<Layer> {
        let sent = Sent {
            persona: "developer".to_owned(),
            user: Some("developer".to_owned()),
            impersonated: None,
            door: Door::Direct,
            method: "POST".to_owned(),
            uri: "/api/v1/namespaces/a/pods".to_owned(),
            verb: Some("create".to_owned()),
            audit_id: Some("k7f3-1".to_owned()),
            body: true,
        };
        let response =
            Response { code: 422, message: Some(words.to_owned()), ..Response::default() };
        let reached = [Reached::Admission, Reached::Somewhere];
        let [known, unknown] = reached.map(|reached| layer_of(&sent, &response, reached));
        assert_eq!(known, unknown, "{words}");
        known
    }

    /// Beside ABAC, which always gives a reason, the check has one (measured on 1.36.3).
    #[test]
    fn the_check_behind_a_stream_refuses_in_an_authorizers_words() {
        let refuses = |verb: &str, reason: &str| {
            let sent = Sent {
                persona: "reader".to_owned(),
                user: Some("reader".to_owned()),
                impersonated: None,
                door: Door::GetWebsocket,
                method: "GET".to_owned(),
                uri: "/api/v1/namespaces/a/pods/p/exec?command=id".to_owned(),
                verb: Some(verb.to_owned()),
                audit_id: Some("k7f3-1".to_owned()),
                body: false,
            };
            let message = Some(format!("pods \"p\" is forbidden: {reason}"));
            let response = Response { code: 403, message, ..Response::default() };
            layer_of(&sent, &response, Reached::Admission)
        };
        for reason in [
            "",
            "No policy matched.",
            "RBAC: role.rbac.authorization.k8s.io \"r\" not found",
            "rbac: RBAC: role.rbac.authorization.k8s.io \"r\" not found",
            "abac: No policy matched.\nrbac: RBAC: role.rbac.authorization.k8s.io \"r\" not found",
        ] {
            assert_eq!(refuses("get", reason), Some(Layer::UpgradeCheck), "{reason}");
            assert_eq!(refuses("create", reason), None, "{reason}");
        }
        for other in [
            "No policy matched. Or so",
            "my guard: RBAC: not found",
            ": RBAC: not found",
            "rbac: no",
            "RBAC: not found\nnot by me",
        ] {
            assert_eq!(refuses("get", other), None, "{other}");
        }
    }

    #[test]
    fn a_policy_answers_422_with_what_its_author_or_its_expression_says() {
        let said = "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'guard' with binding 'all' denied request: ";
        for reason in [
            "no root here",
            "failed expression: object.spec.hostPID",
            "Pod \"p\" is invalid: spec: Invalid value: 1",
            "no: expression 'x' resulted in error: y",
            "the expression 'x' resulted in error: y",
            "spec.containers[0].name: Invalid value: \"c\"",
        ] {
            let layer = refuses(&format!("{said}{reason}"));
            assert_eq!(layer, Some(Layer::Policy("guard".to_owned())), "{reason}");
        }
    }

    #[test]
    fn a_policy_that_fails_closed_answers_422_as_well() {
        let bound = "ValidatingAdmissionPolicy 'guard' with binding 'all' denied request: ";
        let unbound = "ValidatingAdmissionPolicy 'guard' denied request: ";
        for reason in [
            "expression 'object.spec.x' resulted in error: no such key: x",
            "[expression 'a' resulted in error: no such key: a, expression 'b' resulted in error: no such key: b]",
            "expression 'message == \"no root here\"' resulted in error: no such overload",
            "expression 'Pod \"p\" is invalid: ' resulted in error: no such key: x",
            "validation failed due to running out of cost budget, no further validation rules will be run",
            "failed messageExpression: validation failed due to running out of cost budget, no further validation rules will be run",
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
            "failed to configure policy: failed to convert object version: Pod \"p\" is invalid: spec",
            "compilation error: compilation failed: ERROR: <input>:1:1: Syntax error",
            "valueExpression 'object.spec' resulted in unsupported return type: map. Return type must be either string or null.",
        ] {
            for said in [bound, unbound] {
                let layer = refuses(&format!("pods \"p\" is forbidden: {said}{reason}"));
                assert_eq!(layer, Some(Layer::PolicyFailure("guard".to_owned())), "{reason}");
            }
        }
    }

    #[test]
    fn an_object_that_is_not_valid_is_refused_by_no_policy() {
        for words in [
            "Pod \"p\" is invalid: spec.containers[0].name: Invalid value: \"c_\": a lowercase RFC 1123 label",
            "Pod \"\" is invalid: metadata.name: Required value: name or generateName is required",
            "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Forbidden: no]",
            "Deployment.apps \"d\" is invalid: spec.selector: Invalid value: {}: field is immutable",
            "Thing.example.com \"t\" is invalid: <nil>: Invalid value: {}: ValidatingAdmissionPolicy 'guard' denied request: no",
            "Pod \"p\" is invalid: spec: Forbidden: expression 'x' resulted in error: y",
            // A refusal need not say what is wrong.
            "Pod \"p\" is invalid",
        ] {
            assert_eq!(refuses(words), Some(Layer::Validation), "{words}");
        }
        for words in [
            "the server rejected our request due to an error in our request",
            "Pod p is invalid",
            "it is invalid",
            "pods \"p\" is forbidden: it is invalid",
            "a refusal of Pod \"p\" is invalid",
            "pods \"p\" is forbidden: ValidatingAdmissionPolicy guard denied request: no",
            "ValidatingAdmissionPolicy 'guard' with binding 'all' denied request: no",
        ] {
            assert_eq!(refuses(words), None, "{words}");
        }
    }
}
