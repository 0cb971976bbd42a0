//! A ValidatingAdmissionPolicy with its bindings, or a webhook configuration: what it is asked about is in its rules,
//! so that the attacks, the permits and most ways to get it wrong follow from it. What it refuses, a policy's
//! expressions often say.

mod asked;
mod kinds;
mod scenes;
mod wrong;

use serde_json::{Value, json};

use self::asked::{meant, operations};
pub(super) use self::kinds::{policy, webhook};
use super::sample::Resource;
use super::sketch::{Scene, Sketch, Weak};
use super::yaml::flow;
use super::{Kept, NewFile};
use crate::catalog::WhoAsks;
use crate::model::Reason;

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
    /// The namespace selectors of what is tried.
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
    /// Where in the object the selector is; of a binding the whole `matchResources`, which may lack it.
    place: String,
    /// The selector.
    selector: Value,
    /// What a binding matches, the selector among it; `None` of a webhook.
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

    /// What it is asked about: of the first rule one operation on a resource, and of all rules the other operations and
    /// the subresources.
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
}

/// The items of a list; none where there is no list.
pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// All that a validation asks: its expression, and those of the variables that it uses, each of which may use those
/// before it.
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

/// The expressions by which a policy may exempt somebody: its conditions, and what in it goes by who asks.
fn exempting(spec: &Value) -> Vec<String> {
    let variables = list(&spec["variables"]);
    let who = WhoAsks::among(
        variables.iter().filter_map(|it| Some((it["name"].as_str()?, it["expression"].as_str()?))),
    );
    let others = ["variables", "validations"].iter().flat_map(|it| expressions(&spec[it]));
    let others = others.filter(|it| who.matters_to(it));
    distinct(expressions(&spec["matchConditions"]).into_iter().chain(others))
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
