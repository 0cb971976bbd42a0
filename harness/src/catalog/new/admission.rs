//! A ValidatingAdmissionPolicy with its bindings, or a webhook configuration: what it is asked about is in its rules, so that
//! the attacks, the permits and most ways to get it wrong follow from it. What it refuses, a policy's expressions often say.

use serde_json::{Value, json};

use super::sample::{Guess, Resource, pod};
use super::sketch::{Act, Scene, Sketch, Weak, YOURS, set};
use super::yaml::{flow, text};
use super::{Kept, NewFile, untried};
use crate::catalog::identity;
use crate::model::{Reason, is_built_in};

/// Something that is asked at admission.
struct Guard<'a> {
    kept: &'a Kept,
    name: &'a str,
    /// What decides: a policy or webhooks.
    decides: Value,
    /// The kind of review that reads it.
    review: &'static str,
    /// What the review calls it.
    named: String,
    /// The object that has the rules, and where in it they are.
    ruled: (String, &'static str),
    rules: Vec<Value>,
    /// The bindings of a policy, those that only record among them.
    bindings: Vec<String>,
    /// What chooses namespaces: each binding that denies, or a webhook.
    choosing: Vec<Choosing>,
    /// How what is tried chooses them.
    selectors: Vec<Value>,
    /// The labels that it chooses objects by.
    labels: Value,
    conditions: Vec<String>,
    /// What it says when it refuses, and all that it asks.
    saying: Option<String>,
    expressions: String,
}

/// An object that chooses namespaces.
struct Choosing {
    object: String,
    /// Where in it it does, or what that is in where this may not be there yet.
    place: String,
    /// How it does.
    selector: Value,
    /// What a binding matches beside; `None` of a webhook.
    matched: Option<Value>,
}

/// What one rule is asked about, and how it is tried.
#[derive(Clone)]
struct Asked {
    resource: Resource,
    operation: String,
}

/// The operations that admission knows, that which most attacks are first.
const OPERATIONS: [&str; 4] = ["CREATE", "CONNECT", "UPDATE", "DELETE"];

/// The label of a namespace that is its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

const UNKNOWN: &str = "lay over this what it must refuse; nothing here says what that is";
const GUESSED: &str = "guessed from its expressions; this is to be what it must refuse";
const LET_IN: &str =
    "this is to be what it must let in, and to differ from the attack in one thing";
const SERVER: &str = "what answers it must run: name its Deployment, its Service and its certificate in `objects:` as \
                      well, and in `servers:` what serves where there are no nodes";

/// The control of a policy.
pub(super) fn policy(kept: &Kept, name: &str, policy: &Value) -> Result<Sketch, String> {
    let called = policy["metadata"]["name"].as_str().unwrap_or_default();
    let is_its = |it: &&Value| {
        it["kind"] == "ValidatingAdmissionPolicyBinding" && it["spec"]["policyName"] == called
    };
    let bindings: Vec<&Value> = kept.objects.iter().filter(is_its).collect();
    if bindings.is_empty() {
        return Err(format!(
            "the ValidatingAdmissionPolicy `{called}` has no binding in this file, without which it decides nothing: put its \
             ValidatingAdmissionPolicyBinding into the file"
        ));
    }
    let denies = |it: &&Value| list(&it["spec"]["validationActions"]).contains(&json!("Deny"));
    let denying: Vec<&Value> = bindings.iter().copied().filter(denies).collect();
    let Some(binding) = denying.first() else {
        return Err(format!(
            "no binding of the ValidatingAdmissionPolicy `{called}` has Deny among its `validationActions`, so that it refuses \
             nothing: write `validationActions: [Deny]`"
        ));
    };
    let constraints = &policy["spec"]["matchConstraints"];
    let matched = &binding["spec"]["matchResources"];
    let mut guard = Guard {
        kept,
        name,
        decides: json!([{"policy": called}]),
        review: "policies",
        named: called.to_owned(),
        ruled: (identity(policy), "/spec/matchConstraints/resourceRules"),
        rules: list(&constraints["resourceRules"]),
        bindings: bindings.iter().map(|it| identity(it)).collect(),
        choosing: denying.iter().map(|it| Choosing::of_binding(it)).collect(),
        selectors: vec![
            constraints["namespaceSelector"].clone(),
            matched["namespaceSelector"].clone(),
        ],
        labels: labels(&[&constraints["objectSelector"], &matched["objectSelector"]]),
        conditions: expressions(&policy["spec"]["matchConditions"]),
        saying: None,
        expressions: String::new(),
    };
    let asked = guard.asked()?;
    guard.choose(&asked, &policy["spec"]);
    let title = format!("What the admission policy {called} refuses is refused");
    let look_at = format!(
        "ValidatingAdmissionPolicy {called}: failurePolicy (Fail), resourceRules; {}: validationActions (Deny), \
         namespaceSelector",
        identity(binding)
    );
    let mut sketch = guard.sketch(&asked, title, look_at);
    let its = identity(policy);
    let bound: Vec<&str> = guard.bindings.iter().map(String::as_str).collect();
    let all = |weak: Weak| guard.noticed_by_all(&asked, weak);
    let identities: Vec<String> = denying.iter().map(|it| identity(it)).collect();
    let action = |it: &str| -> Vec<(&str, Vec<Value>)> {
        let change = vec![set("/spec/validationActions", json!([it]))];
        identities.iter().map(|binding| (binding.as_str(), change.clone())).collect()
    };
    sketch.weakenings.extend([
        all(Weak::new("binding-gone", "a policy without a binding is accepted, listed, and decides nothing").delete(&bound)),
        all(Weak::new("audit-only", "a policy that was tried out first stays at Audit, and records what it should refuse")
            .patch(&action("Audit"))),
        all(Weak::new("warn-only", "a warning is shown to whoever attacks, and to nobody else")
            .patch(&action("Warn"))),
        all(Weak::new("errors-ignored", "an expression that fails lets in where failurePolicy is Ignore").patch(&[(
            &its,
            vec![
                set("/spec/failurePolicy", json!("Ignore")),
                set("/spec/validations", json!([{"expression": "object.metadata.labels['brinell.dev/none'] == 'none'"}])),
            ],
        )])),
        Weak::new("fails-open-tomorrow", "none of its expressions fails today, and a field that a later version brings may make one fail")
            .patch(&[(&its, vec![set("/spec/failurePolicy", json!("Ignore"))])])
            .expect(&guard.reviewed(), Reason::Misconfigured),
    ]);
    if policy["spec"]["failurePolicy"] == "Ignore" {
        // The review of it is red, and rightly so: then there is nothing left to weaken.
        sketch.weakenings.pop();
    }
    if policy["spec"]["paramKind"].is_object() {
        let missing = |binding: &&Value| {
            let reference = binding["spec"]["paramRef"].as_object().cloned().unwrap_or_default();
            let mut reference = Value::Object(reference);
            reference["name"] = json!("brinell-none");
            reference["parameterNotFoundAction"] = json!("Allow");
            vec![set("/spec/paramRef", reference)]
        };
        let patches: Vec<(&str, Vec<Value>)> =
            identities.iter().map(String::as_str).zip(denying.iter().map(missing)).collect();
        sketch.weakenings.push(all(Weak::new(
            "parameters-missing",
            "with Allow, whoever deletes the parameters or mistypes their name turns it off",
        )
        .patch(&patches)));
    }
    Ok(sketch)
}

/// The control of a webhook configuration, validating or mutating.
pub(super) fn webhook(kept: &Kept, name: &str, webhooks: &Value) -> Result<Sketch, String> {
    let called = webhooks["metadata"]["name"].as_str().unwrap_or_default();
    let all_of_it = list(&webhooks["webhooks"]);
    let Some(first) = all_of_it.first().filter(|it| it["name"].is_string()) else {
        return Err(format!(
            "`{called}` has no webhook with a name: there is nothing that could refuse"
        ));
    };
    let deciding = all_of_it.iter().map(|it| json!({"webhook": it["name"]}));
    let guard = Guard {
        kept,
        name,
        decides: deciding.collect(),
        review: "webhooks",
        named: called.to_owned(),
        ruled: (identity(webhooks), "/webhooks/0/rules"),
        rules: list(&first["rules"]),
        bindings: Vec::new(),
        choosing: vec![Choosing {
            object: identity(webhooks),
            place: "/webhooks/0/namespaceSelector".to_owned(),
            selector: first["namespaceSelector"].clone(),
            matched: None,
        }],
        selectors: vec![first["namespaceSelector"].clone()],
        labels: labels(&[&first["objectSelector"]]),
        conditions: expressions(&first["matchConditions"]),
        saying: None,
        expressions: String::new(),
    };
    let asked = guard.asked()?;
    let title =
        format!("What the webhook {} refuses is refused", first["name"].as_str().unwrap_or(called));
    let look_at = format!(
        "{}: failurePolicy (Fail), rules, namespaceSelector; the pods that answer it",
        identity(webhooks)
    );
    let mut sketch = guard.sketch(&asked, title, look_at);
    sketch.set_up.insert(0, format!("{YOURS} {SERVER}"));
    let others = all_of_it.iter().skip(1).filter_map(|it| it["name"].as_str());
    sketch.set_up.extend(others.map(untried));
    let its = identity(webhooks);
    let every = |change: &dyn Fn(usize) -> Vec<Value>| {
        (0..all_of_it.len()).flat_map(change).collect::<Vec<_>>()
    };
    let all = |weak: Weak| guard.noticed_by_all(&asked, weak);
    sketch.weakenings.push(all(Weak::new(
        "fails-open",
        "while what answers it is down, or kept busy, Ignore lets everybody in",
    )
    .patch(&[(
        &its,
        every(&|at| {
            vec![
                set(&format!("/webhooks/{at}/failurePolicy"), json!("Ignore")),
                set(
                    &format!("/webhooks/{at}/clientConfig"),
                    json!({"url": "https://127.0.0.1:1/"}),
                ),
            ]
        }),
    )])));
    if first["failurePolicy"] != "Ignore" {
        sketch.weakenings.push(
            Weak::new("fails-open-tomorrow", "Ignore shows in no request while it is answered, and on the day that it is not everybody is let in")
                .patch(&[(&its, vec![set("/webhooks/0/failurePolicy", json!("Ignore"))])])
                .expect(&guard.reviewed(), Reason::Misconfigured),
        );
    }
    Ok(sketch)
}

impl Choosing {
    fn of_binding(binding: &Value) -> Choosing {
        let matched = &binding["spec"]["matchResources"];
        Choosing {
            object: identity(binding),
            place: "/spec/matchResources".to_owned(),
            selector: matched["namespaceSelector"].clone(),
            matched: Some(if matched.is_object() { matched.clone() } else { json!({}) }),
        }
    }

    /// The patch by which it chooses otherwise.
    fn change(&self, selector: Value) -> (&str, Vec<Value>) {
        let value = match &self.matched {
            Some(matched) => {
                let mut whole = matched.clone();
                whole["namespaceSelector"] = selector;
                whole
            }
            None => selector,
        };
        (&self.object, vec![set(&self.place, value)])
    }
}

impl Guard<'_> {
    /// The validation that is tried, with its own words: the first whose breach can be guessed, or else the first.
    fn choose(&mut self, asked: &[Asked], spec: &Value) {
        let (validations, variables) = (list(&spec["validations"]), list(&spec["variables"]));
        let is_guessed = |it: &&Value| {
            let said = said(it, &variables);
            asked[0].resource.guess(&said, json!({})).wrong.is_some()
        };
        let Some(chosen) = validations.iter().find(is_guessed).or(validations.first()) else {
            return;
        };
        self.expressions = said(chosen, &variables);
        // What an expression says takes the place of the message
        // (<https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#message-expression>).
        let message = chosen["message"].as_str().filter(|_| chosen["messageExpression"].is_null());
        self.saying = message.and_then(saying);
    }

    /// What it is asked about: of the first rule one operation on a resource, and of all rules the other operations and the
    /// subresources.
    fn asked(&self) -> Result<Vec<Asked>, String> {
        let mut asked: Vec<Asked> = Vec::new();
        for rule in &self.rules {
            let (groups, versions) = (list(&rule["apiGroups"]), list(&rule["apiVersions"]));
            let first = |of: &[Value], otherwise: &str| {
                of.first().and_then(Value::as_str).unwrap_or(otherwise).to_owned()
            };
            for resource in list(&rule["resources"]).iter().flat_map(meant) {
                let resource =
                    Resource::of(&first(&groups, ""), &first(&versions, "v1"), &resource);
                for operation in operations(rule).into_iter().filter(|it| resource.meets(it)) {
                    let is_there = |it: &&Asked| {
                        it.operation == operation && it.resource.full_name() == resource.full_name()
                    };
                    if !asked.iter().any(|it| is_there(&it)) {
                        asked.push(Asked { resource: resource.clone(), operation });
                    }
                }
            }
        }
        asked.sort_by_key(|it| {
            let order = OPERATIONS.iter().position(|known| *known == it.operation);
            (order, it.resource.subresource.is_some())
        });
        // Of each operation on a kind one scenario is enough; a subresource is a resource of its own.
        let mut kept: Vec<Asked> = Vec::new();
        for it in asked {
            let is_like = |other: &Asked| {
                other.operation == it.operation
                    && (other.resource.subresource == it.resource.subresource)
            };
            if !kept.iter().any(is_like) {
                kept.push(it);
            }
        }
        match kept.is_empty() {
            true => {
                Err("it has no rule that matches anything: it is asked about nothing".to_owned())
            }
            false => Ok(kept),
        }
    }

    /// The scenario that tries what is asked about: the first has the control's name.
    fn scenario(&self, asked: &[Asked], it: &Asked) -> String {
        let is_first = asked.first().is_some_and(|first| first.suffix() == it.suffix());
        if is_first { self.name.to_owned() } else { format!("{}-{}", self.name, it.suffix()) }
    }

    fn reviewed(&self) -> String {
        format!("{}-reviewed", self.name)
    }

    fn target(&self) -> String {
        format!("{}-app", self.name)
    }

    /// The namespace that it acts in: that which a selector names, or one of the target's name.
    fn namespace(&self) -> String {
        self.demanded().unwrap_or_else(|| self.target())
    }

    /// The name that a selector demands of a namespace; `None` where they demand none.
    fn demanded(&self) -> Option<String> {
        let of_one = |selector: &Value| {
            let conditions = list(&selector["matchExpressions"]);
            let is_its = |it: &&Value| it["key"] == NAMESPACE_NAME && it["operator"] == "In";
            let named = selector["matchLabels"][NAMESPACE_NAME].as_str().map(str::to_owned);
            named.or_else(|| {
                let values = conditions.iter().find(is_its)?["values"][0].clone();
                values.as_str().map(str::to_owned)
            })
        };
        self.selectors.iter().find_map(of_one)
    }

    fn persona(&self) -> String {
        format!("{}-developer", self.name)
    }

    /// Its objects: a policy and its binding, or a webhook configuration, which chooses namespaces itself.
    fn objects(&self) -> Vec<&str> {
        [&self.ruled.0].into_iter().chain(&self.bindings).map(String::as_str).collect()
    }

    fn noticed_by_all(&self, asked: &[Asked], weak: Weak) -> Weak {
        asked.iter().fold(weak, |weak, it| weak.expect(&self.scenario(asked, it), Reason::Bypassed))
    }

    fn sketch(&self, asked: &[Asked], title: String, look_at: String) -> Sketch {
        let kept = self.kept;
        let file =
            NewFile { place: Sketch::beside(self.name, &kept.file), text: kept.text.clone() };
        let mut weakenings = vec![
            self.noticed_by_all(
                asked,
                Weak::new("absent", "whoever may send the request decides alone what is in it")
                    .delete(&self.objects()),
            ),
        ];
        weakenings.extend(self.rules_wrong(asked));
        weakenings.extend(self.choosing_wrong(asked));
        weakenings.push(self.exempt(asked));
        let mut scenarios: Vec<Scene> = asked.iter().map(|it| self.scene(asked, it)).collect();
        scenarios.push(self.review(asked));
        Sketch {
            name: self.name.to_owned(),
            title,
            decides: self.decides.clone(),
            look_at,
            set_up: vec![format!("objects: {}", flow(&json!([kept.file])))],
            ready: self.ready(&asked[0]),
            weakenings,
            scenarios,
            files: vec![file, self.target_file(asked), self.persona_file(asked)],
        }
    }

    /// Rules that forget an operation, a subresource, or mean another group.
    fn rules_wrong(&self, asked: &[Asked]) -> Vec<Weak> {
        let (object, place) = (&self.ruled.0, self.ruled.1);
        let change = |field: &str, value: &dyn Fn(&Value) -> Value| {
            let changed = self.rules.iter().enumerate();
            changed
                .map(|(at, rule)| set(&format!("{place}/{at}/{field}"), value(rule)))
                .collect::<Vec<_>>()
        };
        let mut weak = Vec::new();
        for missed in distinct(asked.iter().map(|it| it.operation.clone())) {
            let others = |rule: &Value| {
                let left = operations(rule).into_iter().filter(|other| *other != missed);
                let left: Vec<String> = left.collect();
                let another = if missed == "CREATE" { "UPDATE" } else { "CREATE" };
                if left.is_empty() { json!([another]) } else { json!(left) }
            };
            let of_it = asked.iter().filter(|other| other.operation == missed);
            let name = format!("misses-{}", missed.to_lowercase());
            let weakened = Weak::new(
                &name,
                "a rule for one operation says nothing of another, by which the same is done",
            )
            .patch(&[(object, change("operations", &others))]);
            weak.push(of_it.fold(weakened, |weak, other| {
                weak.expect(&self.scenario(asked, other), Reason::Bypassed)
            }));
        }
        for it in asked.iter().filter(|it| it.resource.subresource.is_some()) {
            let full = it.resource.full_name();
            let without = |rule: &Value| {
                let resources = list(&rule["resources"]);
                let left: Vec<String> =
                    resources.iter().flat_map(meant).filter(|other| *other != full).collect();
                if left.is_empty() { json!([it.resource.name]) } else { json!(left) }
            };
            let name = format!("misses-{}", it.resource.subresource.as_deref().unwrap_or_default());
            let weakened = Weak::new(&name, "a subresource is a resource of its own, which a rule on the resource does not match")
                .patch(&[(object, change("resources", &without))]);
            weak.push(weakened.expect(&self.scenario(asked, it), Reason::Bypassed));
        }
        let core = |rule: &Value| {
            if rule["apiGroups"] == json!([""]) { json!(["core"]) } else { json!([""]) }
        };
        if self.rules.iter().any(|rule| rule["apiGroups"] != json!(["*"])) {
            weak.push(
                self.noticed_by_all(
                    asked,
                    Weak::new(
                        "wrong-group",
                        "a group that the resource is not in matches nothing, and is no error",
                    )
                    .patch(&[(object, change("apiGroups", &core))]),
                ),
            );
        }
        weak.dedup_by(|one, other| one.name() == other.name());
        weak
    }

    /// Selectors that miss, or leave a namespace out.
    fn choosing_wrong(&self, asked: &[Asked]) -> [Weak; 2] {
        let misses = |_: &Choosing| json!({"matchLabels": {"brinell.dev/none": "none"}});
        let left_out = |it: &Choosing| {
            let mut selector =
                if it.selector.is_object() { it.selector.clone() } else { json!({}) };
            let mut conditions = list(&selector["matchExpressions"]);
            conditions.push(
                json!({"key": NAMESPACE_NAME, "operator": "NotIn", "values": [self.namespace()]}),
            );
            selector["matchExpressions"] = json!(conditions);
            selector
        };
        let change = |selector: &dyn Fn(&Choosing) -> Value| {
            self.choosing.iter().map(|it| it.change(selector(it))).collect::<Vec<_>>()
        };
        let all = |weak: Weak| self.noticed_by_all(asked, weak);
        [
            all(Weak::new("selector-misses", "a selector that no namespace's labels meet is no error, and nobody is asked")
                .patch(&change(&misses))),
            all(Weak::new("namespace-left-out", "a namespace is left out by its name while it is in the way of an incident, and stays so")
                .patch(&change(&left_out))),
        ]
    }

    fn exempt(&self, asked: &[Asked]) -> Weak {
        let place = match self.ruled.1 {
            "/webhooks/0/rules" => "/webhooks/0/matchConditions",
            _ => "/spec/matchConditions",
        };
        let people = json!({"name": "brinell-people", "expression": "!request.userInfo.username.startsWith(\"system:\")"});
        let object = self.kept.objects.iter().find(|it| identity(it) == self.ruled.0);
        let conditions = object.and_then(|it| it.pointer(place)).map(list).unwrap_or_default();
        let conditions: Vec<Value> = conditions.into_iter().chain([people]).collect();
        let why = "the cluster's own users are exempt by the beginning of their names, with which every ServiceAccount's begins";
        let weak = Weak::new("system-users-exempt", why);
        let weak = weak.patch(&[(&self.ruled.0, vec![set(place, json!(conditions))])]);
        self.noticed_by_all(asked, weak).expect(&self.reviewed(), Reason::Misconfigured)
    }

    fn guess(&self, asked: &Asked) -> Guess {
        asked.resource.guess(&self.expressions, self.labels.clone())
    }

    /// The question that shows it acting.
    fn ready(&self, asked: &Asked) -> Vec<String> {
        let what = asked.request(&self.namespace(), "marker", &self.guess(asked), true);
        // Admins are whom conditions often exempt.
        let mut lines = vec![
            format!("- as: {}", text(&self.persona())),
            format!("  target: {}", text(&self.target())),
        ];
        lines.extend(self.asks(asked).map(|it| format!("  {YOURS} {it}")));
        lines.push(format!("  do: {}", flow(&what)));
        lines.push(match &self.saying {
            Some(saying) => format!("  saying: {}", text(saying)),
            None => format!(
                "  {YOURS} saying: words of its refusal, by which it is known to be this one's"
            ),
        });
        lines
    }

    /// What nobody but the reader can tell of an attack.
    fn asks(&self, asked: &Asked) -> Option<&'static str> {
        match (self.guess(asked).wrong.is_some(), asked.operation.as_str()) {
            (true, _) => Some(GUESSED),
            (false, "CONNECT") => None,
            (false, _) => Some(UNKNOWN),
        }
    }

    fn scene(&self, asked: &[Asked], it: &Asked) -> Scene {
        let (guess, who) = (self.guess(it), self.persona());
        let mut blocked = json!({"by": self.name});
        if let Some(saying) = &self.saying {
            blocked["saying"] = json!(saying);
        }
        let what = it.tried(&self.namespace(), &guess, true);
        // What may be done to a subresource depends on what is there; to look at its object is always something else.
        let right = match it.resource.subresource.is_some() && !it.is_exec() {
            true => {
                let path = format!("{}/{}", it.resource.path(&self.namespace()), it.there());
                json!({"request": {"method": "GET", "path": path}})
            }
            false => it.tried(&self.namespace(), &guess, false),
        };
        let outcome = if it.is_exec() { json!({"stdout": "foo"}) } else { json!({}) };
        let doing = format!("{} of {}", it.operation, it.resource.full_name());
        Scene {
            id: self.scenario(asked, it),
            title: format!("What {} must refuse: {doing}", self.named),
            why: "What an attacker gains, or what is lost, when the attack works.".to_owned(),
            fix: format!("What to change on a cluster where it fails: {}.", self.named),
            target: self.target(),
            attacks: vec![Act::new(&doing, &who, what, ("blocked", blocked)).asking(self.asks(it))],
            permits: vec![
                Act::new("the same without what is wrong", &who, right, ("succeeds", outcome))
                    .asking(Some(LET_IN)),
            ],
        }
    }

    /// A review finds what no request shows: who fails open tomorrow, and who is exempt whom nobody acts as.
    fn review(&self, asked: &[Asked]) -> Scene {
        let core = &asked[0].resource.group;
        let of_group = |it: &&Asked| it.resource.group == *core;
        let resources: Vec<String> =
            distinct(asked.iter().filter(of_group).map(|it| it.resource.full_name()));
        let operations = distinct(
            asked
                .iter()
                .filter(of_group)
                .filter(|it| it.operation == asked[0].operation)
                .map(|it| it.operation.clone()),
        );
        // An operation of one resource need not be one of another.
        let resources =
            match asked.iter().filter(of_group).all(|it| it.operation == asked[0].operation) {
                true => resources,
                false => vec![asked[0].resource.full_name()],
            };
        let mut what =
            json!({"named": [self.named], "operations": operations, "resources": resources});
        if !core.is_empty() {
            what["group"] = json!(core);
        }
        let mut chosen = labels(&self.selectors.iter().collect::<Vec<_>>());
        if let Some(name) = self.demanded() {
            chosen[NAMESPACE_NAME] = json!(name);
        }
        if chosen.as_object().is_some_and(|it| !it.is_empty()) {
            what["labels"] = chosen;
        }
        if !self.conditions.is_empty() {
            what["conditions"] = json!(self.conditions);
        }
        let except = self
            .selectors
            .iter()
            .flat_map(|it| list(&it["matchExpressions"]))
            .filter(|it| it["key"] == NAMESPACE_NAME && it["operator"] == "NotIn");
        let except: Vec<Value> = except.flat_map(|it| list(&it["values"])).collect();
        if !except.is_empty() {
            what["except"] = json!(except);
        }
        let permit = self.scene(asked, &asked[0]).permits;
        let sound = ("sound", json!({"control": self.name}));
        Scene {
            id: self.reviewed(),
            title: format!("{} refuses today and would let in tomorrow, or lets somebody in whom nobody acts as", self.named),
            why: "What fails open, or is asked about less than it should be, shows in no request until somebody finds it.".to_owned(),
            fix: "Set failurePolicy to Fail, name every operation and subresource, and exempt nobody who is not written down.".to_owned(),
            target: self.target(),
            attacks: vec![
                Act::new("how it is configured", "admin", json!({"review": {self.review: what}}), sound)
                    .asking(Some("who may be exempt is named here: `except:` namespaces, `conditions:`")),
            ],
            permits: permit,
        }
    }

    fn target_file(&self, asked: &[Asked]) -> NewFile {
        let namespace = self.namespace();
        let mut metadata = json!({"name": namespace});
        let chosen = labels(&self.selectors.iter().collect::<Vec<_>>());
        if chosen.as_object().is_some_and(|it| !it.is_empty()) {
            metadata["labels"] = chosen;
        }
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})];
        if asked.iter().any(Asked::enters_pod) {
            let mut entered = pod(&namespace, "app", &self.labels, &["probe", "tick"]);
            // What it lets in nowhere, it does not let in here.
            if let Some(image) = self.guess(&asked[0]).image() {
                entered["spec"]["containers"][0]["image"] = image.clone();
            }
            objects.push(entered);
        }
        for it in asked.iter().filter(|it| it.needs_object()) {
            let mut object = it.resource.object_with("kept", &self.guess(it).right);
            if it.resource.is_namespaced() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            if !objects.iter().any(|other| identity(other) == identity(&object)) {
                objects.push(object);
            }
        }
        let mut comment = "# The namespace that it acts in, by the labels that it is chosen by, and what is acted on.\n".to_owned();
        if objects.iter().any(|it| it["kind"] == "Pod") {
            let asked = "images that your nodes can pull, where they really run pods";
            comment.push_str(&format!("{YOURS} {asked}\n"));
        }
        super::manifest(&format!("manifests/targets/{}.yaml", self.target()), &comment, &objects)
    }

    /// Whoever sends the attacks may do so as far as roles go.
    fn persona_file(&self, asked: &[Asked]) -> NewFile {
        let name = self.persona();
        let quoted = text(&name);
        let rules: Vec<Value> = asked.iter().flat_map(Asked::rights).collect();
        let is_within = asked.iter().all(|it| it.resource.is_namespaced());
        let bound = if is_within {
            flow(&json!({"in": [self.namespace()]}))
        } else {
            "everywhere".to_owned()
        };
        let rules = distinct(rules.iter().map(|rule| format!("  - {}\n", flow(rule)))).concat();
        let text = format!(
            "# May send what is attacked with, so that only {} stands in the way.\n\
             who: {{service-account: {{namespace: brinell-personas, name: {quoted}}}}}\n\
             roles:\n- cluster-role: {quoted}\n  rules:\n{rules}  bound: {bound}\n",
            self.named,
        );
        NewFile { place: format!("manifests/personas/{name}.yaml"), text }
    }
}

impl Asked {
    /// What tells its scenario from the others.
    fn suffix(&self) -> String {
        let operation = self.operation.to_lowercase();
        match &self.resource.subresource {
            Some(subresource) => format!("{operation}-{subresource}"),
            None => operation,
        }
    }

    fn is(&self, resource: &str) -> bool {
        self.resource.group.is_empty() && self.resource.full_name() == resource
    }

    fn is_exec(&self) -> bool {
        self.is("pods/exec")
    }

    /// Whether it needs a pod that can be entered.
    fn enters_pod(&self) -> bool {
        let is_pods = self.resource.group.is_empty() && self.resource.name == "pods";
        is_pods && (self.operation == "CONNECT" || self.is("pods/ephemeralcontainers"))
    }

    /// Whether it needs another object that is there.
    fn needs_object(&self) -> bool {
        self.operation != "CREATE" && !self.enters_pod()
    }

    /// What the object is called that it acts on.
    fn there(&self) -> &'static str {
        if self.enters_pod() { "app" } else { "kept" }
    }

    /// What is sent: by the action that there is for it, or as a request.
    fn tried(&self, namespace: &str, guess: &Guess, is_attack: bool) -> Value {
        if self.is_exec() {
            return match is_attack {
                true => json!({"exec": {"command": ["probe", "cat"], "stdin": true, "tty": true}}),
                false => json!({"exec": {"command": ["probe", "echo", "foo"]}}),
            };
        }
        if self.is("pods/attach") && is_attack {
            return json!({"attach": {"stdin": true}});
        }
        if self.is("pods/ephemeralcontainers") {
            let part = guess.wrong.as_ref().filter(|_| is_attack).unwrap_or(&guess.right);
            let mut container = part["spec"]["containers"][0].clone();
            let Some(fields) = container.as_object_mut() else { return json!({"ephemeral": {}}) };
            fields.remove("name");
            return json!({"ephemeral": {"container": container}});
        }
        if self.is("pods") && self.operation == "CREATE" {
            let part = guess.wrong.as_ref().filter(|_| is_attack).unwrap_or(&guess.right);
            return json!({"pod": part});
        }
        self.request(namespace, "attack", guess, is_attack)
    }

    /// A request that changes nothing.
    fn request(&self, namespace: &str, name: &str, guess: &Guess, is_attack: bool) -> Value {
        let path = self.resource.path(namespace);
        let below =
            self.resource.subresource.as_ref().map(|it| format!("/{it}")).unwrap_or_default();
        let part = guess.wrong.as_ref().filter(|_| is_attack).unwrap_or(&guess.right);
        match self.operation.as_str() {
            "CREATE" if below.is_empty() => {
                let body = self.resource.object_with(name, part);
                json!({"request": {"method": "POST", "path": format!("{path}?dryRun=All"), "body": body}})
            }
            "DELETE" => {
                json!({"request": {"method": "DELETE", "path": format!("{path}/kept{below}?dryRun=All")}})
            }
            // A stream without an upgrade passes admission and runs nothing.
            "CONNECT" if self.is_exec() || self.is("pods/attach") => {
                let query =
                    if is_attack { "stdin=true" } else { "command=probe&command=echo&stdout=true" };
                json!({"request": {"method": "POST", "path": format!("{path}/{}{below}?{query}", self.there())}})
            }
            "CONNECT" => {
                let path = format!("{path}/{}{below}", self.there());
                json!({"request": {"method": "GET", "path": path}})
            }
            _ => {
                let name = self.there();
                let mut body =
                    json!({"metadata": {"annotations": {"example.com/changed": "by-an-attack"}}});
                crate::merge::lay_over(&mut body, part);
                let path = format!("{path}/{name}{below}?dryRun=All");
                let mut request = json!({"method": "PATCH", "path": path, "body": body});
                if !is_built_in(&self.resource.group) {
                    request["patch"] = json!("merge");
                }
                json!({"request": request})
            }
        }
    }

    /// The rules of a role that may do so.
    fn rights(&self) -> Vec<Value> {
        let verbs = match self.operation.as_str() {
            "CREATE" => json!(["get", "create"]),
            "UPDATE" => json!(["get", "update", "patch"]),
            "DELETE" => json!(["get", "delete"]),
            _ => json!(["get", "create"]),
        };
        let rule = |resource: &str, verbs: Value| json!({"apiGroups": [self.resource.group], "resources": [resource], "verbs": verbs});
        let mut rules = vec![rule(&self.resource.full_name(), verbs)];
        if self.resource.subresource.is_some() {
            rules.push(rule(&self.resource.name, json!(["get"])));
        }
        rules
    }
}

/// The items of a list; none where there is no list.
pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The resources that one of a rule's means, as far as they are tried: `pods/*` is each subresource of pods, and not pods
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules>).
fn meant(resource: &Value) -> Vec<String> {
    let below = |name: &str| match name {
        "pods" => vec!["pods/exec".to_owned(), "pods/ephemeralcontainers".to_owned()],
        name => vec![format!("{name}/status")],
    };
    let resource = resource.as_str().unwrap_or("*");
    match resource.split_once('/') {
        Some(("*", "*")) => ["pods".to_owned()].into_iter().chain(below("pods")).collect(),
        Some((name, "*")) => below(name),
        Some(("*", subresource)) => vec![format!("pods/{subresource}")],
        _ => vec![resource.to_owned()],
    }
}

/// All that a validation asks: its expression, and those of the variables that it uses, each of which may use those before it.
fn said(validation: &Value, variables: &[Value]) -> String {
    let mut said = validation["expression"].as_str().unwrap_or_default().to_owned();
    for variable in variables.iter().rev() {
        let used = format!("variables.{}", variable["name"].as_str().unwrap_or_default());
        let goes_on =
            |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if said.split(&used).skip(1).any(|rest| !goes_on(rest)) {
            said = format!("{said} {}", variable["expression"].as_str().unwrap_or_default());
        }
    }
    said
}

/// The operations of a rule.
fn operations(rule: &Value) -> Vec<String> {
    let named = list(&rule["operations"]);
    let named = named.iter().filter_map(Value::as_str);
    distinct(named.flat_map(|it| match it {
        "*" => OPERATIONS.map(str::to_owned).to_vec(),
        it => vec![it.to_owned()],
    }))
}

/// Labels that meet selectors, as far as they ask for any.
pub(super) fn labels(selectors: &[&Value]) -> Value {
    let mut labels = json!({});
    for selector in selectors {
        let wanted = selector["matchLabels"].as_object().into_iter().flatten();
        for (key, value) in wanted.filter(|(key, _)| *key != NAMESPACE_NAME) {
            labels[key] = value.clone();
        }
        for condition in list(&selector["matchExpressions"]) {
            let Some(key) = condition["key"].as_str() else { continue };
            // A namespace's name is a label that the API server writes.
            match condition["operator"].as_str() {
                _ if key == NAMESPACE_NAME => {}
                Some("In") => labels[key] = condition["values"][0].clone(),
                Some("Exists") => labels[key] = json!("any"),
                _ => {}
            }
        }
    }
    labels
}

fn expressions(conditions: &Value) -> Vec<String> {
    list(conditions).iter().filter_map(|it| it["expression"].as_str()).map(str::to_owned).collect()
}

/// The longest words of a message in which nothing is quoted: what is quoted is a name, and whoever asks may choose it.
fn saying(message: &str) -> Option<String> {
    let parts = message.split(['"', '`', '\'', '\n']).map(str::trim);
    parts.filter(|part| !part.is_empty()).max_by_key(|part| part.len()).map(str::to_owned)
}

fn distinct(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
