//! The catalog on an existing cluster: our namespaces under names of their own, what cannot be seen left out, the
//! profile's people in the place of ours, and controls that are declared and not set up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::persona::namespace;
use super::read::Parsed;
use super::source::Source;
use super::{
    Catalog, ControlEntry, Declared, Document, Entry, PersonaEntry, Planned, Problem, Problems,
    ProfileEntry, SetUp, Target, identity, resolve, substitutions,
};
use crate::model::{
    Action, Binding, Bound, Context, Credentials, Exec, Expectation, HeldRole, Impersonated, Layer,
    LentPod, PERSONAS, Permit, Persona, Player, Profile, Scenario, ServiceAccount, Setting, Sound,
    Succeeds,
};
use crate::text::encode;

/// What an existing cluster gives to scenarios.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What the names of our namespaces begin with, such as `brinell-k7f3a1`.
    pub prefix: String,
    /// Whether its audit log is read.
    pub sees_log: bool,
    /// Whether its nodes can have our image, so that pods of ours run.
    pub has_image: bool,
    /// Whether objects may be made outside of our namespaces.
    pub effects: bool,
    /// The kubeconfig that its context is in; `None` is the one that kubectl would read.
    pub kubeconfig: Option<PathBuf>,
}

/// The keys of a scenario's file in which namespaces are meant. Elsewhere a word that is a namespace's name too is a
/// word.
const MEANT: [&str; 2] = ["attacks", "permits"];

/// The keys below them that name a persona or a control, which may be called as a namespace is.
const NAMED: [&str; 2] = ["as", "by"];

/// The key of a container, here and in objects, that names its image.
const IMAGE: &str = "image";

/// Where an attack or a step writes labels of an object.
const WRITTEN_LABELS: &str = "/do/request/body/metadata/labels";

/// Where a review says in which namespaces a guard must be asked, by their labels.
const READ_LABELS: [&str; 2] = ["/do/review/webhooks/labels", "/do/review/policies/labels"];

/// The label by which Pod Security knows what a namespace enforces.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The label of pods that stand on one node, with the name of their target.
const TOGETHER: &str = "brinell.dev/together";

/// The label by which a control of ours knows the namespaces in which it acts.
fn own_label(control: &str) -> String {
    format!("brinell.dev/{control}")
}

impl Catalog {
    /// The catalog and a profile of it as they are tried on an existing cluster.
    ///
    /// # Errors
    /// When the profile weakens a control: what is not ours is never weakened.
    pub fn on(&self, ground: &Ground, profile: &ProfileEntry) -> Result<Grounded, Problems> {
        see_declared(self, profile)?;
        let there = profile.profile.cluster.as_ref();
        let given = there.map(|it| it.namespaces.clone()).unwrap_or_default();
        let names = self.own_namespaces(&ground.prefix, &given);
        let given: BTreeSet<String> = given.into_values().collect();
        let (choosing, connecting) = (self.choosing(), self.connecting());
        let moved = Moved {
            names: &names,
            given: &given,
            choosing: &choosing,
            connecting: &connecting,
            says: &profile.profile,
            ground,
        };
        let targets = self.targets.iter().map(|(name, it)| (name.clone(), moved.target(it)));
        let personas = self.personas.iter().map(|(name, it)| (name.clone(), moved.persona(it)));
        let controls = self.controls.iter().map(|(id, it)| (id.clone(), moved.control(it)));
        let mut catalog = Catalog {
            targets: targets.collect(),
            personas: personas.collect(),
            controls: controls.collect(),
            deviations: self.deviations.clone(),
            dangers: self.dangers.clone(),
            ..Catalog::default()
        };
        for entry in &self.scenarios {
            let entry = moved.scenario(&catalog, entry)?;
            catalog.scenarios.push(entry);
        }
        let profile = declared(&catalog, profile)?;
        let accounts = moved.accounts();
        let (prefix, effects) = (ground.prefix.clone(), ground.effects);
        Ok(Grounded { catalog, profile, accounts, given, effects, prefix })
    }

    /// What every namespace that targets and personas make is called there, by its name here.
    fn own_namespaces(
        &self,
        prefix: &str,
        given: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let moved = |name: &str| {
            let end = end_of(name);
            given.get(end).cloned().unwrap_or_else(|| format!("{prefix}-{end}"))
        };
        self.namespaces().map(|name| (name.to_owned(), moved(name))).collect()
    }

    /// The controls that act in some of our namespaces alone, which have their labels.
    fn choosing(&self) -> BTreeSet<&str> {
        let objects = self.targets.values().flat_map(|target| &target.objects);
        let labels = objects.filter(|it| namespace(&it.object).is_some());
        let labels = labels.map(|it| &it.object["metadata"]["labels"]);
        let labels: Vec<&Value> = labels.collect();
        let is_there = |id: &&str| labels.iter().any(|labels| !labels[own_label(id)].is_null());
        self.controls.keys().map(String::as_str).filter(is_there).collect()
    }

    /// The targets in which pods connect to each other.
    fn connecting(&self) -> BTreeSet<&str> {
        let connects = |entry: &&Entry| {
            entry.turns.iter().any(|turn| matches!(turn.action, Action::Connect(_)))
        };
        self.scenarios.iter().filter(connects).map(|entry| entry.target.name.as_str()).collect()
    }

    /// The names of all namespaces that targets and personas make.
    fn namespaces(&self) -> impl Iterator<Item = &str> + Clone {
        let objects = self.targets.values().flat_map(|target| &target.objects);
        objects.filter_map(|document| namespace(&document.object)).chain([PERSONAS])
    }

    /// How a profile calls the namespaces that take their place.
    pub(super) fn namespace_ends(&self) -> impl Iterator<Item = &str> + Clone {
        self.namespaces().map(end_of)
    }
}

/// What a namespace's name on an existing cluster ends with.
pub(super) fn end_of(name: &str) -> &str {
    name.strip_prefix("brinell-").unwrap_or(name)
}

/// The catalog on an existing cluster.
pub struct Grounded {
    /// What can be tried there.
    pub catalog: Catalog,
    /// The profile, its controls declared.
    pub profile: ProfileEntry,
    /// The Namespace of the personas' accounts.
    pub accounts: Document,
    /// The namespaces that are there already, in the place of ours. Where there are any, none is made.
    pub given: BTreeSet<String>,
    /// Whether objects may be made outside of our namespaces.
    pub effects: bool,
    /// What the names of our namespaces begin with.
    pub prefix: String,
}

impl Grounded {
    /// The personas as whose accounts these act.
    fn borrowed(&self, personas: &[&PersonaEntry]) -> impl Iterator<Item = &PersonaEntry> {
        let by = personas.iter().filter_map(|persona| match &persona.who {
            Persona::Impersonated(it) => it.by.clone().map(Persona::ServiceAccount),
            _ => None,
        });
        let by: Vec<Persona> = by.collect();
        let all = self.catalog.personas.values().map(Arc::as_ref);
        all.filter(move |persona| persona.has_own_account && by.contains(&persona.who))
    }

    /// The namespaces of the personas' accounts and of targets, as they must be there.
    pub fn namespaces<'a>(&'a self, targets: &[&'a Target]) -> impl Iterator<Item = &'a Document> {
        let of_targets = targets.iter().flat_map(|target| &target.objects);
        let all = [&self.accounts].into_iter().chain(of_targets.collect::<Vec<_>>());
        all.filter(|it| namespace(&it.object).is_some())
    }

    /// Whether a namespace is there already.
    pub(super) fn is_given(&self, object: &Value) -> bool {
        namespace(object).is_some_and(|name| self.given.contains(name))
    }

    /// What is made there for scenarios to act on and with, kind by kind: namespaces first, then accounts and
    /// definitions, pods last because they may run as one of these or mount what is among the others; each object once.
    pub fn documents(
        &self,
        targets: &[&Target],
        personas: &[&PersonaEntry],
        with_pods: bool,
    ) -> Vec<Document> {
        let of_targets = targets.iter().flat_map(|target| &target.objects);
        let mut documents: Vec<Document> =
            [&self.accounts].into_iter().chain(of_targets).cloned().collect();
        documents.retain(|it| with_pods || it.object["kind"] != "Pod");
        let made = self.namespaces(targets).filter_map(|it| namespace(&it.object)).collect();
        documents.retain(|it| !self.is_given(&it.object));
        for persona in personas.iter().copied().chain(self.borrowed(personas)) {
            let written = |role: &str| self.catalog.written_rules(role);
            let everywhere = self.effects.then_some(self.prefix.as_str());
            documents.extend(persona.objects_in(&made, everywhere, written));
        }
        documents.sort_by_key(|it| {
            let kind = it.object["kind"].as_str().unwrap_or_default();
            let rank = match kind {
                "Namespace" => 0,
                "CustomResourceDefinition" | "ServiceAccount" => 1,
                "Pod" => 3,
                // By their names roles come before what binds them.
                _ => 2,
            };
            (rank, kind.to_owned())
        });
        let mut known = BTreeSet::new();
        documents.retain(|it| known.insert(identity(&it.object)));
        documents
    }

    /// Why scenarios fall away of which the cluster refuses something, by their ids.
    pub fn unmade(
        &self,
        entries: &[&Entry],
        refusals: &BTreeMap<String, String>,
        with_pods: bool,
    ) -> BTreeMap<String, String> {
        let why = |entry: &&Entry| {
            let targets = [&*entry.target];
            let documents = self.documents(&targets, &entry.personas(), with_pods);
            let mut all = documents.iter().chain(self.namespaces(&targets));
            let why = all.find_map(|it| refusals.get(&identity(&it.object)))?;
            Some((entry.id.clone(), format!("this cluster refuses what it needs: {why}")))
        };
        entries.iter().filter_map(why).collect()
    }
}

/// Sees that a profile only declares, and gives roles where they can be held.
fn see_declared(catalog: &Catalog, profile: &ProfileEntry) -> Result<(), Problems> {
    let nowhere = |(name, player): (&String, &Player)| {
        let held = &catalog.personas.get(name)?.roles;
        let is_bound = held.iter().any(|role| matches!(role.bound, Bound::In(_)));
        let message = format!("`{name}` is a persona that holds no role in any namespace of ours");
        let hint = "leave its `roles` out: what it holds on the cluster itself is what is tried";
        (!player.roles().is_empty() && !is_bound)
            .then(|| Problem::of_file(&profile.file, &message).hint(hint))
    };
    let weakened = |(id, setting): (&String, &Setting)| {
        let weakening = setting.weakening.as_ref()?;
        let message = format!("it weakens {id} ({weakening})");
        let hint = "a cluster that brinell did not make is never weakened: remove `weakening`, or leave `--context` out";
        Some(Problem::of_file(&profile.file, &message).hint(hint))
    };
    let weakened = profile.profile.controls.iter().filter_map(weakened);
    Problems::none_or(weakened.chain(profile.profile.personas.iter().filter_map(nowhere)).collect())
}

/// The profile with controls that are there already: nothing of them is set up, and nothing asked before attacks ask
/// it.
fn declared(catalog: &Catalog, profile: &ProfileEntry) -> Result<ProfileEntry, Problem> {
    let planned = |planned: &Planned| {
        let (id, pointer) = (&planned.control.id, planned.pointer.clone());
        let control = catalog.controls.get(id).cloned();
        let unknown = || Problem::of_file(&profile.file, &format!("there is no control `{id}`"));
        Ok(Planned {
            control: control.ok_or_else(unknown)?,
            pointer,
            set_up: SetUp::default(),
            unweakened: true,
            questions: Vec::new(),
            weakenings: Arc::default(),
        })
    };
    let controls = profile.controls.iter().map(planned).collect::<Result<_, Problem>>()?;
    Ok(ProfileEntry { controls, ..profile.clone() })
}

/// What an action says, as a text in which names can be looked for: line breaks and tabs stay what they are.
pub(crate) fn said(action: &Action) -> String {
    format!("{action:?}").replace("\\n", " ").replace("\\t", " ")
}

/// The words of a text that could be names.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
}

/// What is ours, moved to an existing cluster.
struct Moved<'a> {
    names: &'a BTreeMap<String, String>,
    given: &'a BTreeSet<String>,
    choosing: &'a BTreeSet<&'a str>,
    connecting: &'a BTreeSet<&'a str>,
    says: &'a Profile,
    ground: &'a Ground,
}

/// Has a permit run its command in a pod of theirs: another command, with another output.
fn enter(permit: &mut Permit, lent: &LentPod) {
    let Action::Exec(Exec { stdin: false, tty: false, .. }) = permit.r#do else { return };
    let LentPod { namespace, name, container, command } = lent.clone();
    permit.succeeds = Succeeds::default();
    permit.logged.iter_mut().for_each(|logged| {
        let last = command.last().map(|word| format!("command={}", encode(word)));
        logged.uri = logged.uri.take().and(last);
    });
    permit.r#do = Action::Exec(Exec {
        namespace: Some(namespace),
        pod: Some(name),
        container,
        command,
        stdin: false,
        tty: false,
    });
}

/// The label by which ours knows where it acts, where another one is declared.
fn strange_label(entry: &ControlEntry) -> Option<String> {
    let declared = entry.declared.as_ref().filter(|declared| declared.is_other)?;
    Some(match declared.same.contains(&Layer::PodSecurity) {
        true => ENFORCE.to_owned(),
        false => own_label(&entry.id),
    })
}

/// Why a scenario would tell nothing, because another control than ours is declared; `None` if it does.
fn untold(catalog: &Catalog, entry: &Entry, says: &Scenario, document: &Value) -> Option<String> {
    let other = |id: &str| catalog.controls.get(id).and_then(|control| strange_label(control));
    let read = says.attacks.iter().find_map(|attack| {
        let Expectation::Sound(Sound { control }) = &attack.expected else { return None };
        let Action::Review(review) = &attack.r#do else { return None };
        let is_ours = entry.built_in && review.names_guards() && other(control).is_some();
        let what = review.words();
        is_ours.then(|| {
            format!("it reads {what} of brinell's own, and the profile declares another {control}")
        })
    });
    let attacks = document["attacks"].as_array();
    let written: Vec<&Value> =
        attacks.into_iter().flatten().filter_map(|it| it.pointer(WRITTEN_LABELS)).collect();
    let changed = says.controls().into_iter().find_map(|control| {
        let label = other(control)?;
        let is_written = written.iter().any(|labels| labels.get(&label).is_some());
        is_written.then(|| {
            format!(
                "it changes the label {label}, by which the {control} that the profile declares does not go; the labels by \
                 which it goes are its `namespace-labels`"
            )
        })
    });
    read.or(changed)
}

/// Keeps the pods of a target to one node: what does not lead from one node to another would look like a block.
fn keep_together(target: &str, objects: &mut [Document]) {
    let pods = || objects.iter().filter(|it| it.object["kind"] == "Pod");
    let namespaces: BTreeSet<&str> =
        pods().filter_map(|it| it.object["metadata"]["namespace"].as_str()).collect();
    let labels = json!({TOGETHER: target});
    let term = json!({
        "labelSelector": {"matchLabels": labels},
        "namespaces": namespaces,
        "topologyKey": "kubernetes.io/hostname",
    });
    let over = json!({
        "metadata": {"labels": labels},
        "spec": {"affinity": {"podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [term],
        }}},
    });
    for pod in objects.iter_mut().filter(|it| it.object["kind"] == "Pod") {
        crate::merge::lay_over(&mut pod.object, &over);
    }
}

impl Moved<'_> {
    /// A text in which every name of a namespace of ours is the one that it has there.
    fn text(&self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let mut moved = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
            moved.push_str(before);
            moved.push_str(self.names.get(word).map_or(word, String::as_str));
            rest = after;
        }
        moved + rest
    }

    /// A value in which they have these names. A path of an image may hold the word, and means a registry's folder.
    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let moved = |(key, value): (&String, &Value)| {
                    let is_image = key == IMAGE && value.is_string();
                    (key.clone(), if is_image { value.clone() } else { self.value(value) })
                };
                fields.iter().map(moved).collect()
            }
            other => other.clone(),
        }
    }

    /// A part of a scenario, in which personas and controls keep their names.
    fn meant(&self, part: &Value) -> Value {
        match part {
            Value::Array(items) => items.iter().map(|item| self.meant(item)).collect(),
            Value::Object(fields) => {
                let moved = |(key, value): (&String, &Value)| {
                    let is_kept = NAMED.contains(&key.as_str()) || key == IMAGE;
                    let is_kept = is_kept && value.is_string();
                    (key.clone(), if is_kept { value.clone() } else { self.meant(value) })
                };
                fields.iter().map(moved).collect()
            }
            other => self.value(other),
        }
    }

    fn target(&self, target: &Target) -> Arc<Target> {
        let document = |it: &Document| {
            let mut object = self.value(&it.object);
            if namespace(&object).is_some() {
                self.label(&mut object);
            }
            Document { file: it.file.clone(), object }
        };
        let pods =
            target.pods.iter().map(|(namespace, pod)| (self.text(namespace), self.text(pod)));
        let mut objects: Vec<Document> = target.objects.iter().map(document).collect();
        if self.connecting.contains(&*target.name) {
            keep_together(&target.name, &mut objects);
        }
        let own = objects.iter().filter_map(|it| namespace(&it.object)).map(str::to_owned);
        let own: BTreeSet<String> = own.collect();
        Arc::new(Target {
            name: target.name.clone(),
            given: &own & self.given,
            objects,
            namespace: self.text(&target.namespace),
            pods: pods.collect(),
        })
    }

    /// Gives a namespace of ours the labels that the profile asks for: of a control that acts in some of them alone, to
    /// these. What the target says itself stands.
    fn label(&self, object: &mut Value) {
        let own = &object["metadata"]["labels"];
        let acts = |id: &str| !self.choosing.contains(id) || !own[own_label(id)].is_null();
        let labels: BTreeMap<&String, &String> = self.labels(acts).collect();
        let mut labelled = json!({"metadata": {"labels": labels}});
        crate::merge::lay_over(&mut labelled, object);
        *object = labelled;
    }

    /// The labels that the profile asks for, of namespaces in which these controls act.
    fn labels(&self, acts: impl Fn(&str) -> bool) -> impl Iterator<Item = (&String, &String)> {
        let cluster = self.says.cluster.iter().flat_map(|cluster| &cluster.namespace_labels);
        let controls = self.says.controls.iter().filter(move |(id, _)| acts(id));
        cluster.chain(controls.flat_map(|(_, it)| &it.namespace_labels))
    }

    /// Where an attack, a step or a review names our label for a control, writes the label by which the control acts on
    /// that cluster. A step of ours that restores a Pod Security label restores the one that the namespace has there.
    fn relabel(&self, attack: &mut Value, built_in: bool) {
        let gives_back = built_in && attack["succeeds"].is_object();
        for place in [WRITTEN_LABELS].into_iter().chain(READ_LABELS) {
            let labels = attack.pointer_mut(place).and_then(Value::as_object_mut);
            let Some(labels) = labels else { continue };
            for (id, Setting { namespace_labels, .. }) in &self.says.controls {
                if namespace_labels.is_empty() {
                    continue;
                }
                let Some(ours) = labels.remove(&own_label(id)) else { continue };
                let theirs = namespace_labels.iter().map(|(key, value)| {
                    let value = if ours.is_null() { Value::Null } else { value.as_str().into() };
                    (key.clone(), value)
                });
                labels.extend(theirs);
            }
            for (key, value) in
                self.labels(|_| true).filter(|(key, _)| gives_back && *key == ENFORCE)
            {
                if let Some(label) = labels.get_mut(key).filter(|label| label.is_null()) {
                    *label = value.as_str().into();
                }
            }
        }
    }

    /// The namespace of the personas' accounts.
    fn accounts(&self) -> Document {
        let metadata = json!({"name": self.names[PERSONAS]});
        let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        self.label(&mut object);
        Document { file: "manifests/personas".to_owned(), object }
    }

    fn persona(&self, entry: &PersonaEntry) -> Arc<PersonaEntry> {
        let entry = PersonaEntry {
            who: self.who(&entry.who),
            roles: entry.roles.iter().map(|role| self.role(role)).collect(),
            ..entry.clone()
        };
        Arc::new(match self.says.personas.get(&entry.name) {
            Some(player) => self.played(entry, player),
            None => entry,
        })
    }

    /// A persona that somebody plays. The roles that it has in our files are the cluster's to give.
    fn played(&self, entry: PersonaEntry, player: &Player) -> PersonaEntry {
        let who = match player {
            Player::Impersonated(somebody) => Persona::Impersonated(Impersonated {
                by: None,
                user: somebody.user.clone(),
                groups: somebody.groups.clone(),
                uid: None,
                extra: BTreeMap::new(),
            }),
            Player::ServiceAccount(_) => Persona::ServiceAccount(ServiceAccount {
                namespace: self.names[PERSONAS].clone(),
                name: entry.name.clone(),
            }),
            Player::Credentials(credentials) => Persona::Credentials(self.credentials(credentials)),
        };
        let bound: BTreeSet<String> = entry
            .roles
            .iter()
            .flat_map(|role| role.bound.namespaces())
            .map(str::to_owned)
            .collect();
        // Each role is bound by a name of its own: two bindings of one name would be one.
        let roles = player.roles().iter().map(|name| HeldRole {
            cluster_role: name.clone(),
            rules: Vec::new(),
            bound: Bound::In(bound.iter().cloned().collect()),
            binding: Binding {
                name: Some(format!("{}-{name}", entry.name)),
                annotations: BTreeMap::new(),
            },
        });
        let has_own_account = matches!(player, Player::ServiceAccount(_));
        PersonaEntry { who, roles: roles.collect(), has_own_account, played: true, ..entry }
    }

    /// A context that names no kubeconfig is in that of the run.
    fn credentials(&self, credentials: &Credentials) -> Credentials {
        let mut credentials = credentials.clone();
        if let Credentials::Context(Context { kubeconfig: it @ None, .. }) = &mut credentials {
            it.clone_from(&self.ground.kubeconfig);
        }
        credentials
    }

    fn who(&self, who: &Persona) -> Persona {
        let account = |account: &ServiceAccount| ServiceAccount {
            namespace: self.text(&account.namespace),
            name: account.name.clone(),
        };
        match who {
            Persona::ServiceAccount(it) => Persona::ServiceAccount(account(it)),
            Persona::Impersonated(it) => Persona::Impersonated(Impersonated {
                by: it.by.as_ref().map(account),
                user: self.text(&it.user),
                ..it.clone()
            }),
            Persona::Anonymous | Persona::Admin | Persona::BadToken | Persona::Credentials(_) => {
                who.clone()
            }
        }
    }

    fn role(&self, role: &HeldRole) -> HeldRole {
        let bound = match &role.bound {
            Bound::Everywhere => Bound::Everywhere,
            Bound::In(namespaces) => Bound::In(namespaces.iter().map(|it| self.text(it)).collect()),
        };
        HeldRole { bound, ..role.clone() }
    }

    /// A control as the profile declares it.
    fn control(&self, entry: &Arc<ControlEntry>) -> Arc<ControlEntry> {
        let mut declared = ControlEntry::clone(entry);
        // What names the run that has set it up, is not left there.
        declared.control.leaves.retain(|_, value| substitutions(value).next().is_none());
        if let Some(setting) = self.declared(&entry.id) {
            let speaks = |layer: &&Layer| !matches!(layer, Layer::Webhook(_) | Layer::Policy(_));
            let ours = &declared.control.decides;
            let covers = |layer: &Layer| ours.iter().any(|own| layer.covers(own));
            declared.declared = Some(Declared {
                is_other: !setting.decides.iter().any(covers),
                saying: setting.saying.clone(),
                same: ours.iter().filter(speaks).cloned().collect(),
            });
            declared.control.decides.clone_from(&setting.decides);
            declared.control.leaves.clone_from(&setting.leaves);
            declared.control.look_at = format!("what the profile declares of {}", entry.id);
        }
        Arc::new(declared)
    }

    /// A scenario as it is tried there.
    fn scenario(&self, catalog: &Catalog, entry: &Entry) -> Result<Entry, Problem> {
        let mut document: Value =
            Source::again(&entry.file, entry.built_in, &entry.text)?.parse()?;
        for key in MEANT {
            document[key] = self.meant(&document[key]);
        }
        document["attacks"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .for_each(|it| self.relabel(it, entry.built_in));
        let mut says: Scenario =
            Source::again(&entry.file, entry.built_in, &document.to_string())?.parse()?;
        if !self.ground.sees_log {
            says.forget_log();
        }
        for attack in &mut says.attacks {
            self.expect(&mut attack.expected);
        }
        let untold = untold(catalog, entry, &says, &document);
        let lent = self.lent_pod();
        if let Some(lent) = lent {
            says.permits.iter_mut().for_each(|permit| enter(permit, lent));
        }
        let source = Source::again(&entry.file, entry.built_in, &entry.text)?;
        let parsed = Parsed { name: entry.id.clone(), source, says };
        let entry = resolve::scenario(catalog, parsed)?;
        let target = self.with_elsewhere(catalog, &entry);
        Ok(Entry { target, without_pods: lent.is_some(), untold, ..entry })
    }

    /// The target of a scenario, with the Namespaces of other targets that the scenario names. On a cluster of ours the
    /// personas' roles are bound in all of them, whatever runs; there they are made only for scenarios that need them.
    fn with_elsewhere(&self, catalog: &Catalog, entry: &Entry) -> Arc<Target> {
        let texts: String = entry.turns.iter().map(|turn| said(&turn.action) + " ").collect();
        let named: BTreeSet<&str> = words(&texts).collect();
        let all = catalog.targets.values().flat_map(|target| &target.objects);
        let is_elsewhere = |it: &&Document| {
            namespace(&it.object)
                .is_some_and(|name| named.contains(name) && !entry.target.has(name))
        };
        let more: Vec<Document> = all.filter(is_elsewhere).cloned().collect();
        if more.is_empty() {
            return Arc::clone(&entry.target);
        }
        let given = more.iter().filter_map(|it| namespace(&it.object));
        let given = given.filter(|name| self.given.contains(*name)).map(str::to_owned);
        Arc::new(Target {
            name: format!("{} as {} has it", entry.target.name, entry.id),
            given: entry.target.given.iter().cloned().chain(given).collect(),
            objects: entry.target.objects.iter().cloned().chain(more).collect(),
            ..Target::clone(&entry.target)
        })
    }

    /// The pod of theirs that permits have in the place of ours; `None` where ours run, and where none is named.
    fn lent_pod(&self) -> Option<&LentPod> {
        let named = self.says.cluster.as_ref().and_then(|cluster| cluster.pod.as_ref());
        named.filter(|_| !self.ground.has_image)
    }

    /// What the profile says of a control that refuses otherwise than ours; `None` where it does as ours.
    fn declared(&self, control: &str) -> Option<&Setting> {
        self.says.controls.get(control).filter(|setting| !setting.decides.is_empty())
    }

    /// Where a control is declared with layers of its own, the scenario's is demanded if it is among them.
    fn expect(&self, expected: &mut Expectation) {
        let Expectation::Blocked(blocked, _) = expected else { return };
        if let Some(setting) = self.declared(&blocked.by) {
            blocked.at.take_if(|at| !setting.decides.contains(at));
        }
    }
}
