//! A catalog of what decides on an existing cluster: one control whose objects are those that were read there, and a
//! profile that has it. What it cannot hold is told by name, with the reason.

mod clean;
mod resting;
mod served;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub use self::clean::is_kept_as_changed;
use self::clean::{
    Owner, cleaned, converts, group, has_writers, is_default, owner, strangers, substituted, unfit,
};
use self::resting::asking;
pub use self::resting::{is_of_roles, rests_on, rests_on_settings};
use self::served::differing;
pub use self::settings::Handed;
use super::NewFile;
use super::sketch::Sketch;
use super::yaml::{block, flow, text};
use crate::catalog::{documents, identity};
use crate::model::{Layer, is_built_in};
use crate::text::{count, first_of};

/// What the control that holds what was captured is called, and its profile.
pub const CAPTURED: &str = "captured";

/// The kinds that are captured, each with its file, in the order in which they are set up: what decides comes after
/// what it decides about.
const KINDS: [(&str, &str); 14] = [
    ("Namespace", "namespaces"),
    ("CustomResourceDefinition", "definitions"),
    ("ResourceQuota", "quotas"),
    ("LimitRange", "limit-ranges"),
    ("NetworkPolicy", "network-policies"),
    ("ClusterRole", "cluster-roles"),
    ("Role", "roles"),
    ("ClusterRoleBinding", "cluster-role-bindings"),
    ("RoleBinding", "role-bindings"),
    ("PriorityLevelConfiguration", "priority-levels"),
    ("FlowSchema", "flow-schemas"),
    // Whatever else there is: parameters of policies.
    ("", "parameters"),
    ("Policy", "policies"),
    ("PolicyBinding", "policy-bindings"),
];

/// How many bytes a file gets, if it is not one object alone: then it holds fewer values than a file may.
const FILE: usize = 128 << 10;

/// How many bytes an object may take: a file may have a mebibyte.
const LARGEST: usize = 1000 << 10;

/// How many names are told of a kind.
const TOLD: usize = 20;

/// What was read of an existing cluster.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Its objects, as its API server tells them.
    pub objects: Vec<Value>,
    /// What could not be read.
    pub left_out: Vec<LeftOut>,
    /// The kinds of parameters among that, by group.
    pub unread: BTreeSet<(String, String)>,
    /// The other kinds among that.
    pub unread_kinds: BTreeSet<String>,
}

/// What is not captured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl LeftOut {
    /// Something, and why it is not captured.
    pub fn new(what: &str, why: &str) -> LeftOut {
        LeftOut { what: what.to_owned(), why: why.to_owned() }
    }
}

/// What was captured.
#[derive(Debug, Default)]
pub struct Captured {
    /// The files of a catalog that holds it.
    pub files: Vec<NewFile>,
    /// How many objects of each kind.
    pub counts: BTreeMap<String, usize>,
    /// What is not captured.
    pub left_out: Vec<LeftOut>,
    /// How the policies among them can refuse.
    pub decides: Vec<Layer>,
    /// How those can that decide there and are not captured.
    pub uncaptured: Vec<Layer>,
    /// The policies and webhooks among all that ask the authorizers, and so rest on roles.
    pub asking: Vec<Layer>,
    /// The webhook configurations that are there as a control of ours has and serves them, by kind and name.
    pub served: BTreeSet<String>,
    /// The kinds of which not all is captured: what rests on them is decided otherwise on the other cluster.
    pub lacking: BTreeSet<String>,
}

/// What was captured of what was found on a cluster that is called so, and of what the reader hands in. Some webhook
/// configurations, by kind and name, controls of `ours` have and serve.
pub fn captured(
    found: Found,
    cluster: &str,
    handed: &Handed,
    ours: BTreeMap<String, Value>,
) -> Captured {
    let Found { left_out, unread_kinds: lacking, .. } = found;
    let mut capture = Capture { left_out, ours, lacking, ..Capture::default() };
    for object in &found.objects {
        capture.take(object);
    }
    capture.leave_out_homeless();
    capture.leave_out_without_parameters(&found.objects, &found.unread);
    capture.written(cluster, handed)
}

/// What is captured up to now.
#[derive(Default)]
struct Capture {
    objects: Vec<Value>,
    left_out: Vec<LeftOut>,
    ours: BTreeMap<String, Value>,
    served: BTreeSet<String>,
    /// The webhooks of those that ask the authorizers.
    asking: Vec<Layer>,
    /// How the policies can refuse that are not captured.
    uncaptured: Vec<Layer>,
    /// The namespaces that are not captured, with all that is in them.
    closed: BTreeSet<String>,
    /// Those of them that a file cannot hold: what is in them decides there.
    lost: BTreeSet<String>,
    /// The kinds of which not all is captured.
    lacking: BTreeSet<String>,
    /// How much is not captured since it would be there anyway.
    owned: BTreeMap<Owner, usize>,
}

impl Capture {
    fn take(&mut self, object: &Value) {
        if is_webhook(object) {
            return self.leave_webhook(object);
        }
        let why = match owner(object) {
            Some(owner) => {
                *self.owned.entry(owner).or_default() += 1;
                return self.close(object);
            }
            None => unfit(object),
        };
        let cleaned = cleaned(object);
        match (why, unwritable(&cleaned)) {
            (Some(why), _) => self.leave(object, &why),
            (None, Some(why)) => self.lose(object, &why),
            (None, None) => {
                self.left_out.extend(limits(object));
                self.objects.push(cleaned);
            }
        }
    }

    /// Leaves an object out that decides there. A validating policy takes out what is known by its name, and its
    /// parameters take it out with them. What a mutating one changes, and what a binding binds, is known by no name.
    fn lose(&mut self, object: &Value, why: &str) {
        if let Some(name) =
            object["metadata"]["name"].as_str().filter(|_| object["kind"] == "Namespace")
        {
            self.lost.insert(name.to_owned());
        }
        let kind = object["kind"].as_str().unwrap_or_default();
        let is_nameless = KINDS[rank(object)].0 == kind
            || !bound(object).is_empty()
            || (is_policy(object) && kind == MUTATING);
        self.lacking.extend(is_nameless.then(|| kind.to_owned()));
        self.uncaptured.extend(layers(object));
        self.leave(object, why);
    }

    /// Leaves an object out; where it is a namespace, with all that is in it.
    fn leave(&mut self, object: &Value, why: &str) {
        self.close(object);
        self.left_out.push(LeftOut::new(&identity(object), why));
    }

    fn close(&mut self, object: &Value) {
        if let (true, Some(name)) =
            (object["kind"] == "Namespace", object["metadata"]["name"].as_str())
        {
            self.closed.insert(name.to_owned());
        }
    }

    /// Whoever answers for a webhook is a program of theirs, unless a control of ours has the same one.
    fn leave_webhook(&mut self, object: &Value) {
        let name = identity(object);
        let why = match self.ours.get(&name).map(|ours| differing(object, ours)) {
            Some(fields) if fields.is_empty() => {
                self.served.insert(name);
                self.asking.extend(asking(object));
                return;
            }
            Some(fields) => {
                format!("it is not as the control of ours has it: {}", fields.join(", "))
            }
            None => {
                let why = "a program of theirs answers, which an embedded cluster does not have";
                let changes = object["kind"] == "MutatingWebhookConfiguration";
                let more = "; what it changes there is judged unchanged on the other one";
                format!("{why}{}", if changes { more } else { "" })
            }
        };
        self.left_out.push(LeftOut::new(&name, &why));
    }

    /// What is in a namespace needs that namespace: where it is left out the object is, where it was not to be read it
    /// is made without labels.
    fn leave_out_homeless(&mut self) {
        let closed = std::mem::take(&mut self.closed);
        let place = |object: &Value| object["metadata"]["namespace"].as_str().map(str::to_owned);
        let is_in = |names: &BTreeSet<String>, it: &Value| {
            place(it).is_some_and(|place| names.contains(&place))
        };
        let lost = std::mem::take(&mut self.lost);
        let gone: Vec<Value> = self.objects.extract_if(.., |it| is_in(&closed, it)).collect();
        for object in gone.iter().filter(|it| is_in(&lost, it)) {
            self.lose(object, "its namespace is not captured");
        }
        let made: BTreeSet<String> = self.objects.iter().map(identity).collect();
        let places: BTreeSet<String> = self.objects.iter().filter_map(place).collect();
        let unread = places.into_iter().filter(|it| !made.contains(&format!("Namespace/{it}")));
        let bare = |name: String| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let bare: Vec<Value> = unread.map(bare).collect();
        self.objects.extend(bare);
    }

    /// A policy whose parameters are not captured would decide otherwise than it does there.
    fn leave_out_without_parameters(
        &mut self,
        found: &[Value],
        unread: &BTreeSet<(String, String)>,
    ) {
        let defined: BTreeSet<(String, String)> = self.objects.iter().filter_map(defines).collect();
        let captured: BTreeSet<String> = self.objects.iter().map(identity).collect();
        let why = |policy: &Value| {
            let of = parameters(policy)?;
            let is_one = |it: &&Value| {
                (group(it), it["kind"].as_str()) == (of.0.as_str(), Some(of.1.as_str()))
            };
            let mut names = found.iter().filter(is_one).map(identity);
            if of == (String::new(), "Secret".to_owned()) {
                Some("its parameters are Secrets, of which nothing is ever read".to_owned())
            } else if unread.contains(&of) {
                Some("its parameters could not be read".to_owned())
            } else if !is_built_in(&of.0) && !defined.contains(&of) {
                Some(format!(
                    "the CustomResourceDefinition of its parameters, {}.{}, is not captured",
                    of.1, of.0
                ))
            } else {
                let missed = names.find(|name| !captured.contains(name))?;
                Some(format!("its parameters {missed} are not captured"))
            }
        };
        let policies = self.objects.iter().filter(|it| is_policy(it));
        let lacking: BTreeMap<String, String> =
            policies.filter_map(|it| Some((identity(it), why(it)?))).collect();
        for object in std::mem::take(&mut self.objects) {
            match (lacking.get(&identity(&object)), lacking.contains_key(&bound(&object))) {
                (Some(why), _) => self.lose(&object, why),
                (None, true) => self.leave(&object, "the policy that it binds is not captured"),
                (None, false) => self.objects.push(object),
            }
        }
    }

    fn written(mut self, cluster: &str, handed: &Handed) -> Captured {
        self.objects.sort_by_cached_key(|it| (rank(it), identity(it)));
        let mut files: Vec<NewFile> = Vec::new();
        for objects in self.objects.chunk_by(|one, other| rank(one) == rank(other)) {
            files.extend(pages(KINDS[rank(&objects[0])].1, objects));
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for object in &self.objects {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            *counts.entry(kind).or_default() += 1;
        }
        let control = control(cluster, &files, handed);
        files.extend(handed.files.iter().map(|(name, text)| NewFile {
            place: Sketch::beside(CAPTURED, name),
            text: text.clone(),
        }));
        files.insert(0, control);
        files.push(profile(cluster));
        self.left_out.extend(self.owned.iter().map(|(owner, number)| owned(owner, *number)));
        self.left_out.extend(handed.left_out());
        self.left_out.extend(idle(&counts));
        self.left_out.sort();
        let decides = self.objects.iter().flat_map(layers).collect();
        self.asking.extend(self.objects.iter().flat_map(asking));
        let left_out = together(self.left_out);
        let Capture { served, asking, uncaptured, lacking, .. } = self;
        Captured { files, counts, left_out, decides, uncaptured, asking, served, lacking }
    }
}

/// What is not captured for one reason, together: of a cluster's there may be thousands.
fn together(left_out: Vec<LeftOut>) -> Vec<LeftOut> {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for LeftOut { what, why } in left_out {
        by_reason.entry(why).or_default().push(what);
    }
    let together =
        by_reason.into_iter().map(|(why, what)| LeftOut { what: first_of(&what, TOLD), why });
    together.collect()
}

/// What is left out since it would be there anyway.
fn owned(owner: &Owner, number: usize) -> LeftOut {
    let (what, why) = match owner {
        Owner::Roles => (
            count(number, "default") + " among roles and bindings",
            "the API server makes its own, and nobody else has changed them",
        ),
        Owner::FlowControl => (
            count(number, "default") + " among priority levels and flow schemas",
            "the API server makes its own, and keeps them so",
        ),
        Owner::Brinell => (count(number, "object") + " of brinell's", "a run has made them"),
    };
    LeftOut::new(&what, why)
}

/// What does less on an embedded cluster although it is captured.
fn idle(counts: &BTreeMap<String, usize>) -> impl Iterator<Item = LeftOut> {
    let idle = [
        (
            "NetworkPolicy",
            "what NetworkPolicies stop",
            "an embedded cluster has no pod network, so that they are only there",
        ),
        (
            "ResourceQuota",
            "what quotas have counted",
            "an embedded cluster counts from zero, and what is deleted still counts",
        ),
    ];
    let idle = idle.into_iter().filter(|(kind, ..)| counts.contains_key(*kind));
    idle.map(|(_, what, why)| LeftOut::new(what, why))
}

/// What is not as it was of an object that is captured.
fn limits(object: &Value) -> Option<LeftOut> {
    let name = identity(object);
    if is_default(object) {
        let who: Vec<&str> = strangers(object).into_iter().collect();
        let who = if who.is_empty() { "somebody".to_owned() } else { first_of(&who, TOLD) };
        let what = format!("what another version adds to {name}");
        let why = match has_writers(object) {
            true => format!("{who} has changed this default"),
            false => "it has no managedFields, so that nobody knows who has changed this default"
                .to_owned(),
        };
        return Some(LeftOut { what, why: why + ": it is captured as it stands" });
    }
    let why = "a webhook of theirs converts between its versions";
    converts(object).then(|| LeftOut::new(&format!("the conversion of {name}"), why))
}

/// Why an object cannot be written down; `None` if it can, and is read as the same.
fn unwritable(object: &Value) -> Option<String> {
    if let Some(substituted) = substituted(object) {
        return Some(format!(
            "it holds `{substituted}`, which a file of a catalog has for a value of the run's"
        ));
    }
    let written = written(object);
    if written.len() > LARGEST {
        return Some(format!("it takes more than {} KiB", LARGEST >> 10));
    }
    let is_same = documents(&written).is_ok_and(|read| read == std::slice::from_ref(object));
    (!is_same).then(|| "it cannot be written as YAML within a file's limits".to_owned())
}

/// An object as a document of a file.
fn written(object: &Value) -> String {
    block(object).join("\n") + "\n"
}

/// Files that hold these objects, called so.
fn pages(name: &str, objects: &[Value]) -> Vec<NewFile> {
    let mut texts: Vec<String> = Vec::new();
    for written in objects.iter().map(written) {
        match texts.last_mut() {
            Some(text) if text.len() + written.len() <= FILE => *text += &format!("---\n{written}"),
            _ => texts.push(written),
        }
    }
    let page = |(number, text): (usize, String)| {
        let name = if number == 0 { name.to_owned() } else { format!("{name}-{}", number + 1) };
        NewFile { place: Sketch::beside(CAPTURED, &format!("{name}.yaml")), text }
    };
    texts.into_iter().enumerate().map(page).collect()
}

fn control(cluster: &str, files: &[NewFile], handed: &Handed) -> NewFile {
    let folder = Sketch::beside(CAPTURED, "");
    let names: Vec<&str> = files.iter().filter_map(|it| it.place.strip_prefix(&folder)).collect();
    let names: Vec<String> = names.into_iter().map(|name| format!("- {name}")).collect();
    let mut lines = vec![
        "# Read by `brinell rehearse` from a cluster that is there. It decides nothing by itself: what its objects refuse is"
            .to_owned(),
        "# for the controls that a profile declares.".to_owned(),
        format!("title: {}", text(&format!("What decides on {cluster}"))),
        "decides: []".to_owned(),
        "look-at: the objects beside this file".to_owned(),
    ];
    match names.is_empty() {
        true => lines.push("objects: []".to_owned()),
        false => lines.push("objects:".to_owned()),
    }
    lines.extend(names);
    lines.push(format!("api-server: {}", flow(&handed.api_server())));
    lines.push("weaken: {}".to_owned());
    NewFile { place: Sketch::beside(CAPTURED, "control.yaml"), text: lines.join("\n") + "\n" }
}

fn profile(cluster: &str) -> NewFile {
    let title = text(&format!("What was captured of {cluster}"));
    let text = format!("title: {title}\ncontrols:\n  {CAPTURED}: {{}}\n");
    NewFile { place: format!("manifests/profiles/{CAPTURED}.yaml"), text }
}

/// Where an object has its place among the kinds.
fn rank(object: &Value) -> usize {
    let kind = object["kind"].as_str().unwrap_or_default();
    let kind = match (is_policy(object), bound(object).is_empty()) {
        (true, _) => "Policy",
        (_, false) => "PolicyBinding",
        _ if !is_built_in(group(object)) => "",
        _ => kind,
    };
    let position = |kind: &str| KINDS.iter().position(|(it, _)| *it == kind);
    position(kind).or_else(|| position("")).unwrap_or_default()
}

/// The kind of policies that change what is sent.
const MUTATING: &str = "MutatingAdmissionPolicy";

/// The group of admission policies and webhooks.
const ADMISSION: &str = "admissionregistration.k8s.io";

fn is_webhook(object: &Value) -> bool {
    let kinds = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
    group(object) == ADMISSION && kinds.iter().any(|kind| object["kind"] == *kind)
}

pub(crate) fn is_policy(object: &Value) -> bool {
    let kinds = ["ValidatingAdmissionPolicy", MUTATING];
    group(object) == ADMISSION && kinds.iter().any(|kind| object["kind"] == *kind)
}

/// The policy that a binding binds; empty where it is no binding of a policy.
fn bound(object: &Value) -> String {
    let kind = object["kind"].as_str().and_then(|kind| kind.strip_suffix("Binding"));
    match (kind, object["spec"]["policyName"].as_str()) {
        (Some(kind), Some(name)) if group(object) == ADMISSION => format!("{kind}/{name}"),
        _ => String::new(),
    }
}

/// The group and the kind of a policy's parameters; `None` where it has none.
pub(crate) fn parameters(policy: &Value) -> Option<(String, String)> {
    let named = &policy["spec"]["paramKind"];
    Some((group(named).to_owned(), named["kind"].as_str()?.to_owned()))
}

/// The group and the kind that an object defines.
fn defines(object: &Value) -> Option<(String, String)> {
    let is_definition = object["kind"] == "CustomResourceDefinition";
    let spec = &object["spec"];
    let (group, kind) = (spec["group"].as_str()?, spec["names"]["kind"].as_str()?);
    is_definition.then(|| (group.to_owned(), kind.to_owned()))
}

/// The layers by which an object refuses. A mutating policy does where it fails, and in no other way.
fn layers(object: &Value) -> Vec<Layer> {
    let name = || object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    match is_policy(object) {
        true if object["kind"] == MUTATING => vec![Layer::PolicyFailure(name())],
        true => vec![Layer::Policy(name()), Layer::PolicyFailure(name())],
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
