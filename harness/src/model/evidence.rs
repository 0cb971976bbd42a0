//! What was sent, what came back and what the log holds: everything that is kept with a verdict. These types
//! are the JSON report's, and the corpus's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Door, Event, Layer, Level, User};

/// Of a Status's message no more than this is kept, in bytes.
pub const LONGEST_MESSAGE: usize = 4096;

/// One sending of an action, with all that was observed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// What was sent.
    pub sent: Sent,
    /// What came back.
    pub answer: Answer,
    /// Who decided, as attribution reads it.
    pub decision: Decision,
    /// What the admin saw afterwards.
    pub effect: Effect,
    /// The audit events of this very request and the traces of those who acted on its behalf.
    pub log: Log,
    /// Every configuration with a webhook of the name that refused: `ValidatingWebhookConfiguration/exec-guard`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namesakes: Vec<String>,
}

/// An exchange that was recorded from a real API server, with the layer that is known to have decided: what
/// attribution is tested on. It is an [`Evidence`] without what only a verdict needs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Exchange {
    /// What was set up, and why the exchange is worth keeping.
    pub about: String,
    /// What was sent.
    pub sent: Sent,
    /// What came back.
    pub answer: Answer,
    /// What the audit log held.
    pub log: Log,
    /// Who decided: known from what was set up, not from the answer.
    pub decision: Decision,
}

/// A request as it left.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Sent {
    /// The persona's name.
    pub persona: String,
    /// The user that the API server should see; `None` for an anonymous or unauthenticated caller.
    pub user: Option<String>,
    /// Whom that user asks to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonated: Option<User>,
    /// The way it was sent.
    pub door: Door,
    /// HTTP method, or what stands for it (`CONNECT`, `RESOLVE`, `READ`).
    pub method: String,
    /// Path and query, or the address.
    pub uri: String,
    /// The API server's verb for it; `None` where the API server is not asked.
    pub verb: Option<String>,
    /// The Audit-ID that it carried; `None` where the API server is not asked.
    pub audit_id: Option<String>,
    /// Whether it had a body.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub body: bool,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// An HTTP answer without a stream.
    Http(Response),
    /// The connection was upgraded and used.
    Stream(Stream),
    /// A workload was accepted, and its controller's attempt to make the pod was answered.
    Through(Through),
    /// A TCP connection, a look-up or another act inside a pod worked; its output.
    Worked(String),
    /// Nothing came back.
    Nothing(Silence),
    /// What etcd holds.
    Storage(Storage),
    /// Which events of the audit log hold a Secret's value.
    AuditLog(Searched),
    /// Who is granted something.
    Grants(Granted),
    /// What a review found.
    Review(Reviewed),
    /// What somebody may do of what is dangerous.
    Rights(Held),
}

/// An HTTP answer. Of a 2xx only code, kind and count are kept.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Response {
    /// The HTTP status code.
    pub code: u16,
    /// `Status.reason`, where the body is a Status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `Status.message`, where the body is a Status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The body's start, where an error's body is no Status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The object's kind, of a 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How many items a list held, of a 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Whether the answer carried priority and fairness headers (`X-Kubernetes-PF-*`).
    #[serde(default)]
    pub flow_control: bool,
    /// Whether it did not bring the Audit-ID of its request back, as answers of the API server do: something before it may
    /// have spoken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_id: bool,
}

/// What came of a pod that a workload's controller makes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Through {
    /// The answer to the persona, who made the workload.
    pub workload: Response,
    /// The answer to the controller, as the workload's status or the pod itself tells.
    pub pod: Response,
}

/// A stream that was opened (101).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Stream {
    /// What came on standard output, cut at 4 KiB.
    pub stdout: String,
    /// What came on standard error, cut at 4 KiB.
    pub stderr: String,
    /// The closing status frame: none when the stream ended without one, or was only let in (SPDY).
    pub closing: Option<Closing>,
    /// Whether the line that we typed came back.
    pub echoed: bool,
}

/// How the kubelet says that a command ended.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Closing {
    /// `Success` or `Failure`.
    pub status: String,
    /// Why it failed.
    #[serde(default)]
    pub message: Option<String>,
}

/// Nothing came back, in one of these ways.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Silence {
    /// How.
    pub kind: SilenceKind,
    /// The error's own words.
    pub text: String,
    /// Whether the listener was seen listening, so that the silence is the network's.
    pub listener_proven: bool,
}

/// The ways in which nothing comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SilenceKind {
    /// The port is closed.
    Refused,
    /// No answer within the time.
    TimedOut,
    /// The connection ended in the middle.
    Cut,
    /// It could not be sent or understood.
    Broken,
}

/// What etcd holds below a prefix. Keys are named, values never.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Storage {
    /// All keys that were read.
    pub keys: usize,
    /// Keys below the prefix.
    pub below_prefix: usize,
    /// How many of them have a value that is not encrypted.
    pub plain_count: usize,
    /// The first of those.
    pub plain: Vec<String>,
    /// How many keys anywhere have a value that holds the canary.
    pub canary_count: usize,
    /// The first of those.
    pub canary: Vec<String>,
}

/// An event that holds what must not be in the log. Neither that nor the request's URI is kept, which may hold it too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Leak {
    /// The event's Audit-ID.
    pub audit_id: String,
    /// How much the event holds.
    pub level: Level,
    /// The API server's verb.
    pub verb: String,
    /// The resource; empty where the request names none.
    pub resource: String,
    /// Who called.
    pub user: String,
}

/// What a search of the audit log found. Events are named, what they hold never.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Searched {
    /// How many lines hold a Secret's value.
    pub leaks: u64,
    /// The first events that do.
    pub first: Vec<Leak>,
}

/// Who is granted something by roles and their bindings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Granted {
    /// Those who may have it, each once.
    pub allowed: Vec<String>,
    /// Those who may not, each with the binding that grants it.
    pub others: Vec<String>,
}

/// What a review found in the configuration that it read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Reviewed {
    /// How many objects or files were looked at.
    pub objects: usize,
    /// What is wrong, in the order in which it was found; the first of them, where they are many.
    pub flaws: Vec<Flaw>,
    /// How many more there are.
    pub more: usize,
    /// What could not be read, and why: of that nothing is known.
    pub unread: Vec<String>,
}

/// One thing that is configured wrongly. It never holds a key or a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Flaw {
    /// What is wrong: `ValidatingWebhookConfiguration/exec-guard`, or `--authentication-config`.
    pub object: String,
    /// The field: `webhooks[exec-guard.brinell.dev].failurePolicy`; empty where it is the object as a whole.
    pub field: String,
    /// What it is: `Ignore`.
    pub is: String,
    /// What an attacker makes of it.
    pub follows: String,
}

/// The dangerous rights that somebody holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// How many questions the API server answered.
    pub answered: usize,
    /// How many rights are held as the persona's file says.
    pub own: usize,
    /// All others.
    pub others: Vec<Holding>,
    /// Why questions have no answer, each reason once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
}

/// Rights that somebody holds in one place by one word of an authorizer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Holding {
    /// Who holds them.
    pub who: String,
    /// The rights: `create pods/exec`.
    pub rights: Vec<String>,
    /// Where: `in kube-system`.
    pub place: String,
    /// The authorizer's own words; empty where it gave none.
    pub reason: String,
    /// When the binding that grants them has expired, by its own annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<String>,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It was let in.
    LetIn,
    /// It was refused by this layer, in these words.
    Denied(Denial),
    /// It cannot be told; why, and what was seen.
    Unclear(String),
    /// Nobody was asked: it was read, and not attacked.
    Read,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Denial {
    /// Who refused.
    pub layer: Layer,
    /// The words of the refusal.
    pub message: String,
}

/// What the admin saw after a write.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The action changes nothing; nothing was looked at.
    NotApplicable,
    /// Looked, and nothing is there.
    Absent,
    /// Looked, and this is there.
    Present(String),
    /// Looked, and it is there without what was asked for, or a dry run would make it so: `Pod attack-k7f3-1 is there without
    /// spec.hostPID`.
    Changed(String),
    /// Looked, and this was there and is gone.
    Gone(String),
}

/// What the audit log said about one attempt.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// The request never reaches the API server: no event can be expected.
    NotApplicable,
    /// The log cannot be read, and why.
    Unreadable(String),
    /// The API server writes no audit log.
    Disabled,
    /// The events up to the fence.
    Read {
        /// The events of this very request, all stages.
        events: Vec<Event>,
        /// Events of those who act on the attack's behalf.
        traces: Vec<Event>,
        /// The Audit-ID of the marked request that was sent afterwards and is in the log.
        fence: String,
    },
}

impl Answer {
    /// Whether it is an answer that nothing shows to be the API server's own.
    pub fn is_without_id(&self) -> bool {
        matches!(self, Answer::Http(response) if response.without_id)
    }

    /// The code that the API server gave the persona, which its event must hold too.
    pub fn code(&self) -> Option<u16> {
        match self {
            Answer::Http(response) => Some(response.code),
            Answer::Through(through) => Some(through.workload.code),
            Answer::Stream(_) => Some(101),
            // The Secret was made.
            Answer::AuditLog(_) => Some(201),
            Answer::Worked(_)
            | Answer::Nothing(_)
            | Answer::Storage(_)
            | Answer::Grants(_)
            | Answer::Review(_)
            | Answer::Rights(_) => None,
        }
    }
}

impl Flaw {
    /// What is wrong, for a person: `ValidatingWebhookConfiguration/x: webhooks[y].failurePolicy is Ignore`.
    pub fn words(&self) -> String {
        let Flaw { object, field, is, .. } = self;
        match field.is_empty() {
            true => format!("{object} is {is}"),
            false => format!("{object}: {field} is {is}"),
        }
    }
}

impl Response {
    /// Whether the request was carried out.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What the answer says, for a person: the Status's message, or else the body's start.
    pub fn words(&self) -> &str {
        self.message.as_deref().or(self.text.as_deref()).unwrap_or_default()
    }
}
