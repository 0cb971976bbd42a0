//! What is tried, with the question, the target and the persona of it.

use serde_json::{Value, json};

use super::{Asked, Guard, NAMESPACE_NAME, distinct, labels, list};
use crate::catalog::identity;
use crate::catalog::new::sample::{Guess, pod};
use crate::catalog::new::sketch::{Act, Scene, YOURS};
use crate::catalog::new::yaml::{flow, text};
use crate::catalog::new::{NewFile, manifest};

const UNKNOWN: &str = "lay over this what it must refuse; nothing here says what that is";
const GUESSED: &str = "guessed from its expressions; this is to be what it must refuse";
const LET_IN: &str =
    "this is to be what it must let in, and to differ from the attack in one thing";

impl Guard<'_> {
    pub(super) fn guess(&self, asked: &Asked) -> Guess {
        asked.resource.guess(&self.expressions, self.labels.clone())
    }

    /// The question that shows it acting.
    pub(super) fn ready(&self, asked: &Asked) -> Vec<String> {
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
    pub(super) fn asks(&self, asked: &Asked) -> Option<&'static str> {
        match (self.guess(asked).wrong.is_some(), asked.operation.as_str()) {
            (true, _) => Some(GUESSED),
            (false, "CONNECT") => None,
            (false, _) => Some(UNKNOWN),
        }
    }

    pub(super) fn scene(&self, asked: &[Asked], it: &Asked) -> Scene {
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
    pub(super) fn review(&self, asked: &[Asked]) -> Scene {
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

    pub(super) fn target_file(&self, asked: &[Asked]) -> NewFile {
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
        manifest(&format!("manifests/targets/{}.yaml", self.target()), &comment, &objects)
    }

    /// Whoever sends the attacks may do so as far as roles go.
    pub(super) fn persona_file(&self, asked: &[Asked]) -> NewFile {
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
