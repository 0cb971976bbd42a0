//! What is recorded, as `cases.yaml` says it.

use std::collections::BTreeMap;

use brinell::model::{Door, Layer};
use brinell::pod::guard::certificates;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;
use crate::merge;
use crate::other_end::Reply;

/// All that is recorded from a cluster.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cases {
    /// Who acts, with the groups.
    pub users: BTreeMap<String, Vec<String>>,
    /// What the admin sends before anything else.
    pub setup: Vec<Step>,
    /// The cases, by name.
    pub cases: BTreeMap<String, Value>,
}

/// A request of the admin's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Method and path.
    pub ask: String,
    /// The body; a PATCH is a merge patch.
    #[serde(default)]
    pub body: Option<Value>,
    /// Laid over [`pod`] as the body.
    #[serde(default)]
    pub pod: Option<Value>,
}

/// One exchange: what is set up for it, what is sent, and who decides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// What is set up, and why it is worth keeping.
    pub about: String,
    /// Who sends; `nobody` has no credentials, `stranger` has a token that nobody issued.
    #[serde(default = "developer")]
    pub r#as: String,
    /// Method and path.
    pub ask: String,
    /// The door that it stands for.
    #[serde(default = "direct")]
    pub door: Door,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: Option<Value>,
    /// Laid over [`pod`] as the body.
    #[serde(default)]
    pub pod: Option<Value>,
    /// The body as it is.
    #[serde(default)]
    pub text: Option<String>,
    /// How often `text` is sent in the body, after each other.
    #[serde(default)]
    pub times: Option<usize>,
    /// Labels of the case's own namespace.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the case's own namespace.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// What the admin sends first.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// A webhook that is asked in the case's namespace.
    #[serde(default)]
    pub hook: Option<Hook>,
    /// Policies that are asked in the case's namespace.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// What the other end answers, by the beginning of the path.
    #[serde(default)]
    pub replies: BTreeMap<String, Reply>,
    /// Whether it is sent while the same request is under way.
    #[serde(default)]
    pub meanwhile: bool,
    /// Whom it is sent to.
    #[serde(default)]
    pub to: To,
    /// The code that shows that everything set up acts; `None` if nothing comes back.
    #[serde(default)]
    pub code: Option<u16>,
    /// The beginning of an annotation that shows it too, where the code does not.
    #[serde(default)]
    pub noted: Option<String>,
    /// Who decides.
    pub decides: Decides,
}

/// Whom a case is sent to.
#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// The API server.
    #[default]
    ApiServer,
    /// A second API server on the same etcd, from the moment at which its port opens.
    StartingApiServer,
    /// What stands between us and an API server, and answers itself.
    Proxy,
    /// A port on which nobody listens.
    Nobody,
}

/// Who decides.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decides {
    /// Nobody refuses.
    LetIn,
    /// It cannot be told.
    Unclear,
    /// This layer.
    Layer(Layer),
}

/// A webhook.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hook {
    /// Whether it is a mutating one.
    #[serde(default)]
    pub mutating: bool,
    /// What it is asked about: operation and resource.
    #[serde(default = "pods")]
    pub on: String,
    /// What it answers.
    #[serde(default)]
    pub reply: Option<Reply>,
    /// Laid over the webhook.
    #[serde(default)]
    pub over: Option<Value>,
}

/// A ValidatingAdmissionPolicy with its binding.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// The policy's name.
    pub name: String,
    /// The kind of policy.
    #[serde(default = "validating")]
    pub kind: String,
    /// What it is asked about: operation and resource.
    #[serde(default = "pods")]
    pub on: String,
    /// Laid over the policy's spec.
    #[serde(default)]
    pub spec: Option<Value>,
    /// Laid over the binding's spec.
    #[serde(default)]
    pub binding: Option<Value>,
}

fn developer() -> String {
    "developer".to_owned()
}

fn direct() -> Door {
    Door::Direct
}

fn pods() -> String {
    "CREATE pods".to_owned()
}

fn validating() -> String {
    "Validating".to_owned()
}

impl Cases {
    /// Reads them all. `${case}` stands for the case's name, the other values for what is too long to write down.
    pub fn read(text: &str) -> Result<(Self, BTreeMap<String, Case>), Failure> {
        let text = text
            .replace("${certificate}", &brinell::text::base64(certificates(&["x"])?.ca.as_bytes()))
            .replace("${csr}", &brinell::text::base64(masters_request()?.as_bytes()))
            .replace("${costly}", &costly())
            .replace("${long}", &"This is not how we do it here. ".repeat(200));
        let mut all: Cases = serde_saphyr::from_str(&text)?;
        let cases = std::mem::take(&mut all.cases)
            .into_iter()
            .map(|(name, value)| {
                let case = serde_json::from_str(&value.to_string().replace("${case}", &name));
                Ok((name.clone(), case.map_err(|error| format!("{name}: {error}"))?))
            })
            .collect::<Result<_, Failure>>()?;
        Ok((all, cases))
    }
}

/// An expression that is true and costs some 400,000 of the 10,000,000 that a policy may cost.
fn costly() -> String {
    let ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    ["a", "b", "c", "d", "e"]
        .iter()
        .rfold("true".to_owned(), |inner, name| format!("{ten}.all({name}, {inner})"))
}

/// A certificate request for a member of the cluster's superusers.
fn masters_request() -> Result<String, Failure> {
    let mut request = CertificateParams::default();
    request.distinguished_name.push(DnType::OrganizationName, "system:masters");
    Ok(request.serialize_request(&KeyPair::generate()?)?.pem()?)
}

/// Method and path.
pub fn split(ask: &str) -> (&str, &str) {
    ask.split_once(' ').unwrap_or(("GET", ask))
}

/// A pod that the restricted Pod Security Standard admits, with `over` laid over it.
pub fn pod(over: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "pod-${attempt}"},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main",
                "image": "app",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    });
    merge::lay_over(&mut pod, over);
    pod
}

fn rule(on: &str) -> Value {
    let (operation, resource) = split(on);
    json!({
        "operations": [operation],
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": [resource],
    })
}

fn only_in(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}

impl Hook {
    /// The path and body of its configuration. It is called at `server`, which shows a certificate of `ca`.
    pub fn object(&self, case: &str, server: &str, ca: &str) -> (String, Value) {
        let kind = if self.mutating { "mutating" } else { "validating" };
        let mut hook = json!({
            "name": format!("{case}.brinell.dev"),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 2,
            "rules": [rule(&self.on)],
            "namespaceSelector": only_in(case),
            "clientConfig": {
                "url": format!("{server}/hook/{case}"),
                "caBundle": brinell::text::base64(ca.as_bytes()),
            },
        });
        if let Some(over) = &self.over {
            merge::lay_over(&mut hook, over);
        }
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations");
        (path, json!({"metadata": {"name": case}, "webhooks": [hook]}))
    }
}

impl Policy {
    /// The paths and bodies of the policy and of its binding.
    pub fn objects(&self, case: &str) -> [(String, Value); 2] {
        let kind = self.kind.to_lowercase();
        let path = |what| format!("/apis/admissionregistration.k8s.io/v1/{kind}admission{what}");
        let mut spec = json!({"matchConstraints": {
            "resourceRules": [rule(&self.on)],
            "namespaceSelector": only_in(case),
        }});
        let mut binding = json!({
            "policyName": self.name,
            "matchResources": {"namespaceSelector": only_in(case)},
        });
        if kind == "validating" {
            spec["validations"] = json!([{"expression": "false"}]);
            binding["validationActions"] = json!(["Deny"]);
        }
        for (base, over) in [(&mut spec, &self.spec), (&mut binding, &self.binding)] {
            if let Some(over) = over {
                merge::lay_over(base, over);
            }
        }
        let binding_name = format!("{}-binding", self.name);
        [
            (path("policies"), json!({"metadata": {"name": self.name}, "spec": spec})),
            (path("policybindings"), json!({"metadata": {"name": binding_name}, "spec": binding})),
        ]
    }
}
