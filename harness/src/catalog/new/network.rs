//! A NetworkPolicy: whoever it names gets through, and nobody else.

use serde_json::{Value, json};

use super::admission::{labels, list};
use super::sample::pod;
use super::sketch::{Act, Scene, Sketch, Weak, YOURS, set};
use super::yaml::{flow, text};
use super::{Kept, NewFile};
use crate::catalog::identity;
use crate::model::Reason;

/// Where the pods that are tried listen.
const PORT: u64 = 8080;

/// The control of a NetworkPolicy.
pub(super) fn network(kept: &Kept, name: &str, policy: &Value) -> Result<Sketch, String> {
    let its = identity(policy);
    let Some(namespace) = policy["metadata"]["namespace"].as_str() else {
        return Err(format!("{its} is in no namespace: write `namespace:` beside its name"));
    };
    let spec = &policy["spec"];
    let types = list(&spec["policyTypes"]);
    // Without policyTypes a policy is about what comes in, and about what leaves where it has rules for that.
    let is_about = |kind: &str, rules: &str| match types.is_empty() {
        true => kind == "Ingress" || spec[rules].is_array(),
        false => types.iter().any(|it| it == kind),
    };
    let mut rules = list(&spec["ingress"]).into_iter();
    let tried = rules.find(|rule| !is_for_all(rule, "from")).unwrap_or_default();
    let port = tried.pointer("/ports/0/port").and_then(Value::as_u64).unwrap_or(PORT);
    let comes = is_about("Ingress", "ingress") && !is_open(&spec["ingress"], "from", port);
    let leaves = is_about("Egress", "egress") && !is_open(&spec["egress"], "to", PORT);
    if !comes && !leaves {
        return Err(format!(
            "{its} lets everybody through in each direction that it is about: there is nothing that could be refused"
        ));
    }
    let network = Network {
        kept,
        name,
        its,
        namespace,
        port,
        peers: list(&tried["from"]),
        comes,
        leaves,
        names_ingress: is_about("Ingress", "ingress"),
        spec,
    };
    Ok(network.sketch())
}

/// Whether rules let everybody through to a port, so that nothing is refused there and nothing could open it further.
fn is_open(rules: &Value, peers: &str, port: u64) -> bool {
    let is_port = |it: &Value| {
        let (first, last) = (it["port"].as_u64(), it["endPort"].as_u64());
        // What a port is called says nothing of its number: it may be this one.
        let is_in = first.is_none_or(|first| (first..=last.unwrap_or(first)).contains(&port));
        is_in && (it["protocol"].is_null() || it["protocol"] == "TCP")
    };
    list(rules).iter().any(|rule| {
        let ports = list(&rule["ports"]);
        is_for_all(rule, peers) && (ports.is_empty() || ports.iter().any(is_port))
    })
}

/// Whether a rule is for everybody: it names none, or all.
fn is_for_all(rule: &Value, peers: &str) -> bool {
    let is_empty = |selector: &Value| {
        let has_any = |field: &str| selector[field].as_object().is_some_and(|it| !it.is_empty());
        selector.is_object()
            && !has_any("matchLabels")
            && list(&selector["matchExpressions"]).is_empty()
    };
    let is_all = |peer: &Value| {
        let whole = ["0.0.0.0/0", "::/0"].iter().any(|it| peer["ipBlock"]["cidr"] == *it);
        let is_any_pod = peer["podSelector"].is_null() || is_empty(&peer["podSelector"]);
        whole || is_any_pod && is_empty(&peer["namespaceSelector"])
    };
    let named = list(&rule[peers]);
    named.is_empty() || named.iter().any(is_all)
}

struct Network<'a> {
    kept: &'a Kept,
    name: &'a str,
    its: String,
    namespace: &'a str,
    port: u64,
    /// Whom the rule names that is tried of what comes in.
    peers: Vec<Value>,
    /// Whether it keeps anybody from coming in.
    comes: bool,
    /// Whether it keeps anybody from being called.
    leaves: bool,
    /// Whether it is about what comes in, open or not.
    names_ingress: bool,
    spec: &'a Value,
}

impl Network<'_> {
    fn target(&self) -> String {
        format!("{}-app", self.name)
    }

    fn visitors(&self) -> String {
        format!("{}-visitor", self.name)
    }

    fn coming(&self) -> String {
        self.name.to_owned()
    }

    fn leaving(&self) -> String {
        if self.comes { format!("{}-leaving", self.name) } else { self.name.to_owned() }
    }

    fn connect(from: &str, to: &str, port: u64) -> Value {
        json!({"connect": {"from": from, "to": {"pod": to}, "port": port}})
    }

    fn visitor(&self, pod: &str) -> String {
        format!("{}/{pod}", self.visitors())
    }

    /// Somebody of another namespace connects to a guarded pod.
    fn comes_in(&self) -> Value {
        Self::connect(&self.visitor("client"), "guarded", self.port)
    }

    /// A guarded pod connects to somebody of another namespace, to whom others get through meanwhile.
    fn goes_out(&self) -> Value {
        let mut connect = Self::connect("guarded", &self.visitor("server"), PORT);
        connect["connect"]["proven-from"] = self.visitor("client").into();
        connect
    }

    /// The pods whom it lets in, by their labels; `None` where it lets in nobody in its own namespace.
    fn friend(&self) -> Option<Value> {
        let mut own = self
            .peers
            .iter()
            .filter(|it| it["podSelector"].is_object() && it["namespaceSelector"].is_null());
        own.next().map(|it| labels(&[&it["podSelector"]]))
    }

    fn sketch(&self) -> Sketch {
        let (kept, its) = (self.kept, &self.its);
        let everywhere = |weak: Weak| {
            let weak =
                if self.comes { weak.expect(&self.coming(), Reason::Bypassed) } else { weak };
            if self.leaves { weak.expect(&self.leaving(), Reason::Bypassed) } else { weak }
        };
        let one = |place: &str, value: Value| vec![set(place, value)];
        let misses = json!({"matchLabels": {"brinell.dev/none": "none"}});
        let mut weakenings = vec![
            everywhere(Weak::new("absent", "without a policy every pod reaches every other").delete(&[its])),
            everywhere(
                Weak::new("selector-misses", "labels were renamed and the selector was not; a policy that selects nobody is no error")
                    .patch(&[(its, one("/spec/podSelector", misses))]),
            ),
            everywhere(
                Weak::new("allow-all", "policies add up, so that one made to find out why something does not work opens everything")
                    .add("allow-all.yaml"),
            ),
            everywhere(
                Weak::new("enforcement-stopped", "the policies stand there, and what should enforce them has crashed; nothing says so")
                    .with("stop: app=kindnet  # The pod network of kind."),
            ),
        ];
        if self.comes {
            weakenings.push(
                Weak::new(
                    "everybody-comes",
                    "an empty selector of namespaces was meant as our own and means all of them",
                )
                .patch(&[(
                    its,
                    one("/spec/ingress", json!([{"from": [{"namespaceSelector": {}}]}])),
                )])
                .expect(&self.coming(), Reason::Bypassed),
            );
        }
        if self.leaves {
            weakenings.push(
                Weak::new(
                    "everything-leaves",
                    "a partner's addresses change, so that everybody may be called",
                )
                .patch(&[(its, one("/spec/egress", json!([{}])))])
                .expect(&self.leaving(), Reason::Bypassed),
            );
        }
        if self.names_ingress && self.leaves {
            weakenings.push(
                Weak::new("egress-forgotten", "without Egress among policyTypes it says nothing of what leaves, whatever rules it has")
                    .patch(&[(its, vec![set("/spec/policyTypes", json!(["Ingress"])), set("/spec/ingress", json!([]))])])
                    .expect(&self.leaving(), Reason::Bypassed),
            );
        }
        let mut scenarios = Vec::new();
        if self.comes {
            scenarios.push(self.scene(
                &self.coming(),
                "Somebody else connects to it",
                self.comes_in(),
            ));
        }
        if self.leaves {
            scenarios.push(self.scene(
                &self.leaving(),
                "It connects to somebody else",
                self.goes_out(),
            ));
        }
        let allow = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("{}-allow-all", self.name), "namespace": self.namespace},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
        });
        let beside = |file: &str| Sketch::beside(self.name, file);
        let asked = if self.comes { self.comes_in() } else { self.goes_out() };
        Sketch {
            name: self.name.to_owned(),
            title: format!("Nobody gets through whom {its} does not name"),
            decides: json!(["network"]),
            look_at: format!(
                "{its}: podSelector, policyTypes, ingress, egress; and whether the cluster's network plug-in enforces it"
            ),
            set_up: vec![format!("objects: {}", flow(&json!([kept.file])))],
            ready: vec![
                "- as: admin".to_owned(),
                format!("  target: {}", text(&self.target())),
                format!("  do: {}", flow(&asked)),
            ],
            weakenings,
            scenarios,
            files: vec![
                NewFile { place: beside(&kept.file), text: kept.text.clone() },
                super::manifest(
                    &beside("allow-all.yaml"),
                    "# Everything is let through.\n",
                    &[allow],
                ),
                self.target_file(),
            ],
        }
    }

    fn scene(&self, id: &str, title: &str, what: Value) -> Scene {
        let worked = ("succeeds", json!({}));
        let asked = "who must get through: connect `from:` a pod that the policy names";
        let elsewhere = Self::connect(&self.visitor("client"), &self.visitor("server"), PORT);
        let others =
            Act::new("pods that it is not about connect", "admin", elsewhere, worked.clone());
        let permits = match self.friend() {
            Some(_) if self.comes => {
                let connect = Self::connect("friend", "guarded", self.port);
                vec![Act::new("a pod that it names connects", "admin", connect, worked), others]
            }
            _ => vec![others.asking(Some(asked))],
        };
        Scene {
            id: id.to_owned(),
            title: title.to_owned(),
            why: "What an attacker reaches when it works.".to_owned(),
            fix: format!("What to change where it does: {}.", self.its),
            target: self.target(),
            attacks: vec![Act::new(
                "connecting",
                "admin",
                what,
                ("blocked", json!({"by": self.name})),
            )],
            permits,
        }
    }

    fn target_file(&self) -> NewFile {
        let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let (own, others) = (self.namespace, self.visitors());
        let chosen = labels(&[&self.spec["podSelector"]]);
        let (port, other_port) = (self.port.to_string(), PORT.to_string());
        let mut objects =
            vec![namespace(own), pod(own, "guarded", &chosen, &["probe", "listen", &port])];
        objects.extend(self.friend().map(|labels| pod(own, "friend", &labels, &["probe", "wait"])));
        objects.push(namespace(&others));
        objects.push(pod(&others, "client", &json!({"app": "client"}), &["probe", "wait"]));
        objects.push(pod(
            &others,
            "server",
            &json!({"app": "server"}),
            &["probe", "listen", &other_port],
        ));
        let comment = format!(
            "# The pods that it is about, by the labels that it selects them by, and others.\n\
             {YOURS} pods of yours may stand in the place of these; what listens must listen where it is connected to\n"
        );
        super::manifest(&format!("manifests/targets/{}.yaml", self.target()), &comment, &objects)
    }
}
