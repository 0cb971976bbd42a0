//! What a scenario file says, as types. The id is the file's name and the family its folder; neither is
//! written in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AUDIT_POLICY;
use crate::audit::query_values;
use crate::control::fill_texts;
use crate::verdict::Layer;

/// One YAML file: attacks that must be stopped or leave evidence, and the legitimate uses beside them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What is attempted, in a few words.
    pub title: String,
    /// Why an attacker wants it, or what is lost when it works.
    pub why: String,
    /// What to change on a cluster where it fails.
    pub fix: String,
    /// Free labels, for `--tag`: `mitre/T1609`, `cis/5.1.2`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The staged objects that it acts on: a file of `manifests/targets`.
    pub target: String,
    /// What must be stopped or leave evidence.
    pub attacks: Vec<Attack>,
    /// What must keep working.
    pub permits: Vec<Permit>,
}

impl Scenario {
    /// Every action of it.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let attacks = self.attacks.iter().map(|attack| &attack.r#do);
        attacks.chain(self.permits.iter().map(|permit| &permit.r#do))
    }

    /// Whether any of it must leave evidence in the audit log.
    pub fn is_logged(&self) -> bool {
        self.attacks.iter().any(|attack| attack.logged.is_some())
            || self.permits.iter().any(|permit| permit.logged.is_some())
    }
}

/// A persona, an action, and how the cluster must answer it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attack {
    /// Names the attack within its scenario.
    pub name: String,
    /// Who acts: a name of `personas.yaml`.
    pub r#as: String,
    /// What is sent.
    pub r#do: Action,
    /// The one door to try instead of every door that the action has.
    #[serde(default)]
    pub only: Option<Door>,
    /// Who must refuse it. Without this it must be let in, and its evidence counts.
    #[serde(default)]
    pub blocked: Option<Blocked>,
    /// What shows that a step worked on which the attacks after it rest: where it did not, nothing can be told.
    #[serde(default)]
    pub succeeds: Option<Succeeds>,
    /// The evidence that it must leave in the audit log.
    #[serde(default)]
    pub logged: Option<Logged>,
}

impl Attack {
    /// Whether it may show that a control does not act.
    pub fn tests(&self, control: &str) -> bool {
        let is_blocked = self.blocked.as_ref().is_some_and(|blocked| blocked.by == control);
        is_blocked || self.logged.is_some() && control == AUDIT_POLICY
    }
}

/// A legitimate use that a control must not break.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Permit {
    /// Names the permit within its scenario.
    pub name: String,
    /// Who acts: a name of `personas.yaml`.
    pub r#as: String,
    /// What is sent.
    pub r#do: Action,
    /// The door to use instead of the action's first one.
    #[serde(default)]
    pub only: Option<Door>,
    /// What shows that it worked.
    pub succeeds: Succeeds,
    /// The evidence that it must leave in the audit log.
    #[serde(default)]
    pub logged: Option<Logged>,
}

/// The block that is expected: by which control, and with which words.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blocked {
    /// The control that must refuse: a folder of `manifests/controls`.
    pub by: String,
    /// Which of the control's layers, where it decides in more than one.
    #[serde(default)]
    pub at: Option<Layer>,
    /// The reason that the refusal must give, apart from names: some of its words, or of Pod Security one of its checks,
    /// `host namespaces` or `host namespaces (hostPID=true)`.
    #[serde(default)]
    pub saying: Option<String>,
}

/// The audit event that is expected. Verb, user, URI, object and code follow from what was sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Logged {
    /// The exact level of the event. More is as wrong as less: bodies of Secrets must not be there.
    pub level: Level,
    /// Text that the event's request URI must contain.
    #[serde(default)]
    pub uri: Option<String>,
    /// Of an attack that nobody in particular must refuse: whether a refusal is as good. Without this it must be let in,
    /// because a refused one does not show what an admitted one leaves.
    #[serde(default)]
    pub refused_too: bool,
    /// The doors through which the log cannot hold more than that the request was received: neither body nor answer.
    #[serde(default)]
    pub received_only: Vec<Door>,
}

/// How much an audit event holds (`audit.k8s.io/v1` Level).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum Level {
    /// Nothing is logged.
    None,
    /// Who did what, without bodies.
    Metadata,
    /// With the request's body.
    Request,
    /// With both bodies.
    RequestResponse,
}

/// What shows that a permit worked. A permit without any of these needs a 2xx answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Succeeds {
    /// The exact output of the command, without its last line break.
    #[serde(default)]
    pub stdout: Option<String>,
    /// Text that the output must contain.
    #[serde(default)]
    pub stdout_contains: Option<String>,
}

/// What is sent. The names are the keys under `do:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A command in a running container.
    Exec(Exec),
    /// The streams of a running container's main process.
    Attach(Attach),
    /// A connection to a port of a running pod, through the API server.
    PortForward(PortForward),
    /// A debug container added to a running pod.
    Ephemeral(Ephemeral),
    /// A pod that is created, directly or through a workload.
    Pod(PodAction),
    /// Any request to the API server.
    Request(Request),
    /// A TCP connection from a running pod.
    Connect(Connect),
    /// A DNS look-up from a running pod.
    Resolve(Resolve),
    /// A request to the kubelet's own port from a container beside the node.
    Kubelet(Kubelet),
    /// A read of everything that etcd holds.
    Etcd(Etcd),
    /// A Secret that is made and read, and a search of the whole audit log for its value.
    AuditLog(AuditLogSearch),
    /// A review of everybody who is granted something.
    Grants(Grants),
}

/// `kubectl exec`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exec {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
    /// The container; needed where the pod has several.
    #[serde(default)]
    pub container: Option<String>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Ask for standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Ask for a terminal.
    #[serde(default)]
    pub tty: bool,
}

/// `kubectl attach`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attach {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
    /// The container; needed where the pod has several.
    #[serde(default)]
    pub container: Option<String>,
    /// Ask for standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Ask for a terminal.
    #[serde(default)]
    pub tty: bool,
}

/// `kubectl port-forward`. Whether it is let in is all that is asked: nothing is sent to any port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortForward {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
}

/// `kubectl debug`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ephemeral {
    /// The pod; without it the target's first.
    #[serde(default)]
    pub pod: Option<String>,
    /// The namespace of the pod; without it the target's.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Laid over a debug container that the restricted Pod Security Standard admits.
    #[serde(default)]
    pub container: Option<Value>,
}

/// A pod that is laid over one that the profile admits, so that its only sin is the one written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PodAction {
    /// Laid over the admitted pod's `metadata`.
    #[serde(default)]
    pub metadata: Option<PodMetadata>,
    /// Laid over the admitted pod's `spec` as a JSON merge patch; `containers` are merged by position.
    #[serde(default)]
    pub spec: Option<Value>,
    /// The workload kind that creates the pod; without it the persona does.
    #[serde(default)]
    pub through: Option<Workload>,
}

/// What a pod says of itself beside its spec. The keys are Kubernetes' own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PodMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations, such as `container.apparmor.security.beta.kubernetes.io/attack`: the container's name is `attack`.
    pub annotations: BTreeMap<String, String>,
    /// To whom the pod claims to belong. A controller writes its own, so that there are none with `through`.
    pub owner_references: Vec<Owner>,
}

/// An owner that a pod names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Owner {
    /// Its API version, such as `apps/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID, where it is forged; without it that of the object which is there.
    #[serde(default)]
    pub uid: Option<String>,
    /// Whether it is the pod's controller.
    #[serde(default)]
    pub controller: bool,
    /// Whether it must not go before the pod.
    #[serde(default)]
    pub block_owner_deletion: bool,
}

/// A kind whose controller creates pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Workload {
    /// `apps/v1` Deployment, by its ReplicaSet.
    Deployment,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `v1` ReplicationController.
    ReplicationController,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `batch/v1` Job.
    Job,
    /// `batch/v1` CronJob, by its Job. Its minute is not waited for.
    CronJob,
}

/// Any request to the API server. Lists should say `limit=1`; of a 2xx answer only kind and count are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path with its query. `${node}` stands for the node's name, `${unique}` for a name that is the same in all
    /// attempts of the scenario and in no other scenario.
    pub path: String,
    /// Which sort of patch a PATCH sends. Without it a strategic merge, which only built-in kinds know.
    #[serde(default)]
    pub patch: Option<Patch>,
    /// The body, with the same substitutions; of a JSON patch a list.
    #[serde(default)]
    pub body: Option<Value>,
}

/// A sort of PATCH
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Patch {
    /// A part of the object; lists are merged by their keys. For built-in kinds only.
    Strategic,
    /// A part of the object; lists are replaced (RFC 7396).
    Merge,
    /// A list of operations (RFC 6902).
    Json,
    /// Server-side apply: what is meant to be there, made where it is not. Sent as JSON and as YAML.
    Apply,
}

impl Patch {
    /// As Content-Type names it.
    pub fn media_type(self) -> &'static str {
        match self {
            Patch::Strategic => "application/strategic-merge-patch+json",
            Patch::Merge => "application/merge-patch+json",
            Patch::Json => "application/json-patch+json",
            Patch::Apply => "application/apply-patch+yaml",
        }
    }
}

impl Request {
    /// What may stand between `${` and `}` in its path and its body.
    pub const SUBSTITUTIONS: [&str; 2] = ["node", "unique"];

    /// The request on a cluster whose node has this name, in a scenario with this name of its own. A server-side
    /// apply that names no field manager gets one: the API server demands it.
    pub fn filled(&self, node: &str, unique: &str) -> Request {
        let fill = |text: &str| text.replace("${node}", node).replace("${unique}", unique);
        let mut path = fill(&self.path);
        if self.patch == Some(Patch::Apply) && query_values(&path, "fieldManager").is_empty() {
            let separator = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{separator}fieldManager=brinell");
        }
        let body = self.body.as_ref().map(|body| fill_texts(body, &fill));
        Request { path, body, ..self.clone() }
    }
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, and opens streams.
    Post,
    /// Replaces.
    Put,
    /// Changes; `patch` says how.
    Patch,
    /// Deletes.
    Delete,
}

/// A TCP connection that a pod opens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Connect {
    /// The pod that connects: `name`, or `namespace/name` in another namespace than the target's.
    pub from: String,
    /// What it connects to.
    pub to: To,
    /// The TCP port: of a Service its own, which need not be its pods'.
    pub port: u16,
    /// The pod that connects to the same meanwhile: silence counts as a block only beside this proof that somebody
    /// listens. Without it a pod connects to itself, and one behind a Service to the Service; an address has no proof.
    #[serde(default)]
    pub proven_from: Option<String>,
}

/// What a pod connects to. Each address that it has is tried.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// A pod: `name`, or `namespace/name` in another namespace than the target's.
    Pod(String),
    /// A Service, by its cluster IP: `name`, or `namespace/name`.
    Service(String),
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
}

impl To {
    /// The keys that it is written with.
    pub(super) const KINDS: [&str; 3] = ["pod", "service", "address"];
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Pod(name) => write!(f, "pod {name}"),
            To::Service(name) => write!(f, "Service {name}"),
            To::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Namespace and name of what is written `name` or `namespace/name`.
pub fn place<'a>(written: &'a str, own: &'a str) -> (&'a str, &'a str) {
    written.split_once('/').unwrap_or((own, written))
}

/// A name that a pod looks up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resolve {
    /// The pod that asks: `name`, or `namespace/name` in another namespace than the target's.
    pub from: String,
    /// The name.
    pub name: String,
}

/// A request to a node's kubelet, past the API server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kubelet {
    /// The HTTP method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// The port; the read-only port 10255 is plain HTTP.
    #[serde(default = "kubelet_port")]
    pub port: u16,
}

fn kubelet_port() -> u16 {
    10250
}

/// A read of etcd with the API server's own certificate, as someone with the node's disk would.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Etcd {
    /// The keys that must be encrypted, by their prefix.
    pub prefix: String,
}

/// A search of the audit log, as someone would who may read it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditLogSearch {}

/// A reading of all roles and their bindings, in every namespace and for the whole cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// The verb that is granted.
    pub verb: String,
    /// The resource, with its subresource: `pods/exec`.
    #[serde(default)]
    pub resource: Option<String>,
    /// The resource's API group; the core group without it.
    #[serde(default)]
    pub group: String,
    /// Instead of a resource: a path that is none, such as `/metrics`.
    #[serde(default)]
    pub url: Option<String>,
    /// Who may have it: `Group/name`, `User/name`, `ServiceAccount/namespace/name`, with `*` for any text.
    pub allowed: Vec<String>,
}

/// One way to send an action. A control that watches one door may forget another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// GET with `Upgrade: websocket`: kubectl since 1.31. The verb is `get`.
    GetWebsocket,
    /// POST with `Upgrade: SPDY/3.1`: kubectl's fallback. The verb is `create`.
    PostSpdy,
    /// GET with `Upgrade: SPDY/3.1`. The verb is `get`.
    GetSpdy,
    /// PATCH with a strategic merge patch: what `kubectl debug` sends.
    StrategicMerge,
    /// PATCH by server-side apply, with a JSON body.
    Apply,
    /// The same with a YAML body, which the audit log cannot hold.
    ApplyYaml,
    /// PUT of the whole object. The verb is `update`.
    Put,
    /// The action has one way only.
    Direct,
}

impl Action {
    /// Every door that the action can be sent through, the common one first.
    pub fn doors(&self) -> &'static [Door] {
        match self {
            Action::Exec(_) | Action::Attach(_) | Action::PortForward(_) => {
                &[Door::GetWebsocket, Door::PostSpdy, Door::GetSpdy]
            }
            Action::Ephemeral(_) => {
                &[Door::StrategicMerge, Door::Apply, Door::ApplyYaml, Door::Put]
            }
            Action::Request(request) if request.patch == Some(Patch::Apply) => {
                &[Door::Apply, Door::ApplyYaml]
            }
            Action::Pod(_)
            | Action::Request(_)
            | Action::Connect(_)
            | Action::Resolve(_)
            | Action::Kubelet(_)
            | Action::Etcd(_)
            | Action::AuditLog(_)
            | Action::Grants(_) => &[Door::Direct],
        }
    }
}

impl Door {
    /// As YAML names it.
    pub fn name(self) -> &'static str {
        match self {
            Door::GetWebsocket => "get-websocket",
            Door::PostSpdy => "post-spdy",
            Door::GetSpdy => "get-spdy",
            Door::StrategicMerge => "strategic-merge",
            Door::Apply => "apply",
            Door::ApplyYaml => "apply-yaml",
            Door::Put => "put",
            Door::Direct => "direct",
        }
    }

    /// As results name it.
    pub fn label(self) -> &'static str {
        match self {
            Door::GetWebsocket => "GET WebSocket",
            Door::PostSpdy => "POST SPDY",
            Door::GetSpdy => "GET SPDY",
            Door::StrategicMerge => "strategic merge",
            Door::Apply => "apply",
            Door::ApplyYaml => "apply as YAML",
            Door::Put => "PUT",
            Door::Direct => "",
        }
    }
}
