//! What `control.yaml` and a profile say, as types. A control's id is its folder's name, a profile's the
//! file's name; neither is written in the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Action, Layer, Minor, Reason};

/// The control that makes the API server record.
pub const AUDIT_POLICY: &str = "audit-policy";

/// One hardening measure: `manifests/controls/<id>/control.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Control {
    /// What it ensures, in a sentence.
    pub title: String,
    /// The layers that refuse when it blocks: the signature of a block by this control. A control that only
    /// records has none.
    pub decides: Vec<Layer>,
    /// The annotations that each of its refusals leaves on the audit event. A refusal by its layer without them is
    /// another's: a webhook's name and words can be borrowed.
    #[serde(default)]
    pub leaves: BTreeMap<String, String>,
    /// Where to look on a cluster when it did not act.
    pub look_at: String,
    /// Its objects. A Namespace is applied before what is in it, a kind before what is of it, everything else in the order
    /// in which it stands.
    #[serde(default)]
    pub objects: Objects,
    /// What serves its webhooks on a cluster without nodes, where no pod runs.
    #[serde(default)]
    pub servers: Vec<WebhookServer>,
    /// Images that are given to the nodes, from the engine that makes them. Others are pulled by the nodes.
    #[serde(default)]
    pub images: Vec<String>,
    /// Its settings of the API server.
    #[serde(default)]
    pub api_server: ApiServer,
    /// Its settings of the kubelet, laid over the KubeletConfiguration.
    #[serde(default)]
    pub kubelet: Option<Value>,
    /// What is asked until this control refuses it: objects and settings become active late.
    #[serde(default)]
    pub ready: Vec<Ready>,
    /// The ways to get it wrong, by name. Every control has `absent`.
    pub weaken: BTreeMap<String, Weakening>,
}

/// Where the objects of a control are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a list of files, or `command: [PROGRAM, ARGUMENT, …]`, which prints them"
)]
pub enum Objects {
    /// Files and folders beside `control.yaml`. `personas/roles` and the like are objects that the personas' files make.
    Files(Vec<String>),
    /// What a command of the reader's prints.
    Printed(Printed),
}

/// A command that prints objects, as `kustomize build overlays/prod` does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Printed {
    /// The program and its arguments. It is run without a shell, in the control's folder, whenever the catalog is read.
    pub command: Vec<String>,
}

/// What stands for all objects that a command prints.
pub const PRINTED: &str = "command";

impl Default for Objects {
    fn default() -> Objects {
        Objects::Files(Vec::new())
    }
}

impl Objects {
    /// What they are called where a weakening leaves some out: each file or folder, or [`PRINTED`].
    pub fn names(&self) -> Vec<&str> {
        match self {
            Objects::Files(files) => files.iter().map(String::as_str).collect(),
            Objects::Printed(_) => vec![PRINTED],
        }
    }

    /// The command that prints them; `None` where they are files.
    pub fn command(&self) -> Option<&[String]> {
        match self {
            Objects::Files(_) => None,
            Objects::Printed(Printed { command }) => Some(command),
        }
    }
}

/// What serves a webhook in the place of its Deployment: as long as that has replicas.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebhookServer {
    /// The Deployment, as `namespace/name`.
    pub deployment: String,
    /// The Services by which webhooks' configurations name it, each as `namespace/name`.
    pub services: Vec<String>,
    /// What serves.
    pub by: ServedBy,
}

impl WebhookServer {
    /// In what places it serves: `Deployment labels/labels`, and each Service.
    pub fn places(&self) -> impl Iterator<Item = String> {
        let services = self.services.iter().map(|service| format!("Service {service}"));
        std::iter::once(format!("Deployment {}", self.deployment)).chain(services)
    }
}

/// What serves a webhook without a pod. It shows a certificate for 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServedBy {
    /// A program with its arguments, run without a shell in the control's folder. It must listen on 127.0.0.1 at
    /// `${port}`, and finds `tls.crt` and `tls.key`, which are `${cert}` and `${key}`, in the folder `${certificates}`.
    /// KUBECONFIG leads it to the cluster as the Deployment's ServiceAccount.
    Command(Vec<String>),
    /// Where it listens already: `https://127.0.0.1:8443`.
    Url(String),
}

/// What stands in a server's command for the port at which it must listen.
pub const SERVER_PORT: &str = "${port}";

/// What stands in a server's command for the folder of its certificate.
pub const SERVER_CERTIFICATES: &str = "${certificates}";

impl ServedBy {
    /// The port of the URL; `None` of a command, and of a URL that is not one of this machine.
    pub fn port(&self) -> Option<u16> {
        let ServedBy::Url(url) = self else { return None };
        let url: http::Uri = url.parse().ok()?;
        let is_here = url.scheme_str() == Some("https")
            && matches!(url.host(), Some("127.0.0.1" | "localhost"))
            && url.path() == "/"
            && url.query().is_none();
        url.port_u16().filter(|_| is_here)
    }
}

/// Flags of kube-apiserver and the files that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApiServer {
    /// Flags without their dashes. A file is named by its place on the node: `/etc/brinell/<file>`. `null` takes a flag
    /// away that the cluster has by itself.
    #[serde(default)]
    pub flags: BTreeMap<String, Option<String>>,
    /// The files beside `control.yaml` that are put into `/etc/brinell` on the node, readable by root alone.
    #[serde(default)]
    pub files: Vec<String>,
}

/// A harmless request that this control must refuse. Asked again until it does; never is a set-up error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ready {
    /// The target whose pods the action names, where it names any.
    #[serde(default)]
    pub target: Option<String>,
    /// Who asks: a file of `manifests/personas`, without `.yaml`.
    pub r#as: String,
    /// What is asked.
    pub r#do: Action,
    /// The reason that the refusal must give, as in a scenario; of Pod Security also the policy: `restricted:latest`.
    #[serde(default)]
    pub saying: Option<String>,
}

/// One way to get a control wrong. What it does not mention stays as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Weakening {
    /// How it happens in practice, and what is lost.
    pub why: String,
    /// What is left out of its objects: files, all that its `command` prints, or single objects, each as `Kind/name` or
    /// `Kind/namespace/name`.
    #[serde(default)]
    pub delete: Vec<String>,
    /// Object files that are applied as well.
    #[serde(default)]
    pub add: Vec<String>,
    /// JSON Patches (RFC 6902) by the object, or the settings' file's document, that they change: `Kind`,
    /// `Kind/name` or `Kind/namespace/name`.
    #[serde(default)]
    pub patch: BTreeMap<String, json_patch::Patch>,
    /// Replaces the control's flags and files; `{}` is none of them.
    #[serde(default)]
    pub api_server: Option<ApiServer>,
    /// Replaces the control's settings of the kubelet; `{}` is none of them.
    #[serde(default)]
    pub kubelet: Option<Value>,
    /// The labels of DaemonSets in kube-system that are kept from every node meanwhile, such as `app=kindnet`: what
    /// enforces NetworkPolicies is none of the control's objects.
    #[serde(default)]
    pub stop: Option<String>,
    /// Whether the control is set up as it should be again when the scenarios run. What was stored meanwhile is still
    /// there.
    #[serde(default)]
    pub past: bool,
    /// The last minor version of Kubernetes on which anything is lost by it: `"1.36"`.
    #[serde(default)]
    pub until: Option<Minor>,
    /// The scenarios that must notice, by id, and the reason for which each of them must fail.
    pub expect: BTreeMap<String, Reason>,
}
