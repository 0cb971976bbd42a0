//! A Role or ClusterRole with its binding: what it grants must keep working, and what stands beside that must be
//! refused.

use serde_json::{Value, json};

use super::admission::list;
use super::sample::{Resource, pod};
use super::sketch::{Act, Scene, Sketch, Weak};
use super::yaml::{flow, text};
use super::{Kept, NewFile, untried};
use crate::catalog::identity;
use crate::model::{PERSONAS, Reason};

/// What everybody must not have: a verb on a resource, and what is gained.
const DANGEROUS: [(&str, &str, &str); 4] = [
    ("", "secrets", "list"),
    ("", "pods", "create"),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
    ("", "serviceaccounts", "create"),
];

/// What an object is called that the role does not name.
const ANOTHER: &str = "another";

/// Verbs whose requests name no object, so that a rule with `resourceNames` does not allow them as they are asked here
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources>).
const NAMELESS: [&str; 4] = ["list", "watch", "create", "deletecollection"];

/// The pod that is entered.
const APP: &str = "app";

/// A role that is bound.
struct Bound<'a> {
    kept: &'a Kept,
    name: &'a str,
    role: &'a Value,
    binding: &'a Value,
    /// Where it is held; `None` is everywhere.
    namespace: Option<&'a str>,
    subject: &'a Value,
}

/// One thing that the role grants.
struct Granted {
    resource: Resource,
    verb: String,
    named: Option<String>,
}

/// The control of a role.
pub(super) fn role(kept: &Kept, name: &str, role: &Value) -> Result<Sketch, String> {
    let (kind, called) = (&role["kind"], role["metadata"]["name"].as_str().unwrap_or_default());
    let is_its = |it: &&Value| {
        let is_binding = it["kind"] == "RoleBinding" || it["kind"] == "ClusterRoleBinding";
        is_binding && it["roleRef"]["kind"] == *kind && it["roleRef"]["name"] == called
    };
    let mut bindings = kept.objects.iter().filter(is_its);
    let Some(binding) = bindings.next() else {
        let kind = kind.as_str().unwrap_or_default();
        return Err(format!(
            "the {kind} `{called}` has no binding in this file, so that nobody holds it: put its RoleBinding or \
             ClusterRoleBinding into the file"
        ));
    };
    let subject = binding.pointer("/subjects/0").filter(|it| it["name"].is_string());
    let Some(subject) = subject else {
        return Err(format!("{} names nobody: write its `subjects`", identity(binding)));
    };
    let namespace = binding["metadata"]["namespace"].as_str();
    let bound = Bound { kept, name, role, binding, namespace, subject };
    let granted = bound.granted();
    let Some(first) = granted.first() else {
        return Err(format!(
            "{} grants nothing that can be asked for: a rule with resourceNames allows get, update, patch and delete of these, \
             and no list, watch or create",
            identity(role)
        ));
    };
    let mut sketch = bound.sketch(first);
    sketch.set_up.extend(bindings.map(|it| untried(&identity(it))));
    Ok(sketch)
}

impl Bound<'_> {
    fn holder(&self) -> String {
        format!("{}-holder", self.name)
    }

    fn stranger(&self) -> String {
        format!("{}-stranger", self.name)
    }

    fn target(&self) -> String {
        format!("{}-app", self.name)
    }

    /// The namespace in which it is tried.
    fn within(&self) -> String {
        self.namespace.map_or_else(|| self.target(), str::to_owned)
    }

    /// Another namespace, in which a RoleBinding grants nothing.
    fn elsewhere(&self) -> String {
        format!("{}-elsewhere", self.name)
    }

    fn file(&self, id: &str) -> String {
        format!("{}-{id}", self.name)
    }

    /// What it grants, what is easiest to try first.
    fn granted(&self) -> Vec<Granted> {
        let mut granted = Vec::new();
        for rule in list(&self.role["rules"]) {
            let named =
                list(&rule["resourceNames"]).first().and_then(Value::as_str).map(str::to_owned);
            for group in list(&rule["apiGroups"]) {
                for resource in list(&rule["resources"]) {
                    for verb in list(&rule["verbs"]) {
                        let (group, resource) = (
                            group.as_str().unwrap_or_default(),
                            resource.as_str().unwrap_or_default(),
                        );
                        let verb = match (verb.as_str().unwrap_or_default(), &named) {
                            ("*", Some(_)) => "get",
                            ("*", None) => "list",
                            (verb, Some(_)) if NAMELESS.contains(&verb) => continue,
                            (verb, _) => verb,
                        };
                        granted.push(Granted {
                            resource: Resource::of(group, "v1", resource),
                            verb: verb.to_owned(),
                            named: named.clone(),
                        });
                    }
                }
            }
        }
        let order = ["list", "create", "get"];
        granted.sort_by_key(|it| {
            order.iter().position(|verb| *verb == it.verb).unwrap_or(order.len())
        });
        granted
    }

    /// Whether it grants a verb on every object of a resource, by a star as well.
    fn grants(&self, group: &str, resource: &str, verb: &str) -> bool {
        self.grants_where(group, resource, verb, |names| names.is_empty())
    }

    /// Whether a rule for these names does.
    fn grants_where(
        &self,
        group: &str,
        resource: &str,
        verb: &str,
        is_for: impl Fn(&[Value]) -> bool,
    ) -> bool {
        let has = |rule: &Value, field: &str, meant: &str| {
            list(&rule[field]).iter().any(|it| it == "*" || it == meant)
        };
        list(&self.role["rules"]).iter().any(|rule| {
            has(rule, "apiGroups", group)
                && has(rule, "resources", resource)
                && has(rule, "verbs", verb)
                && is_for(&list(&rule["resourceNames"]))
        })
    }

    /// What is refused by authorization, in its words.
    fn refused(&self, resource: &str, verb: &str) -> (&'static str, Value) {
        let saying = format!("cannot {verb} resource \"{resource}\"");
        ("blocked", json!({"by": self.name, "at": "authorization", "saying": saying}))
    }

    /// A request for one right, which changes nothing; `None` where there is none that works without more.
    fn request(
        resource: &Resource,
        verb: &str,
        namespace: &str,
        named: Option<&str>,
    ) -> Option<Value> {
        let path = resource.path(namespace);
        if resource.subresource.is_some() {
            return None;
        }
        let (method, path) = match (verb, named) {
            ("list", _) => ("GET", format!("{path}?limit=1")),
            ("create", _) => {
                let body = resource.object("attack");
                return Some(
                    json!({"request": {"method": "POST", "path": format!("{path}?dryRun=All"), "body": body}}),
                );
            }
            ("get", Some(name)) => ("GET", format!("{path}/{name}")),
            ("delete", Some(name)) => ("DELETE", format!("{path}/{name}?dryRun=All")),
            _ => return None,
        };
        Some(json!({"request": {"method": method, "path": path}}))
    }

    /// A question to the authorizer about what is granted, which needs nothing to be there.
    fn question(&self, granted: &Granted) -> Value {
        let mut right = json!({"verb": granted.verb, "resource": granted.resource.full_name()});
        if !granted.resource.group.is_empty() {
            right["group"] = json!(granted.resource.group);
        }
        if granted.resource.is_namespaced() {
            right["in"] = json!(self.within());
        }
        if let Some(named) = &granted.named {
            right["named"] = json!(named);
        }
        json!({"rights": {"of": {"persona": self.holder()}, "to": right}})
    }

    /// What must keep working: a request where one can be made up, and the question.
    fn permits(&self, first: &Granted) -> Vec<Act> {
        let worked = ("succeeds", json!({}));
        let what = format!("{} of {}", first.verb, first.resource.full_name());
        let named = first.named.as_deref();
        let request = Self::request(&first.resource, &first.verb, &self.within(), named);
        let is_there = first.verb == "list" || first.resource.is_known();
        let asked = (!is_there)
            .then_some("what it names must be there, and be right: put it into the target");
        let holder = self.holder();
        let tried = request.map(|it| Act::new(&what, &holder, it, worked.clone()).asking(asked));
        // A block by authorization counts only beside a success of the same persona.
        let seen = Act::new(
            "who it is",
            &holder,
            json!({"request": {"method": "GET", "path": "/api"}}),
            worked.clone(),
        );
        let held = Act::new(&format!("the right to {what}"), "admin", self.question(first), worked);
        [tried.unwrap_or(seen), held].into()
    }

    fn sketch(&self, first: &Granted) -> Sketch {
        let kept = self.kept;
        let (its, bound) = (identity(self.role), identity(self.binding));
        let place = |file: &str| Sketch::beside(self.name, file);
        let mut files = vec![
            NewFile { place: place(&kept.file), text: kept.text.clone() },
            super::manifest(
                &place("cluster-admin.yaml"),
                "# One generous binding.\n",
                &[self.bound_to("cluster-admin")],
            ),
            self.target_file(first),
            self.holder_file(),
            NewFile {
                place: format!("manifests/personas/{}.yaml", self.stranger()),
                text: format!(
                    "# Holds no role: whoever is somebody may do what this may.\nwho: {{service-account: {{namespace: {PERSONAS}, \
                     name: {}}}}}\n",
                    text(&self.stranger())
                ),
            },
        ];
        let beyond = self.beyond();
        let beyond_id = self.name.to_owned();
        let exec = self.file("exec");
        let mut weakenings = vec![
            Weak::new("absent", "one generous binding makes every careful role beside it worthless")
                .add("cluster-admin.yaml")
                .expect(&beyond_id, Reason::Bypassed)
                .expect(&exec, Reason::Bypassed),
            Weak::new("every-resource", "a star among the resources means those that nobody thought of, Secrets among them")
                .patch(&[(&its, vec![json!({"op": "add", "path": "/rules/-", "value": {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "create"]}})])])
                .expect(&beyond_id, Reason::Bypassed)
                .expect(&exec, Reason::Bypassed),
            Weak::new("exec-by-get", "get reads like reading, and opens a shell by WebSocket; from Kubernetes 1.35 on only a check behind authorization stands in the way")
                .patch(&[(&its, vec![json!({"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}})])])
                .expect(&exec, Reason::WrongLayer),
            Weak::new("everybody", "the group of all who are somebody was meant as our people, and holds every ServiceAccount")
                .patch(&[(&bound, vec![json!({"op": "add", "path": "/subjects/-", "value": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}})])])
                .expect(&self.file("stranger"), Reason::Bypassed),
        ];
        let mut scenarios = vec![
            self.scene(&beyond_id, "What the role does not grant", beyond, first),
            self.scene(&exec, "A shell in a pod", vec![self.exec()], first),
            self.scene_of_a_stranger(first),
        ];
        // What no request can be made up for would be a question about the object that it does name.
        let another = first.named.as_ref().and_then(|_| {
            Self::request(&first.resource, &first.verb, &self.within(), Some(ANOTHER))
        });
        if let Some(another) = another {
            let refused = self.refused(&first.resource.full_name(), &first.verb);
            let other = Act::new("another of the same kind", &self.holder(), another, refused);
            weakenings.push(self.every_name(&its));
            scenarios.push(self.scene(
                &self.file("other-name"),
                "Another of the same kind",
                vec![other],
                first,
            ));
        }
        if self.namespace.is_some() && first.resource.is_namespaced() {
            files.push(super::manifest(
                &place("everywhere.yaml"),
                "# The same role, bound in the whole cluster.\n",
                &self.everywhere(),
            ));
            weakenings.push(
                Weak::new("everywhere", "a ClusterRoleBinding is one word less than a list of namespaces, and opens those of everybody")
                    .add("everywhere.yaml")
                    .expect(&self.file("elsewhere"), Reason::Bypassed),
            );
            scenarios.push(self.scene_elsewhere(first));
        }
        Sketch {
            name: self.name.to_owned(),
            title: format!("Whoever holds {} may do that and no more", its),
            decides: json!(["authorization"]),
            look_at: format!(
                "{its}: rules; {bound}: subjects, roleRef; and whatever else the same subjects are bound to"
            ),
            set_up: vec![format!("objects: {}", flow(&json!([kept.file])))],
            ready: self.ready(),
            weakenings,
            scenarios,
            files,
        }
    }

    /// Without the names, what it allows of one object it allows of all.
    fn every_name(&self, its: &str) -> Weak {
        let rules = list(&self.role["rules"]).into_iter().enumerate();
        let named = rules.filter(|(_, rule)| !list(&rule["resourceNames"]).is_empty());
        let removed = named
            .map(|(at, _)| json!({"op": "remove", "path": format!("/rules/{at}/resourceNames")}));
        let weak = Weak::new(
            "every-name",
            "without resourceNames it holds for all of the kind, and for those still to come",
        )
        .patch(&[(its, removed.collect())])
        .expect(&self.file("other-name"), Reason::Bypassed);
        let gained = |(group, resource, verb): (&str, &str, &str)| {
            self.grants_where(group, resource, verb, |_| true)
        };
        match self.not_granted().any(gained) {
            true => weak.expect(self.name, Reason::Bypassed),
            false => weak,
        }
    }

    /// The first thing that it does not grant shows that others are refused.
    fn ready(&self) -> Vec<String> {
        let Some((group, resource, verb)) = self.not_granted().next() else { return Vec::new() };
        let what = Self::request(&Resource::of(group, "v1", resource), verb, &self.within(), None);
        let mut lines = vec![
            format!("- as: {}", text(&self.holder())),
            format!("  target: {}", text(&self.target())),
        ];
        lines.push(format!("  do: {}", flow(&what.unwrap_or_default())));
        lines
            .push(format!("  saying: {}", text(&format!("cannot {verb} resource \"{resource}\""))));
        lines
    }

    fn not_granted(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        DANGEROUS.into_iter().filter(|(group, resource, verb)| !self.grants(group, resource, verb))
    }

    /// Attacks by what it does not grant.
    fn beyond(&self) -> Vec<Act> {
        let attack = |(group, resource, verb)| {
            let what =
                Self::request(&Resource::of(group, "v1", resource), verb, &self.within(), None)?;
            let name = format!("{verb} of {resource}");
            Some(Act::new(&name, &self.holder(), what, self.refused(resource, verb)))
        };
        let attacks: Vec<Act> = self.not_granted().filter_map(attack).collect();
        if attacks.is_empty() {
            let what = json!({"request": {"method": "GET", "path": "/api/v1/nodes?limit=1"}});
            let asked =
                "it grants what few should have; this is to be something that it must not grant";
            return vec![
                Act::new("list of nodes", &self.holder(), what, self.refused("nodes", "list"))
                    .asking(Some(asked)),
            ];
        }
        attacks
    }

    fn exec(&self) -> Act {
        let what = json!({"exec": {"command": ["probe", "echo", "foo"]}});
        let blocked =
            json!({"by": self.name, "at": "authorization", "saying": "resource \"pods/exec\""});
        let asked = ["get", "create"]
            .iter()
            .any(|verb| {
                let is_for = |names: &[Value]| names.is_empty() || names.iter().any(|it| it == APP);
                self.grants_where("", "pods/exec", verb, is_for)
            })
            .then_some("it grants this: take the attack out, and what expects it");
        Act::new("a command", &self.holder(), what, ("blocked", blocked)).asking(asked)
    }

    fn scene(&self, id: &str, title: &str, attacks: Vec<Act>, first: &Granted) -> Scene {
        Scene {
            id: id.to_owned(),
            title: title.to_owned(),
            why: "What whoever holds the role gains when it works.".to_owned(),
            fix: format!("What to change where it does: {}.", identity(self.role)),
            target: self.target(),
            attacks,
            permits: self.permits(first),
        }
    }

    fn scene_of_a_stranger(&self, first: &Granted) -> Scene {
        let (stranger, named) = (self.stranger(), first.named.as_deref());
        let what = Self::request(&first.resource, &first.verb, &self.within(), named);
        let asked = what.is_none().then_some("a request that only the role lets in");
        let what = what.unwrap_or_else(|| json!({"request": {"method": "GET", "path": format!("{}?limit=1", first.resource.path(&self.within()))}}));
        let verb = if asked.is_some() { "list" } else { first.verb.as_str() };
        let resource =
            if asked.is_some() { first.resource.name.clone() } else { first.resource.full_name() };
        let attack = Act::new(
            "somebody who does not hold it",
            &stranger,
            what,
            self.refused(&resource, verb),
        )
        .asking(asked);
        let mut scene = self.scene(
            &self.file("stranger"),
            "Somebody else does what the role is for",
            vec![attack],
            first,
        );
        let seen = json!({"request": {"method": "GET", "path": "/api"}});
        scene.permits.push(Act::new(
            "who somebody else is",
            &stranger,
            seen,
            ("succeeds", json!({})),
        ));
        scene
    }

    fn scene_elsewhere(&self, first: &Granted) -> Scene {
        let there = self.elsewhere();
        let what = Self::request(&first.resource, &first.verb, &there, first.named.as_deref());
        let asked = what.is_none().then_some("a request that the role lets in where it is bound");
        let what = what.unwrap_or_else(|| json!({"request": {"method": "GET", "path": format!("{}?limit=1", first.resource.path(&there))}}));
        let verb = if asked.is_some() { "list" } else { first.verb.as_str() };
        let resource =
            if asked.is_some() { first.resource.name.clone() } else { first.resource.full_name() };
        let attack =
            Act::new("in another namespace", &self.holder(), what, self.refused(&resource, verb))
                .asking(asked);
        self.scene(
            &self.file("elsewhere"),
            "The same in a namespace of others",
            vec![attack],
            first,
        )
    }

    /// A binding of the same subjects to a ClusterRole, everywhere.
    fn bound_to(&self, role: &str) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{}-{role}", self.name)},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": self.binding["subjects"],
        })
    }

    /// The role's rights in the whole cluster: a ClusterRole and its binding.
    fn everywhere(&self) -> Vec<Value> {
        let name = format!("{}-everywhere", self.name);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": self.role["rules"],
        });
        let mut binding = self.bound_to(&name);
        binding["metadata"]["name"] = json!(name);
        vec![role, binding]
    }

    fn target_file(&self, first: &Granted) -> NewFile {
        let within = self.within();
        let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let mut objects = vec![
            namespace(&within),
            pod(&within, APP, &json!({"app": "app"}), &["probe", "tick"]),
            namespace(&self.elsewhere()),
        ];
        if let Some(named) = first.named.as_deref().filter(|_| first.resource.is_known()) {
            let elsewhere = self.elsewhere();
            let places = [(named, &within), (ANOTHER, &within), (named, &elsewhere)];
            for (name, namespace) in &places[..if first.resource.is_namespaced() { 3 } else { 2 }] {
                let mut object = first.resource.object(name);
                if first.resource.is_namespaced() {
                    object["metadata"]["namespace"] = json!(namespace);
                }
                objects.push(object);
            }
        }
        if self.subject["kind"] == "ServiceAccount" {
            let metadata =
                json!({"name": self.subject["name"], "namespace": self.account_namespace()});
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
            let owner = self.account_namespace();
            if ![within.as_str(), PERSONAS].contains(&owner.as_str())
                && !owner.starts_with("kube-")
                && owner != "default"
            {
                objects.push(namespace(&owner));
            }
            if owner != PERSONAS {
                objects.push(account);
            }
        }
        super::manifest(
            &format!("manifests/targets/{}.yaml", self.target()),
            "# Where the role is held, and a namespace in which it is not.\n",
            &objects,
        )
    }

    fn account_namespace(&self) -> String {
        self.subject["namespace"].as_str().unwrap_or(&self.within()).to_owned()
    }

    /// Whoever the binding names.
    fn holder_file(&self) -> NewFile {
        let name = self.subject["name"].as_str().unwrap_or_default();
        let who = match self.subject["kind"].as_str() {
            Some("ServiceAccount") => {
                json!({"service-account": {"namespace": self.account_namespace(), "name": name}})
            }
            Some("Group") => {
                json!({"impersonated": {"user": format!("{}-member", self.name), "groups": [name]}})
            }
            _ => json!({"impersonated": {"user": name}}),
        };
        let written = format!(
            "# Holds the role by {}. What it grants is not repeated here: that is what is tried.\nwho: {}\n",
            identity(self.binding),
            flow(&who)
        );
        NewFile { place: format!("manifests/personas/{}.yaml", self.holder()), text: written }
    }
}
