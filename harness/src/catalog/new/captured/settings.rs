//! What no API tells and the reader hands in: the audit policy, and the API server's settings.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{KINDS, LeftOut};
use crate::catalog::new::is_audit_policy;
use crate::catalog::own_flags::{LEAVE_OUT, is_own_flag, plain};
use crate::catalog::source::Source;
use crate::catalog::{File, Problem, Problems};
use crate::model::ApiServer;

/// The file of the audit policy.
const AUDIT_POLICY: &str = "audit-policy.yaml";

/// The flags with which an API server writes a log by it.
const AUDIT_FLAGS: [(&str, &str); 4] = [
    ("audit-policy-file", "/etc/brinell/audit-policy.yaml"),
    ("audit-log-path", "/var/log/brinell/audit.log"),
    ("audit-log-maxsize", "100"),
    ("audit-log-maxbackup", "10"),
];

/// Where the files lie that are handed in, as flags name them.
const HANDED: &str = "/etc/brinell/";

/// The flags of the audit log, which is another one there, but for those that say how much of an event is kept.
const OF_LOG: [&str; 3] = ["audit-log-", "audit-policy-file", "audit-webhook-"];
const OF_EVENTS: &str = "audit-log-truncate-";

/// The kinds of what flags of an API server name and that holds no keys. Everything else is kept out of a folder that
/// people review and pass on: an EncryptionConfiguration, a kubeconfig, a Secret.
const TAKEN: [&str; 8] = [
    "AdmissionConfiguration",
    "AuthenticationConfiguration",
    "AuthorizationConfiguration",
    // Of EventRateLimit, PodTolerationRestriction and, of old, ResourceQuota.
    "Configuration",
    "PodSecurityConfiguration",
    "ResourceQuotaConfiguration",
    "TracingConfiguration",
    "WebhookAdmissionConfiguration",
];

/// The kind of configuration that names no files, but paths of the API server's.
const OF_PATHS: &str = "AuthenticationConfiguration";

/// Flags that name no file, whatever their values begin with: a pattern of origins, and a claim such as a group's path.
const OF_WORDS: [&str; 2] = ["cors-allowed-origins", "oidc-required-claim"];

/// The only field of the configurations of plug-ins that have no kind: ImagePolicyWebhook's and PodNodeSelector's.
const PLUG_INS: [&str; 2] = ["imagePolicy", "podNodeSelectorPluginConfig"];

/// What every private key in PEM begins with and ends with.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// What the reader hands in.
#[derive(Debug, Default)]
pub struct Handed {
    flags: BTreeMap<String, Option<String>>,
    /// The files that the flags name, each with its text.
    pub(super) files: BTreeMap<String, String>,
    has_policy: bool,
    has_settings: bool,
}

impl Handed {
    /// Reads an audit policy, and a file with `flags` and `files` as `api-server` of a control has them, the files
    /// beside it.
    ///
    /// # Errors
    /// When one of them cannot be read, is something else, or holds keys; and when the settings would lead a cluster of ours out
    /// of what is its own.
    pub fn read(policy: Option<&Path>, settings: Option<&Path>) -> Result<Handed, Problems> {
        let mut handed = Handed::default();
        if let Some(path) = settings {
            handed.read_settings(path)?;
        }
        if let Some(path) = policy {
            handed.read_policy(path)?;
        }
        Ok(handed)
    }

    /// Whether the API server's settings are among it.
    pub fn has_settings(&self) -> bool {
        self.has_settings
    }

    /// Whether an audit log is written with it.
    pub fn writes_log(&self) -> bool {
        self.has_policy
    }

    fn read_settings(&mut self, path: &Path) -> Result<(), Problems> {
        let source = Source::new(File::read(path)?)?;
        if source.text.contains(PRIVATE_KEY) {
            let problem = Problem::of_file(&source.file, "it holds a private key");
            return Err(problem.hint("leave the key out, with the flag that names it").into());
        }
        let ApiServer { flags, files } = source.parse()?;
        Problems::none_or(strange(&source, &flags))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (position, name) in files.iter().enumerate() {
            let wrong = |message: &str, hint: &str| {
                source.problem(source.place(&format!("/files/{position}")), message, hint)
            };
            if !is_plain(name) {
                let hint = "put it beside this file, and name it by lower-case letters, digits, dashes and dots, `.yaml` at its end";
                return Err(wrong("a file's name cannot be so in a catalog", hint).into());
            }
            if is_taken(name) {
                let message = "a file of what is captured is called so";
                return Err(wrong(message, "give it another name").into());
            }
            let file = Source::new(File::read(&folder.join(name))?)?;
            let documents: Vec<Value> = file.parse_all()?;
            if file.text.contains(PRIVATE_KEY) || !documents.iter().all(is_taken_in) {
                let message = format!(
                    "`{name}` is not captured: it is none of what holds no keys: {}",
                    TAKEN.join(", ")
                );
                let hint = "leave it out, with the flag that names it";
                return Err(wrong(&message, hint).into());
            }
            if let Some(named) = documents.iter().find_map(elsewhere) {
                let (message, hint) = not_handed(named);
                return Err(file.problem(file.text_place(named), &message, &hint).into());
            }
            self.files.insert(name.clone(), file.text);
        }
        self.flags = flags;
        self.has_settings = true;
        Ok(())
    }

    fn read_policy(&mut self, path: &Path) -> Result<(), Problems> {
        let source = Source::new(File::read(path)?)?;
        let documents: Vec<Value> = source.parse_all()?;
        if documents.len() != 1 || !is_audit_policy(&documents[0]) {
            let problem = Problem::of_file(&source.file, "it is no audit policy");
            let hint = "it is to be one document, `kind: Policy` of audit.k8s.io/v1";
            return Err(problem.hint(hint).into());
        }
        self.files.insert(AUDIT_POLICY.to_owned(), source.text);
        let flags = AUDIT_FLAGS.map(|(flag, value)| (flag.to_owned(), Some(value.to_owned())));
        self.flags.extend(flags);
        self.has_policy = true;
        Ok(())
    }

    /// As a control has it.
    pub(super) fn api_server(&self) -> Value {
        let files: Vec<&String> = self.files.keys().collect();
        json!({"flags": self.flags, "files": files})
    }

    /// What is not handed in.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let policy = LeftOut::new(
            "the audit policy",
            "no API tells it: `--audit-policy FILE` hands it in; without it the audit log is read on neither cluster",
        );
        let settings = LeftOut::new(
            "the API server's settings",
            "no API tells them: `--settings FILE` hands them in, as `api-server` of a control has them; without them what rests \
             on them is tried on neither cluster",
        );
        let policy = (!self.has_policy).then_some(policy);
        policy.into_iter().chain((!self.has_settings).then_some(settings)).collect()
    }
}

/// What is wrong with flags: they are for nobody to hand in, or name files that are not handed in.
fn strange(source: &Source, flags: &BTreeMap<String, Option<String>>) -> Vec<Problem> {
    let why = |flag: &str, value: &str| {
        let is_of = |family: &&str| plain(flag).starts_with(family);
        if is_own_flag(flag) {
            return Some((format!("`{flag}` cannot be handed in"), LEAVE_OUT.to_owned()));
        }
        if OF_LOG.iter().any(is_of) && !is_of(&OF_EVENTS) {
            let hint = "leave it out: `--audit-policy FILE` hands in the policy, and brinell's own cluster has a log of its own";
            return Some((format!("`{flag}` cannot be handed in"), hint.to_owned()));
        }
        (!OF_WORDS.contains(&&*plain(flag)) && is_elsewhere(value)).then(|| not_handed(value))
    };
    let wrong = flags.iter().filter_map(|(flag, value)| {
        let (message, hint) = why(flag, value.as_deref().unwrap_or_default())?;
        Some(source.problem(source.place(&format!("/flags/{flag}")), &message, &hint))
    });
    wrong.collect()
}

/// That something names a file of the machine's, and what to do about it.
fn not_handed(named: &str) -> (String, String) {
    let hint = format!(
        "put it beside the settings, into their `files`, and name it `{HANDED}<file>`; or leave out what names it"
    );
    (format!("`{named}` is not handed in"), hint)
}

/// The first file that a configuration names and that is not handed in.
fn elsewhere(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) if fields.get("kind").is_some_and(|it| it == OF_PATHS) => None,
        Value::Object(fields) => fields.values().find_map(elsewhere),
        Value::Array(items) => items.iter().find_map(elsewhere),
        Value::String(text) => Some(text.as_str()).filter(|text| is_elsewhere(text)),
        _ => None,
    }
}

/// Whether a value, or a part of a list, names a file or a socket that is not below what is handed in.
fn is_elsewhere(value: &str) -> bool {
    let mut names = value.split([',', '=']).map(|name| name.trim_start_matches("unix:"));
    let is_out = |name: &str| name.starts_with('/') && !name.starts_with(HANDED);
    names.any(|name| is_out(name) || name.split('/').any(|step| step == ".."))
}

/// Whether a document is a configuration of a known kind, and so are those of plug-ins in it.
fn is_taken_in(document: &Value) -> bool {
    let Some(fields) = document.as_object() else { return false };
    let is_known = match fields.get("kind").map(Value::as_str) {
        Some(kind) => kind.is_some_and(|kind| TAKEN.contains(&kind)),
        None => fields.len() == 1 && fields.keys().all(|key| PLUG_INS.contains(&key.as_str())),
    };
    let plug_ins = document["plugins"].as_array().into_iter().flatten();
    let mut within = plug_ins.map(|it| &it["configuration"]).filter(|it| !it.is_null());
    is_known && within.all(is_taken_in)
}

/// Whether a file of this name can be beside a control, and nowhere else.
fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    name.chars().all(allowed) && !name.starts_with('.') && name.ends_with(".yaml")
}

/// Whether what is captured has a file of this name.
fn is_taken(name: &str) -> bool {
    let stem = name.trim_end_matches(".yaml").trim_end_matches(|c: char| c.is_ascii_digit());
    let stem = stem.trim_end_matches('-');
    let own = ["control", AUDIT_POLICY.trim_end_matches(".yaml")];
    own.contains(&stem) || KINDS.iter().any(|(_, file)| *file == stem)
}
