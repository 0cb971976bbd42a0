//! Admission policies (CEL): a policy's own words, or those of a policy that could not be evaluated and fails closed.

use crate::judge::attribution::words::{after_subject, begins, first, quoted};
use crate::model::Layer;

/// How the texts begin with which an expression, a binding or its parameter fails, read in the API server's source
/// for Kubernetes 1.34 to 1.37, below `k8s.io/apiserver/pkg/admission/plugin`.
const FAILURES: [&str; 17] = [
    // policy/validating/dispatcher.go, policy/generic/policy_dispatcher.go
    "failed to configure policy: ",
    "failed to configure binding: ",
    "unrecognized failure policy: '",
    // policy/validating/validator.go
    "failed messageExpression: ",
    "Invalid type sent to validator, expected ",
    // cel/activation.go (1.34: cel/condition.go)
    "compilation error: ",
    "unexpected internal error compiling expression",
    "validation failed due to running out of cost budget, ",
    "runtime cost could not be calculated for expression: ",
    "failed to prepare oldObject variable for evaluation: ",
    "failed to prepare object variable for evaluation: ",
    "failed to prepare params variable for evaluation: ",
    "failed to prepare request variable for evaluation: ",
    "failed to prepare namespace variable for evaluation: ",
    // cel/composition.go, cel/compile.go: variables, where they are compiled once for all expressions
    "composited variable \"*\" fails to ",
    "environment misconfigured: ",
    // webhook/matchconditions/matcher.go
    "internal error converting ExpressionAccessor to MatchCondition",
];

/// Texts of failure that hold an expression first, with what follows it (cel/activation.go,
/// policy/validating/validator.go). An expression may hold anything.
const FAILED_EXPRESSIONS: [(&str, &str); 2] = [
    ("expression '", "' resulted in error: "),
    ("valueExpression '", "' resulted in unsupported return type: "),
];

/// Whether an expression failed, in place of an answer. The author of a policy may write the same words, but a
/// failure begins with them.
pub fn is_failure(reason: &str) -> bool {
    let reason = first(reason);
    FAILURES.iter().any(|start| begins(reason, start))
        || FAILED_EXPRESSIONS
            .iter()
            .any(|(start, later)| reason.starts_with(start) && reason.contains(later))
}

/// Which policy refused. `known` says whether the audit event vouches for the code.
pub fn policy_layer(code: u16, known: bool, words: &str) -> Option<Layer> {
    if let Some(name) = mutating(words) {
        return (code == 403).then(|| Layer::PolicyFailure(name.to_owned()));
    }
    let (name, reason) = validating(after_subject(words, "forbidden")?)?;
    let failed = is_failure(reason);
    let layer = match code {
        // Only a validation that came out false has the reason that its author chose.
        401 | 403 | 413 if known || !failed => Layer::Policy,
        // So answers a policy without a reason, and every policy that fails closed.
        422 if failed => Layer::PolicyFailure,
        422 => Layer::Policy,
        _ => return None,
    };
    Some(layer(name.to_owned()))
}

/// The name and the reason of a validating policy.
fn validating(why: &str) -> Option<(&str, &str)> {
    let (name, rest) = why.strip_prefix("ValidatingAdmissionPolicy '")?.split_once('\'')?;
    Some((name, denied(rest)?))
}

/// The name of a mutating policy. It has no way to refuse but to fail, and its words come without a subject.
fn mutating(words: &str) -> Option<&str> {
    let words = words.strip_prefix("policy ")?;
    let (name, rest) = quoted(words).or_else(|| words.strip_prefix('\'')?.split_once('\''))?;
    denied(rest).map(|_| name)
}

/// The reason behind the binding, which a policy that is itself misconfigured does not name.
fn denied(rest: &str) -> Option<&str> {
    let rest = match rest.strip_prefix(" with binding '") {
        Some(bound) => bound.split_once('\'')?.1,
        None => rest,
    };
    rest.strip_prefix(" denied request: ")
}
