//! What exec-guard refuses, as pure functions: [`screen`] reads the request, [`weigh`] the labels
//! that were looked up, [`respond`] makes the answer.

use std::collections::BTreeMap;
use std::fmt;

use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use kube::core::{DynamicObject, Status};
use serde::Deserialize;

/// A pod's labels.
pub type Labels = BTreeMap<String, String>;

/// The labels that together make a pod sensitive.
const SENSITIVE: [(&str, &str); 2] = [("env", "production"), ("sensitive", "true")];

/// How long a pod's name may be.
const LONGEST_NAME: usize = 253;

/// A pod, by its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name, which need not exist.
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why the labels of a pod are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUpError {
    /// The API server knows no such pod.
    NotFound,
    /// The API server could not be asked, did not answer in time, or refused; in its own words.
    Failed(String),
}

/// A refusal, in words for the one who is refused. Only [`Refusal::Interactive`] says "interactive",
/// and only [`Refusal::Sensitive`] says "sensitive", whatever the pod is called: scenarios tell the
/// rules apart by these words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Standard input or a terminal was asked for.
    #[error(
        "interactive {0} is refused here: what is typed into a session never reaches the audit log. \
         Run a single command without stdin and tty instead, as in kubectl exec POD -- COMMAND"
    )]
    Interactive(&'static str),
    /// The pod's labels refuse every exec and attach.
    #[error(
        "sensitive pods refuse every exec and attach, and this one is labelled env=production and \
         sensitive=true. Read its logs instead, or debug a copy of it that holds no production data"
    )]
    Sensitive,
    /// The pod does not exist.
    #[error(
        "this pod does not exist, so its labels cannot be looked up: check its name and namespace"
    )]
    NotFound,
    /// The labels could not be looked up.
    #[error(
        "the pod's labels could not be looked up, and without them no exec or attach is let in: try \
         again, and see the log of exec-guard when it stays so"
    )]
    LookUpFailed,
    /// The request is not one that exec-guard can judge.
    #[error(
        "exec-guard refuses what it cannot judge: expected {expected}, got {got}. Correct the rules \
         of its ValidatingWebhookConfiguration"
    )]
    NotUnderstood {
        /// What it can judge.
        expected: &'static str,
        /// What it was asked instead.
        got: String,
    },
}

impl Refusal {
    /// The refusal's name in the audit log.
    fn decision(&self) -> &'static str {
        match self {
            Refusal::Interactive(_) => "denied-interactive",
            Refusal::Sensitive => "denied-sensitive",
            Refusal::NotFound => "denied-not-found",
            Refusal::LookUpFailed => "denied-look-up-failed",
            Refusal::NotUnderstood { .. } => "denied-not-understood",
        }
    }
}

/// `PodExecOptions` and `PodAttachOptions`, as far as the rule goes. A flag of another type than a
/// boolean is an error, never a `false`.
#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    stdin: bool,
    #[serde(default)]
    tty: bool,
}

/// Judges what the request alone tells, and says whose labels have to be looked up.
///
/// This comes before the look-up, so that a marker request for a pod that does not exist is refused
/// as interactive: admission runs before the API server looks for the pod (measured).
///
/// # Errors
/// The refusal: interactive, or no CONNECT of `pods/exec` or `pods/attach` with readable options.
pub fn screen(request: &AdmissionRequest<DynamicObject>) -> Result<PodName, Refusal> {
    let stream = stream(request)?;
    let options = options(request)?;
    if options.stdin || options.tty {
        return Err(Refusal::Interactive(stream));
    }
    pod(request)
}

/// Judges the pod by its labels.
///
/// # Errors
/// The refusal: the pod is sensitive, or its labels are unknown for whatever reason.
pub fn weigh(labels: Result<Labels, LookUpError>) -> Result<(), Refusal> {
    let labels = labels.map_err(|error| match error {
        LookUpError::NotFound => Refusal::NotFound,
        LookUpError::Failed(_) => Refusal::LookUpFailed,
    })?;
    let carries = |(key, value): &(&str, &str)| labels.get(*key).is_some_and(|v| v == value);
    if SENSITIVE.iter().all(carries) { Err(Refusal::Sensitive) } else { Ok(()) }
}

/// The answer to the API server. Allowed or not, it carries the run's id and the decision as audit
/// annotations, whose keys the API server prefixes with the webhook's name.
pub fn respond(
    run: &str,
    request: &AdmissionRequest<DynamicObject>,
    judgement: Result<(), Refusal>,
) -> AdmissionResponse {
    let mut response = AdmissionResponse::from(request);
    let decision = judgement.as_ref().map_or_else(Refusal::decision, |()| "allowed");
    response.audit_annotations =
        [("run", run), ("decision", decision)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    if let Err(refusal) = judgement {
        response.allowed = false;
        // Without a code the API server answers 400 (measured).
        response.result = Status::failure(&refusal.to_string(), "Forbidden").with_code(403);
    }
    response
}

fn stream(request: &AdmissionRequest<DynamicObject>) -> Result<&'static str, Refusal> {
    let resource = &request.resource;
    let subresource = request.sub_resource.as_deref().unwrap_or_default();
    let on_pods = resource.group.is_empty() && resource.resource == "pods";
    match (&request.operation, on_pods, subresource) {
        (Operation::Connect, true, "exec") => Ok("exec"),
        (Operation::Connect, true, "attach") => Ok("attach"),
        (operation, ..) => Err(Refusal::NotUnderstood {
            expected: "CONNECT on pods/exec or pods/attach",
            got: format!("{operation:?} on {}/{subresource}", resource.resource),
        }),
    }
}

fn options(request: &AdmissionRequest<DynamicObject>) -> Result<StreamOptions, Refusal> {
    let not_understood = |got| Refusal::NotUnderstood {
        expected: "PodExecOptions or PodAttachOptions, with stdin and tty true or false",
        got,
    };
    let object = request.object.as_ref().ok_or_else(|| not_understood("nothing".to_owned()))?;
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    if !matches!(kind, "PodExecOptions" | "PodAttachOptions") {
        return Err(not_understood(format!("an object of kind \"{kind}\"")));
    }
    StreamOptions::deserialize(&object.data)
        .map_err(|error| not_understood(format!("{kind} with an {error}")))
}

/// The pod that the request names. A name that no pod can have is not looked up: it would be another path.
fn pod(request: &AdmissionRequest<DynamicObject>) -> Result<PodName, Refusal> {
    let namespace = request.namespace.clone().unwrap_or_default();
    let name = request.name.clone();
    if namespace.is_empty() || name.is_empty() {
        return Err(Refusal::NotUnderstood {
            expected: "the pod's namespace and name",
            got: "none".to_owned(),
        });
    }
    if !is_label(&namespace) || name.len() > LONGEST_NAME || !name.split('.').all(is_label) {
        return Err(Refusal::NotFound);
    }
    Ok(PodName { namespace, name })
}

/// Whether a text is a label of a DNS name in lower case, as RFC 1123 has it and Kubernetes demands of names.
fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
pub(super) mod tests {
    use kube::core::admission::AdmissionReview;
    use serde_json::{Value, json};

    use super::*;

    /// A review as an API server of 1.36 sends it for `kubectl exec app -- id`.
    pub(crate) fn exec(options: Value) -> Value {
        let mut object = json!({
            "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true,
            "container": "app", "command": ["id"],
        });
        let fields = object.as_object_mut().expect("an object");
        fields.extend(options.as_object().expect("an object").clone());
        json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": {"group": "", "version": "v1", "kind": "PodExecOptions"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "exec",
                "requestKind": {"group": "", "version": "v1", "kind": "PodExecOptions"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "requestSubResource": "exec",
                "name": "app", "namespace": "shop", "operation": "CONNECT",
                "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
                "object": object, "oldObject": null, "dryRun": false, "options": null,
            },
        })
    }

    fn attach(options: Value) -> Value {
        let mut review = exec(options);
        review["request"]["subResource"] = json!("attach");
        review["request"]["object"]["kind"] = json!("PodAttachOptions");
        review
    }

    fn request(review: Value) -> AdmissionRequest<DynamicObject> {
        let review: AdmissionReview<DynamicObject> =
            serde_json::from_value(review).expect("a review");
        review.try_into().expect("a request")
    }

    fn screened(review: Value) -> Result<PodName, Refusal> {
        screen(&request(review))
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn options_without_metadata_are_read() {
        let pod = screened(exec(json!({}))).expect("screened");
        assert_eq!(pod.to_string(), "shop/app");
        assert_eq!(screened(attach(json!({}))), Ok(pod));
    }

    #[test]
    fn stdin_or_tty_is_interactive_by_either_stream() {
        for options in
            [json!({"stdin": true}), json!({"tty": true}), json!({"stdin": true, "tty": true})]
        {
            assert_eq!(screened(exec(options.clone())), Err(Refusal::Interactive("exec")));
            assert_eq!(screened(attach(options)), Err(Refusal::Interactive("attach")));
        }
        let outspoken = screened(exec(json!({"stdin": false, "tty": false})));
        assert!(outspoken.is_ok(), "false is not interactive: {outspoken:?}");
    }

    #[test]
    fn options_that_cannot_be_read_are_refused() {
        for options in [
            json!({"stdin": "false"}),
            json!({"tty": null}),
            json!({"stdin": {}}),
            json!({"kind": "PodPortForwardOptions"}),
            json!({"kind": ""}),
        ] {
            let refusal = screened(exec(options.clone())).expect_err("not understood");
            assert_eq!(refusal.decision(), "denied-not-understood", "{options}");
        }
    }

    #[test]
    fn a_request_that_is_not_for_the_guard_is_refused() {
        for (field, value) in [
            ("operation", json!("CREATE")),
            ("subResource", json!("portforward")),
            ("subResource", Value::Null),
            ("resource", json!({"group": "", "version": "v1", "resource": "services"})),
            ("resource", json!({"group": "example.org", "version": "v1", "resource": "pods"})),
            ("object", Value::Null),
            ("namespace", Value::Null),
            ("name", json!("")),
        ] {
            let mut review = exec(json!({}));
            review["request"][field] = value.clone();
            let refusal = screened(review).expect_err("not understood");
            assert_eq!(refusal.decision(), "denied-not-understood", "{field} {value}");
        }
    }

    #[test]
    fn a_name_that_no_pod_can_have_is_refused_before_it_is_looked_up() {
        let long = "a".repeat(254);
        for (field, value) in [
            ("name", "../secrets/credentials"),
            ("name", "app/exec"),
            ("name", "app?x=y"),
            ("name", "App"),
            ("name", "app."),
            ("name", "-app"),
            ("name", long.as_str()),
            ("namespace", "../kube-system"),
            ("namespace", "shop.example"),
        ] {
            let mut review = exec(json!({}));
            review["request"][field] = json!(value);
            assert_eq!(screened(review), Err(Refusal::NotFound), "{field} {value}");
        }
        let mut dotted = exec(json!({}));
        dotted["request"]["name"] = json!("app-1.example");
        assert_eq!(screened(dotted).map(|pod| pod.name), Ok("app-1.example".to_owned()));
    }

    #[test]
    fn a_pod_is_sensitive_by_both_labels_together() {
        let env = ("env", "production");
        let sensitive = ("sensitive", "true");
        assert_eq!(weigh(Ok(labels(&[env, sensitive]))), Err(Refusal::Sensitive));
        for harmless in [
            vec![],
            vec![env],
            vec![sensitive],
            vec![env, ("sensitive", "false")],
            vec![("env", "test"), sensitive],
        ] {
            assert_eq!(weigh(Ok(labels(&harmless))), Ok(()), "{harmless:?}");
        }
    }

    #[test]
    fn unknown_labels_are_refused() {
        assert_eq!(weigh(Err(LookUpError::NotFound)), Err(Refusal::NotFound));
        let failed = LookUpError::Failed("no answer within 3 s".to_owned());
        assert_eq!(weigh(Err(failed)), Err(Refusal::LookUpFailed));
    }

    #[test]
    fn each_rule_alone_says_its_word() {
        let denials = [
            Refusal::Interactive("attach"),
            Refusal::Sensitive,
            Refusal::NotFound,
            Refusal::LookUpFailed,
            Refusal::NotUnderstood { expected: "this", got: "that".to_owned() },
        ];
        for refusal in denials {
            let message = refusal.to_string();
            let interactive = matches!(refusal, Refusal::Interactive(_));
            assert_eq!(message.contains("interactive"), interactive, "{message}");
            assert_eq!(message.contains("sensitive"), refusal == Refusal::Sensitive, "{message}");
        }
    }

    #[test]
    fn a_refusal_is_403_forbidden_with_the_run() {
        let request = request(exec(json!({"tty": true})));
        let judgement = screen(&request).map(|_| ());
        let answer = serde_json::to_value(respond("k7f3", &request, judgement).into_review())
            .expect("an answer");
        let expected = json!({
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "response": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "allowed": false,
                "status": {
                    "status": "Failure",
                    "code": 403,
                    "reason": "Forbidden",
                    "message": Refusal::Interactive("exec").to_string(),
                },
                "auditAnnotations": {"run": "k7f3", "decision": "denied-interactive"},
            },
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn consent_carries_the_run_too() {
        let request = request(exec(json!({})));
        let response = respond("k7f3", &request, Ok(()));
        assert!(response.allowed);
        assert_eq!(response.uid, request.uid);
        assert_eq!(response.audit_annotations["run"], "k7f3");
        assert_eq!(response.audit_annotations["decision"], "allowed");
    }
}
