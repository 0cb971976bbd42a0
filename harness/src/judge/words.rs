//! What a refusal says, apart from names. Those are chosen by the sender or by the author of an object: a pod may be
//! called `privileged`.

use crate::judge::attribution::{after_subject, first};
use crate::judge::names::is_said;
use crate::model::{ApiPath, Denial, Layer, PodSecurityCheck, Sent};

/// Whether a refusal gives these words as its reason: of Pod Security the name of one of its checks, with details or
/// without (`host namespaces (hostPID=true)`), or the policy that it enforced (`restricted:latest`); of the kubelet
/// one of the things that it names (`resource=nodes`); of everybody else some of the words, names apart.
pub fn says(denial: &Denial, sent: &Sent, words: &str) -> bool {
    match &denial.layer {
        Layer::PodSecurity => {
            let Some((policy, checks)) = violations(denial) else { return false };
            policy == words || checks.iter().any(|check| check.is(words))
        }
        Layer::Kubelet => kubelet_fields(&denial.message).contains(&words),
        _ => is_said(&reason(denial, sent), words, denial, sent),
    }
}

/// The checks of Pod Security that refused beside the one that these words name.
pub fn besides(denial: &Denial, words: &str) -> Vec<String> {
    let checks = match &denial.layer {
        Layer::PodSecurity => violations(denial).map_or_else(Vec::new, |(_, checks)| checks),
        _ => Vec::new(),
    };
    let others = checks.into_iter().filter(|check| !check.is(words));
    others.map(|check| check.name).collect()
}

/// By which standard Pod Security refused, for what, and that it was not for what these words name; `None` of everybody
/// else. Baseline names otherwise what restricted refuses as well: `hostPath volumes` are `restricted volume types`
/// there.
pub fn by_standard(denial: &Denial, words: &str) -> Option<String> {
    let (policy, checks) = match &denial.layer {
        Layer::PodSecurity => violations(denial)?,
        _ => return None,
    };
    let names: Vec<String> = checks.into_iter().map(|check| check.name).collect();
    let names = names.join(" and ");
    let is_lower =
        !policy.starts_with("restricted:") && PodSecurityCheck::parse(words).is_restricted();
    let lower = if is_lower { ", a check of the restricted standard alone" } else { "" };
    Some(format!(" by {policy}, which is enforced there, for {names}, and not for {words}{lower}"))
}

/// What stands behind the subject, without quoted names.
fn reason(denial: &Denial, sent: &Sent) -> String {
    match &denial.layer {
        Layer::Webhook(_) => sentences(behind(&denial.message, " denied the request: ")),
        Layer::Policy(_) => sentences(behind(&denial.message, " denied request: ")),
        Layer::Validation => {
            without_keys(&without_names(behind(&denial.message, " invalid: "), &[]))
        }
        // What is asked for is no name: `cannot get resource "pods/exec"`, `cannot get path "/version"`.
        Layer::Authorization | Layer::Impersonation => forbidden(&denial.message, sent)
            .map_or_else(String::new, |reason| without_names(&reason, &["resource ", "path "])),
        _ => {
            let reason = forbidden(&denial.message, sent);
            without_names(reason.as_deref().unwrap_or(&denial.message), &[])
        }
    }
}

/// What follows the words with which each refusal of this layer begins, where they are not quoted; empty if nothing
/// follows.
fn behind<'t>(message: &'t str, mark: &str) -> &'t str {
    let mut ends = message.match_indices(mark).map(|(at, mark)| at + mark.len());
    let end = ends.find(|end| without_names(&message[..*end], &[]).ends_with(mark));
    end.map_or("", |end| &message[end..])
}

/// A text without the names that are quoted in it. What is quoted and has a space is no name of Kubernetes' but a
/// sentence: engines give theirs as YAML (Kyverno 1.19: `'validation error: Privileged mode is disallowed. rule x
/// failed at path /spec/'`) or as JSON (Autopilot: `{"[denied by autogke-disallow-hostnamespaces]":["enabling hostPID
/// …"]}`).
fn sentences(text: &str) -> String {
    let mut told = String::new();
    for (part, is_quoted) in quotations(text, &[]) {
        match (is_quoted, part.contains(char::is_whitespace)) {
            (false, _) => told.push_str(part),
            (true, false) => told.push_str(NAME),
            // In a sentence names may be quoted as well.
            (true, true) => {
                let (mark, rest) = part.split_at(1);
                told.push_str(mark);
                let within = rest.strip_suffix(mark).unwrap_or(rest).replace("\\\"", "\"");
                told.push_str(&sentences(&within));
                told.push_str(mark);
            }
        }
    }
    told
}

/// What is said of a subject that is forbidden. The resource is written as the request named it, in any words.
fn forbidden(message: &str, sent: &Sent) -> Option<String> {
    let resource = ApiPath::parse(&sent.uri).map(|path| path.resource).unwrap_or_default();
    let message = first(message);
    let plain = message.strip_prefix(&resource).map(|rest| format!("resource{rest}"));
    let plain = plain.filter(|_| !resource.is_empty());
    after_subject(plain.as_deref().unwrap_or(message), "forbidden").map(str::to_owned)
}

/// The policy that Pod Security enforced, and the checks that refused.
fn violations(denial: &Denial) -> Option<(String, Vec<PodSecurityCheck>)> {
    let text = without_names(&denial.message, &["violates PodSecurity "]);
    let (_, violated) = text.split_once("violates PodSecurity \"")?;
    let (policy, checks) = violated.split_once("\": ")?;
    Some((policy.to_owned(), parted(checks).into_iter().map(PodSecurityCheck::parse).collect()))
}

/// What commas part, outside of parentheses.
fn parted(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let outside = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(outside).map(str::trim).collect()
}

/// `user=…`, `verb=get`, `resource=nodes`, or all that it says. The user's name may hold anything.
fn kubelet_fields(message: &str) -> Vec<&str> {
    let message = message.trim_end();
    let inner = message.strip_prefix("Forbidden (").and_then(|rest| rest.strip_suffix(')'));
    let fields = inner.and_then(|inner| {
        let verb = inner.rfind(", verb=")?;
        Some((&inner[..verb], inner[verb + 2..].split(", ")))
    });
    match fields {
        Some((user, others)) => std::iter::once(user).chain(others).collect(),
        None => vec![message],
    }
}

/// What stands in the place of a name.
const NAME: &str = "\"\"";

/// A text without what is quoted in it, except behind one of `kept`.
fn without_names(text: &str, kept: &[&str]) -> String {
    let parts = quotations(text, kept).into_iter();
    parts.map(|(part, is_quoted)| if is_quoted { NAME } else { part }).collect()
}

/// The parts of a text, and of each whether it is quoted, but not behind one of `kept`. An apostrophe within a word
/// quotes nothing.
fn quotations<'t>(text: &'t str, kept: &[&str]) -> Vec<(&'t str, bool)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(at);
        let keep = kept.iter().any(|mark| before.ends_with(mark));
        let within_word = text[..text.len() - quoted.len()].ends_with(char::is_alphanumeric);
        let length = match quoted.chars().next() {
            Some('"') => Some(go_quoted(quoted)),
            _ if within_word => None,
            _ => loosely_quoted(quoted),
        };
        let (name, after) = quoted.split_at(length.unwrap_or(1));
        parts.extend([(before, false), (name, !keep && length.is_some())]);
        rest = after;
    }
    parts.push((rest, false));
    parts
}

/// How long a quotation is as Go writes it: a quotation mark within has a backslash before it. One without an end
/// was cut, and goes on to the last.
fn go_quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// How long a quotation is that ends before a word does; `None` where it has no end.
fn loosely_quoted(text: &str) -> Option<usize> {
    let mark = text.chars().next()?;
    let ends = |at: usize| !text[at + 1..].starts_with(char::is_alphanumeric);
    text.match_indices(mark).skip(1).map(|(at, _)| at).find(|at| ends(*at)).map(|at| at + 1)
}

/// A text without the keys in its field paths: `metadata.labels[privileged]`.
fn without_keys(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some((before, key)) = rest.split_once('[') {
        told.push_str(before);
        // A list of several errors begins with one as well.
        let end = before.ends_with(char::is_alphanumeric).then(|| key.find(']')).flatten();
        told.push('[');
        rest = end.map_or(key, |end| &key[end..]);
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::model::{Action, Door, Expectation, Persona};

    fn refusal(layer: Layer, message: &str) -> Denial {
        Denial { layer, message: message.to_owned() }
    }

    /// Whether a refusal of a request that names nothing gives these words as its reason.
    fn says(denial: &Denial, words: &str) -> bool {
        let sent = Sent {
            persona: "guest".to_owned(),
            user: None,
            impersonated: None,
            door: Door::Direct,
            method: "POST".to_owned(),
            uri: "/api/v1/pods".to_owned(),
            verb: None,
            audit_id: None,
            body: false,
        };
        super::says(denial, &sent, words)
    }

    #[test]
    fn a_check_of_pod_security_is_named_exactly() {
        let denial = refusal(
            Layer::PodSecurity,
            r#"pods "privileged" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true, hostPID=true), runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), restricted volume types (volume "a), privileged (b" uses restricted volume type "hostPath")"#,
        );
        for words in [
            "host namespaces",
            "host namespaces (hostPID=true)",
            "host namespaces (hostPID=true, hostNetwork=true)",
            "runAsNonRoot != true",
            "restricted volume types",
            "restricted:latest",
        ] {
            assert!(says(&denial, words), "{words}");
        }
        for words in [
            "privileged",
            "host",
            "hostPID=true",
            "hostPath",
            "host namespaces (hostIPC=true)",
            "runAsNonRoot",
            "restricted",
            "restricted:v1.33",
            "",
        ] {
            assert!(!says(&denial, words), "{words}");
        }
        assert_eq!(
            besides(&denial, "host namespaces (hostPID=true)"),
            ["runAsNonRoot != true", "restricted volume types"]
        );
    }

    #[test]
    fn a_container_called_as_what_is_meant_does_not_say_it() {
        let denial = refusal(
            Layer::PodSecurity,
            r#"pods "p" is forbidden: violates PodSecurity "restricted:latest": runAsUser=0 (container "hostpid" must not set runAsUser=0)"#,
        );
        assert!(!says(&denial, "hostpid"));
        assert!(says(&denial, "runAsUser=0"));
        assert!(besides(&denial, "runAsUser=0").is_empty());
    }

    #[test]
    fn the_standard_that_is_enforced_is_told_where_it_refuses_something_else() {
        let denial = refusal(
            Layer::PodSecurity,
            r#"pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true), hostPath volumes (volume "root")"#,
        );
        assert!(!says(&denial, "restricted volume types"));
        assert_eq!(
            by_standard(&denial, "restricted volume types").as_deref(),
            Some(
                " by baseline:latest, which is enforced there, for host namespaces and hostPath volumes, and not for \
                 restricted volume types, a check of the restricted standard alone"
            )
        );
        let told = by_standard(&denial, "hostPort").expect("it is Pod Security");
        assert!(told.ends_with(" hostPath volumes, and not for hostPort"), "{told}");
        let restricted = denial.message.replace("baseline", "restricted");
        let told = by_standard(&refusal(Layer::PodSecurity, &restricted), "runAsUser=0");
        assert!(told.is_some_and(|told| told.ends_with(", and not for runAsUser=0")));
        assert_eq!(by_standard(&refusal(Layer::Kubelet, "Unauthorized"), "hostPort"), None);
    }

    #[test]
    fn names_say_nothing_whoever_quotes_them() {
        for (layer, message) in [
            (
                Layer::Webhook("w".to_owned()),
                r#"admission webhook "interactive.x" denied the request: pod "interactive" of 'interactive', `interactive`: no"#,
            ),
            (
                Layer::Webhook("w".to_owned()),
                r#"admission webhook "interactive" denied the request"#,
            ),
            (
                Layer::Policy("interactive".to_owned()),
                r#"pods "interactive" is forbidden: ValidatingAdmissionPolicy 'interactive' with binding 'interactive' denied request: container 'interactive' is not allowed"#,
            ),
            (
                Layer::Authorization,
                r#"pods "interactive" is forbidden: User "interactive \" interactive" cannot get resource "pods" in API group "" in the namespace "interactive""#,
            ),
            (
                Layer::Validation,
                r#"Pod "interactive" is invalid: [metadata.labels[interactive]: Invalid value: "interactive": no, spec.x[0].interactiveness[interactive]: Required value]"#,
            ),
            (
                Layer::AdmissionPlugin("ServiceAccount".to_owned()),
                r#"pods "interactive" is forbidden: error looking up service account a/b: serviceaccount "interactive" not found"#,
            ),
        ] {
            let said = says(&refusal(layer.clone(), message), "interactive");
            // The field itself is no name.
            assert_eq!(said, layer == Layer::Validation, "{message}");
        }
    }

    #[test]
    fn what_is_asked_for_is_no_name() {
        let denial = refusal(
            Layer::Authorization,
            r#"pods is forbidden: User "cannot list resource \"secrets\"" cannot list resource "pods" in API group "" in the namespace "resource \"secrets\"""#,
        );
        assert!(says(&denial, r#"cannot list resource "pods""#));
        assert!(!says(&denial, r#"resource "secrets""#));
        let path =
            refusal(Layer::Authorization, r#"forbidden: User "u" cannot get path "/version""#);
        assert!(says(&path, r#"cannot get path "/version""#));
    }

    #[test]
    fn words_are_looked_for_where_nothing_is_quoted() {
        let denial = refusal(
            Layer::Webhook("w".to_owned()),
            r#"admission webhook "w" denied the request: the pod's labels aren't known, and that's why"#,
        );
        assert!(says(&denial, "labels aren't known, and that's"));
    }

    /// As Kyverno 1.19 writes them, YAML that is folded, and as Autopilot does, JSON.
    #[test]
    fn a_sentence_is_no_name_where_an_engine_quotes_it() {
        let kyverno = "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/a/b was blocked due to the following policies \n\ndisallow-privileged:\n  privileged: 'validation error: Privileged mode is disallowed. The fields spec.containers[*].securityContext.privileged\n    must be unset or set to false. Container ''interactive'' may not. rule privileged failed at path /spec/containers/0/'\n";
        let warden = r#"admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the request because it violates one or more constraints.\nViolations details: {"[denied by autogke-disallow-hostnamespaces]":["enabling hostPID is not allowed in Autopilot. Requesting user: <x>","\"interactive\" is a name"]}"#;
        for (message, words, others) in [
            (
                kyverno,
                ["Privileged mode is disallowed", "securityContext.privileged must be unset"],
                ["Privileged mode is allowed", "interactive"],
            ),
            (
                warden,
                ["denied by autogke-disallow-hostnamespaces", "enabling hostPID is not allowed"],
                ["enabling hostIPC", "interactive"],
            ),
        ] {
            let denial = refusal(Layer::Webhook("w".to_owned()), message);
            for said in words {
                assert!(says(&denial, said), "{said}");
                assert!(says(&denial, &said.replace(' ', "\n  ")), "{said}");
            }
            for unsaid in others {
                assert!(!says(&denial, unsaid), "{unsaid}");
            }
        }
        // What is quoted before the reason may say what it likes.
        let forged = r#"pods "x denied request: interactive" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#;
        assert!(!says(&refusal(Layer::Policy("p".to_owned()), forged), "interactive"));
    }

    /// Somebody of a cluster's plays a persona under a name of their own.
    #[test]
    fn what_our_scenarios_expect_of_the_kubelet_it_says_of_any_user() {
        let denial = refusal(
            Layer::Kubelet,
            "Forbidden (user=jane@example.com, verb=get, resource=nodes, subresource(s)=[configz proxy])",
        );
        let catalog = Catalog::load(None).expect("our own catalog");
        let turns = catalog.scenarios.iter().flat_map(|entry| &entry.turns);
        let known = turns.filter(|it| {
            matches!(it.action, Action::Kubelet(_)) && !matches!(it.persona.who, Persona::Anonymous)
        });
        let expected = known.filter_map(|turn| match &turn.expected {
            Expectation::Blocked(blocked, _) => blocked.saying.as_deref(),
            _ => None,
        });
        let expected: Vec<&str> = expected.collect();
        assert!(!expected.is_empty());
        for words in expected {
            assert!(says(&denial, words), "{words}");
        }
    }

    #[test]
    fn of_the_kubelet_one_field_is_meant() {
        let denial = refusal(
            Layer::Kubelet,
            "Forbidden (user=x, verb=get, resource=nodes, verb=create, resource=pods, subresource(s)=[proxy])",
        );
        assert!(says(&denial, "resource=pods"));
        assert!(!says(&denial, "resource=nodes"));
        assert!(!says(&denial, "resource=pod"));
        assert!(says(&denial, "user=x, verb=get, resource=nodes"));
        assert!(says(&refusal(Layer::Kubelet, "Unauthorized"), "Unauthorized"));
        assert!(!says(&refusal(Layer::Kubelet, "Forbidden"), "Unauthorized"));
    }
}
