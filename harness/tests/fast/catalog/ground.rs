//! The catalog on a cluster that brinell did not make.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use brinell::catalog::{Catalog, ControlEntry, Ground, Grounded, identity};
use brinell::model::{
    Action, AuditFrom, Blocked, Context, Credentials, Expectation, Layer, Need, Persona,
};
use serde_json::{Value, json};

const PREFIX: &str = "brinell-k7f3";

/// Our own catalog there, with a profile that says this.
fn grounded(profile: &str, sees_log: bool) -> Result<Grounded, String> {
    grounded_with(profile, sees_log, true)
}

/// Our own catalog there, where its nodes can have our image or not.
fn grounded_with(profile: &str, sees_log: bool, has_image: bool) -> Result<Grounded, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("theirs.yaml");
    fs::write(&file, profile).expect("written");
    let catalog = Catalog::load(None).expect("our own catalog");
    let profile = catalog.profile(&file.to_string_lossy()).map_err(|error| error.to_string())?;
    let kubeconfig = Some("run.kc".into());
    let ground =
        Ground { prefix: PREFIX.to_owned(), sees_log, has_image, effects: false, kubeconfig };
    catalog.on(&ground, &profile).map_err(|problems| problems.to_string())
}

fn found() -> Grounded {
    grounded("{title: found, controls: {pod-security: {}}}", true).expect("it is only declared")
}

#[test]
fn what_is_declared_there_is_where_the_readers_profile_says_it() {
    let profile = "title: found\ncontrols:\n  pod-security: {}\n  exec-guard: {decides: [{webhook: a}], saying: b}\n";
    let places = grounded(profile, true).expect("it is only declared").profile.places();
    let lines: Vec<_> = places.iter().map(|it| (it.control.as_str(), it.line)).collect();
    assert_eq!(lines, [("exec-guard", Some(4)), ("pod-security", Some(3))]);
}

/// Whoever asks for their own alone, and for the file that they have, gets none of ours.
#[test]
fn what_is_ours_is_ours_there_too() {
    let Grounded { catalog, .. } = found();
    assert!(catalog.scenarios.iter().all(|entry| entry.built_in && entry.users_file().is_none()));
    assert!(catalog.controls.values().all(|control| control.built_in));
}

/// The names of all namespaces that objects are or are in.
fn namespaces<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    let named = objects.filter_map(|object| match object["kind"].as_str() {
        Some("Namespace") => object["metadata"]["name"].as_str(),
        _ => object["metadata"]["namespace"].as_str(),
    });
    named.collect()
}

#[test]
fn every_namespace_of_ours_has_a_name_of_the_runs_own() {
    let Grounded { catalog, .. } = found();
    let objects = catalog.targets.values().flat_map(|target| &target.objects);
    let mut theirs = namespaces(objects.map(|document| &document.object));
    theirs.retain(|name| !name.starts_with("brinell-k7f3-"));
    // The targets that have something there are said to reach out.
    assert_eq!(theirs, BTreeSet::from(["kube-system"]));
}

#[test]
fn no_action_names_a_namespace_that_is_not_made() {
    let here = Catalog::load(None).expect("our own catalog");
    let objects = here.targets.values().flat_map(|target| &target.objects);
    let names = namespaces(objects.map(|document| &document.object));
    let is_part = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let mut left: BTreeSet<String> = BTreeSet::new();
    for entry in &found().catalog.scenarios {
        for turn in &entry.turns {
            let text = format!("{:?}", turn.action);
            let words = text.split(is_part).filter(|word| names.contains(word));
            left.extend(words.map(str::to_owned));
        }
    }
    assert_eq!(left, BTreeSet::from(["kube-system".to_owned()]));
}

#[test]
fn a_scenario_has_every_namespace_that_it_names() {
    let is_part = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let mut named = BTreeSet::new();
    for entry in &found().catalog.scenarios {
        let made = entry.target.objects.iter().map(|document| &document.object);
        let made = namespaces(made.filter(|object| object["kind"] == "Namespace"));
        let text = format!("{:?}", entry.turns.iter().map(|turn| &turn.action).collect::<Vec<_>>());
        let words = text.split(is_part).filter(|word| word.starts_with("brinell-k7f3-"));
        let elsewhere = words.filter(|word| !made.contains(word)).map(str::to_owned);
        named.extend(elsewhere);
    }
    // The accounts of personas are in a namespace that every run has.
    assert_eq!(named, BTreeSet::from(["brinell-k7f3-personas".to_owned()]));
}

#[test]
fn prose_stays_as_it_is() {
    let here = Catalog::load(None).expect("our own catalog");
    for (entry, moved) in here.scenarios.iter().zip(&found().catalog.scenarios) {
        assert_eq!(entry.scenario.why, moved.scenario.why);
        assert_eq!(entry.text, moved.text);
    }
}

#[test]
fn what_is_not_ours_is_never_weakened() {
    let weakened = "{title: x, controls: {pod-security: {weakening: absent}}}";
    let refused = grounded(weakened, true).err().expect("refused");
    let hint = "a cluster that brinell did not make is never weakened: remove `weakening`, or leave `--context` out";
    assert!(
        refused.contains("it weakens pod-security (absent)") && refused.contains(hint),
        "{refused}"
    );
}

#[test]
fn nothing_of_a_declared_control_is_set_up() {
    let Grounded { profile, .. } = found();
    assert!(profile.controls.iter().all(|planned| planned.is_declared()));
    assert!(profile.controls.iter().all(|planned| planned.questions.is_empty()));
}

#[test]
fn without_a_log_only_what_is_nothing_but_evidence_needs_it() {
    let Grounded { catalog, .. } =
        grounded("{title: x, controls: {}}", false).expect("it is only declared");
    let needing = catalog.scenarios.iter().filter(|it| it.needs().contains(&Need::AuditLog));
    let needing: Vec<_> = needing.collect();
    assert!(!needing.is_empty() && needing.len() < catalog.scenarios.len() / 4);
    for entry in needing {
        let recorded = |turn: &brinell::catalog::Turn| {
            matches!(turn.expected, Expectation::Recorded(_))
                || matches!(turn.action, Action::AuditLog(_))
        };
        assert!(entry.turns.iter().any(recorded), "{}", entry.id);
    }
}

#[test]
fn what_reaches_outside_of_our_namespaces_says_so() {
    let catalog = found().catalog;
    let reaches = |id: &str| {
        catalog.scenarios.iter().find(|it| it.id == id).expect(id).needs().contains(&Need::Effects)
    };
    for id in [
        "exec-kube-system",        // a pod of ours in kube-system
        "pod-runtime-class",       // an object of the whole cluster
        "pod-in-other-namespaces", // pods that are made in other namespaces
        "pod-by-controller",       // the account of a controller
        "impersonation",           // a role that holds everywhere
        "kubelet-without-role",
    ] {
        assert!(reaches(id), "{id}");
    }
    for id in ["exec-interactive", "hostpath-root", "rights-anonymous", "secret-get"] {
        assert!(!reaches(id), "{id}");
    }
}

#[test]
fn somebody_of_the_clusters_plays_a_persona() {
    let profile = "
title: x
personas:
  reader: {service-account: {roles: [view]}}
  operator: {impersonated: {user: jane@example.com, groups: [developers]}}
controls: {}";
    let Grounded { catalog, .. } = grounded(profile, true).expect("it is only declared");
    let reader = &catalog.personas["reader"];
    assert!(reader.played && reader.has_own_account);
    let made = reader.objects_in(&["brinell-k7f3-plain-app"].into(), None, |_| None);
    let made: Vec<&Value> = made.iter().map(|document| &document.object).collect();
    assert_eq!(made[0]["metadata"]["namespace"], "brinell-k7f3-personas");
    assert_eq!(made[1]["roleRef"]["kind"], "ClusterRole");
    assert_eq!(made[1]["roleRef"]["name"], "view");
    assert_eq!(made.len(), 2);
    let operator = &catalog.personas["operator"];
    let Persona::Impersonated(jane) = &operator.who else { panic!("{:?}", operator.who) };
    assert_eq!((jane.by.as_ref(), jane.user.as_str()), (None, "jane@example.com"));
    assert!(operator.roles.is_empty());
}

#[test]
fn somebody_plays_a_persona_by_credentials_of_their_own() {
    let who = |player: &str| {
        let profile = format!("{{title: x, personas: {{operator: {player}}}, controls: {{}}}}");
        let Grounded { catalog, .. } = grounded(&profile, true).expect("it is only declared");
        let operator = &catalog.personas["operator"];
        assert!(operator.played && !operator.has_own_account && operator.roles.is_empty());
        assert!(operator.objects_in(&["brinell-k7f3-plain-app"].into(), None, |_| None).is_empty());
        let Persona::Credentials(credentials) = &operator.who else { panic!("{player}") };
        credentials.clone()
    };
    let context = |player| match who(player) {
        Credentials::Context(Context { kubeconfig, context }) => (context, kubeconfig),
        Credentials::TokenFile(file) => panic!("{file:?}"),
    };
    let (name, kubeconfig) = context("{context: staging-ci}");
    assert_eq!((name.as_str(), kubeconfig), ("staging-ci", Some("run.kc".into())));
    // What a profile names stands beside the profile, wherever brinell is started.
    let (_, kubeconfig) = context("{context: staging-ci, kubeconfig: ci/config}");
    let kubeconfig = kubeconfig.expect("named");
    assert!(kubeconfig.is_absolute() && kubeconfig.ends_with("ci/config"), "{kubeconfig:?}");
    let Credentials::TokenFile(file) = who("{token-file: tokens/ci}") else { panic!("a file") };
    assert!(file.is_absolute() && file.ends_with("tokens/ci"), "{file:?}");
}

#[test]
fn the_files_of_a_profile_are_named_from_its_folder() {
    let files = |audit: &str| {
        let profile = format!("{{title: x, audit: {audit}, controls: {{}}}}");
        let Grounded { profile, .. } = grounded(&profile, true).expect("it is only declared");
        match profile.profile.audit.expect("a source").from {
            AuditFrom::File(file) => vec![file],
            AuditFrom::Listen(listen) => vec![listen.certificate, listen.key, listen.client_ca],
            other => panic!("{other:?}"),
        }
    };
    let listen =
        "{listen: {address: '127.0.0.1:1', certificate: a/log, key: a/log, client-ca: a/log}}";
    for audit in ["{file: a/log}", listen] {
        for file in files(audit) {
            assert!(file.is_absolute() && file.ends_with("a/log"), "{file:?}");
        }
    }
}

#[test]
fn a_player_is_exactly_one() {
    for (player, words) in [
        ("{}", "expected exactly one of `impersonated`"),
        ("{context: a, token-file: b}", "expected exactly one of `impersonated`"),
        ("{context: a, service-account: {}}", "expected exactly one of `impersonated`"),
        ("{kubeconfig: a}", "`kubeconfig` stands without `context`"),
        ("{kontext: a}", "did you mean context?"),
    ] {
        let profile = format!("{{title: x, personas: {{reader: {player}}}, controls: {{}}}}");
        let refused = grounded(&profile, true).err().expect("refused");
        assert!(refused.contains(words), "{player}: {refused}");
    }
}

#[test]
fn a_persona_of_ours_holds_its_roles_in_our_namespaces_alone() {
    let Grounded { catalog, .. } = found();
    let made: BTreeSet<&str> = ["brinell-k7f3-plain-app", "brinell-k7f3-personas"].into();
    for persona in catalog.personas.values() {
        let written = |role: &str| catalog.written_rules(role);
        for document in persona.objects_in(&made, None, written) {
            let namespace = document.object["metadata"]["namespace"].as_str();
            assert!(namespace.is_some_and(|it| made.contains(it)), "{document:?}");
        }
    }
}

#[test]
fn what_a_persona_holds_everywhere_has_a_name_of_the_runs_own() {
    let Grounded { catalog, .. } = found();
    let monitoring = &catalog.personas["monitoring"];
    let made = |everywhere| {
        let made =
            monitoring.objects_in(&BTreeSet::new(), everywhere, |role| catalog.written_rules(role));
        made.into_iter().map(|it| identity(&it.object)).collect::<Vec<_>>()
    };
    assert_eq!(made(None), ["ServiceAccount/brinell-k7f3-personas/monitoring"]);
    let named = "ClusterRole/brinell-k7f3-monitoring";
    assert_eq!(made(Some(PREFIX))[1..], [named, "ClusterRoleBinding/brinell-k7f3-monitoring"]);
}

#[test]
fn a_declared_control_decides_as_the_profile_says() {
    let profile = "
title: x
controls:
  exec-guard:
    decides: [{webhook: \"validate.example.com-*\"}]
    saying: no shells
    leaves: {validate.example.com/policy: shells}
    namespace-labels: {env: production}";
    let Grounded { catalog, .. } = grounded(profile, true).expect("it is only declared");
    let entry = catalog.scenarios.iter().find(|it| it.id == "exec-interactive").expect("ours");
    let Expectation::Blocked(blocked, _) = &entry.turns[0].expected else { panic!("blocked") };
    assert_eq!(blocked.by.control.decides.len(), 1);
    assert_eq!(blocked.by.control.decides[0].to_string(), "webhook validate.example.com-*");
    let words = blocked.by.words(blocked.saying.as_deref(), &blocked.by.control.decides[0]);
    assert_eq!(words, Some("no shells"));
    assert_eq!(blocked.by.control.leaves["validate.example.com/policy"], "shells");
    let labels = &entry.target.objects[0].object["metadata"]["labels"];
    assert_eq!(labels["env"], "production");
    assert_eq!(labels["brinell.dev/exec-guard"], "enforce");
}

/// What the profile says is its own guard's; Kubernetes' own layers keep the words, and the layer, that a scenario demands.
#[test]
fn a_declared_control_keeps_what_a_scenario_demands_of_kubernetes() {
    let blocked = |decides: &str| {
        let profile = format!(
            "{{title: x, controls: {{least-privilege: {{decides: {decides}, saying: not on my watch}}}}}}"
        );
        let Grounded { catalog, .. } = grounded(&profile, true).expect("it is only declared");
        let entry = catalog.scenarios.iter().find(|it| it.id == "exec-denied-by-rbac");
        let turn = entry.expect("ours").turns[0].clone();
        let Expectation::Blocked(blocked, _) = turn.expected else { panic!("blocked") };
        blocked
    };
    let written = |blocked: &Blocked<Arc<ControlEntry>>, layer: &Layer| {
        blocked.by.words(blocked.saying.as_deref(), layer).map(str::to_owned)
    };
    let (webhook, rbac) = (Layer::Webhook("w".to_owned()), Layer::Authorization);
    let kept = blocked("[authorization, upgrade-check, {webhook: w}]");
    assert_eq!(kept.at, Some(Layer::Authorization));
    assert_eq!(written(&kept, &rbac).as_deref(), Some("resource \"pods/exec\""));
    assert_eq!(written(&kept, &webhook).as_deref(), Some("not on my watch"));
    let other = blocked("[{webhook: w}]");
    assert_eq!(other.at, None);
    assert_eq!(written(&other, &webhook).as_deref(), Some("not on my watch"));
}

/// The labels that attacks and steps of a scenario write.
fn written(catalog: &Catalog, id: &str) -> Vec<Value> {
    let entry = catalog.scenarios.iter().find(|it| it.id == id).expect("ours");
    let bodies = entry.turns.iter().filter_map(|turn| match &turn.action {
        Action::Request(request) => Some(request.body.as_ref()?["metadata"]["labels"].clone()),
        _ => None,
    });
    bodies.filter(|labels| !labels.is_null()).collect()
}

#[test]
fn what_is_taken_away_is_the_label_by_which_the_declared_control_goes() {
    let profile = "
title: x
cluster: {namespace-labels: {pod-security.kubernetes.io/enforce: restricted}}
controls:
  exec-guard: {namespace-labels: {environment: production, tier: one}}
  pod-security: {}";
    let Grounded { catalog, .. } = grounded(profile, true).expect("it is only declared");
    let (there, gone) = (
        json!({"environment": "production", "tier": "one"}),
        json!({"environment": null, "tier": null}),
    );
    assert_eq!(written(&catalog, "exec-relabelled-namespace"), [there, gone.clone(), gone]);
    // A step gives back what the namespace has there.
    let enforced = |standard: &str| json!({"pod-security.kubernetes.io/enforce": standard});
    let expected = [enforced("restricted"), enforced("privileged"), enforced("privileged")];
    assert_eq!(written(&catalog, "pod-relabelled-namespace"), expected);
    // What a step takes away stays away.
    let here = Catalog::load(None).expect("our own catalog");
    let sensitive = "{title: x, controls: {exec-guard: {namespace-labels: {sensitive: yes}}}}";
    let Grounded { catalog, .. } = grounded(sensitive, true).expect("it is only declared");
    let (there, ours) = [&catalog, &here].map(|it| written(it, "exec-newly-sensitive-pod")).into();
    assert!(there == ours && ours[0]["sensitive"].is_null(), "{there:?}");
    assert_eq!(
        written(&found().catalog, "exec-relabelled-namespace"),
        written(&here, "exec-relabelled-namespace")
    );
}

#[test]
fn what_tells_nothing_of_a_control_that_is_another_one_is_skipped() {
    let untold = |controls: &str| {
        let Grounded { catalog, .. } =
            grounded(&format!("{{title: x, controls: {controls}}}"), true).expect("declared");
        let untold =
            catalog.scenarios.iter().filter_map(|it| Some((it.id.clone(), it.untold.clone()?)));
        untold.collect::<Vec<_>>()
    };
    let ids = |controls: &str| -> Vec<String> {
        untold(controls).into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids("{exec-guard: {}, pod-security: {decides: [pod-security]}}"), [""; 0]);
    let kyverno = "decides: [{webhook: validate.kyverno.svc-*}], saying: no";
    assert_eq!(
        untold(&format!("{{exec-guard: {{{kyverno}}}}}")),
        [
            ("exec-relabelled-namespace", "it changes the label brinell.dev/exec-guard, by which the exec-guard that the profile declares does not go; the labels by which it goes are its `namespace-labels`"),
            ("webhooks-reviewed", "it reads webhooks exec-guard of brinell's own, and the profile declares another exec-guard"),
        ]
        .map(|(id, why)| (id.to_owned(), why.to_owned()))
    );
    let labelled = format!("{{exec-guard: {{{kyverno}, namespace-labels: {{env: production}}}}}}");
    assert_eq!(ids(&labelled), ["webhooks-reviewed"]);
    assert_eq!(ids(&format!("{{ephemeral-guard: {{{kyverno}}}}}")), ["policies-reviewed"]);
    assert_eq!(ids(&format!("{{pod-security: {{{kyverno}}}}}")), ["pod-relabelled-namespace"]);
}

/// Elsewhere it would refuse what must be let in.
#[test]
fn a_control_acts_in_those_of_our_namespaces_that_are_meant_for_it() {
    let profile = "
title: x
cluster: {namespace-labels: {team: security}}
controls:
  ephemeral-guard: {namespace-labels: {debug: forbidden}}
  pod-security: {namespace-labels: {pods: restricted}}";
    let Grounded { catalog, accounts, .. } = grounded(profile, true).expect("it is only declared");
    let made = catalog.targets.values().flat_map(|target| &target.objects).chain([&accounts]);
    let made = made.map(|it| &it.object).filter(|object| object["kind"] == "Namespace");
    let mut sealed = BTreeSet::new();
    for namespace in made {
        let labels = &namespace["metadata"]["labels"];
        assert_eq!((&labels["team"], &labels["pods"]), (&json!("security"), &json!("restricted")));
        if labels["debug"] == "forbidden" {
            sealed.extend(namespace["metadata"]["name"].as_str());
        }
    }
    assert_eq!(sealed, BTreeSet::from(["brinell-k7f3-sealed-app"]));
}

/// What does not lead from one node to another would look like a block.
#[test]
fn pods_that_connect_to_each_other_stand_on_one_node() {
    let Grounded { catalog, .. } = found();
    let pods = |target: &str| {
        let objects = catalog.targets[target].objects.iter().map(|it| it.object.clone());
        objects.filter(|object| object["kind"] == "Pod").collect::<Vec<_>>()
    };
    for pod in pods("shop") {
        let affinity = &pod["spec"]["affinity"]["podAffinity"];
        let term = &affinity["requiredDuringSchedulingIgnoredDuringExecution"][0];
        assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(term["namespaces"], json!(["brinell-k7f3-shop", "brinell-k7f3-visitor"]));
        // The first one of them is placed because it is itself one of those that it must stand beside.
        let (label, labels) = (&term["labelSelector"]["matchLabels"], &pod["metadata"]["labels"]);
        assert_eq!(label, &json!({"brinell.dev/together": "shop"}));
        assert_eq!(labels["brinell.dev/together"], "shop");
        assert!(labels["app"].is_string());
    }
    assert!(pods("plain-app").iter().all(|pod| pod["spec"]["affinity"].is_null()));
}

/// Namespaces that are there already.
const GIVEN: &str = "
title: x
cluster: {namespaces: {personas: people, billing-app: billing, plain-app: plain}}
controls: {}";

#[test]
fn what_is_made_in_namespaces_that_are_given_changes_nothing_of_theirs() {
    let grounded = grounded(GIVEN, true).expect("it is only declared");
    let catalog = &grounded.catalog;
    let plain = &*catalog.targets["plain-app"];
    assert_eq!((plain.namespace.as_str(), &plain.given), ("plain", &["plain".to_owned()].into()));
    let reader = &*catalog.personas["reader"];
    let made = grounded.documents(&[plain], &[reader], true);
    assert!(made.iter().all(|document| document.object["kind"] != "Namespace"), "{made:?}");
    let places = namespaces(made.iter().map(|document| &document.object));
    assert_eq!(places, BTreeSet::from(["people", "plain"]));
    let entry = |id: &str| catalog.scenarios.iter().find(|it| it.id == id).expect(id);
    for (id, need) in [
        ("exec-relabelled-namespace", Some(Need::Changes)),
        ("exec-relabelled-pod", Some(Need::OwnNamespaces)),
        ("rights-anonymous", None),
    ] {
        let needs = entry(id).needs();
        let unmet = [Need::Changes, Need::Effects, Need::OwnNamespaces];
        assert_eq!(unmet.into_iter().find(|it| needs.contains(it)), need, "{id}");
    }
}

#[test]
fn a_namespace_is_given_once_and_is_not_kubernetes_own() {
    for (given, words) in [
        ("{plain-app: a}", "there is no `personas` among them"),
        ("{personas: a, plain-app: a}", "`a` takes the place of two"),
        ("{personas: kube-system}", "`kube-system` is Kubernetes' own"),
        ("{personas: a, plain-ap: b}", "did you mean plain-app?"),
    ] {
        let profile = format!("{{title: x, cluster: {{namespaces: {given}}}, controls: {{}}}}");
        let refused = grounded(&profile, true).err().expect("refused");
        assert!(refused.contains(words), "{given}: {refused}");
    }
}

/// What people copy works.
#[test]
fn the_profile_of_the_page_about_staging_is_one() {
    let page = include_str!("../../../../docs/staging.md");
    let profile = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let Grounded { catalog, profile, .. } =
        grounded(profile.expect("an example"), true).expect("it is only declared");
    assert_eq!(profile.controls.len(), 5);
    assert!(catalog.personas["operator"].played && catalog.personas["reader"].played);
    let label = |id: &str| &catalog.targets[id].objects[0].object["metadata"]["labels"]["team"];
    assert_eq!(label("production-app"), "security");
}

#[test]
fn every_role_of_a_player_is_bound() {
    let profile = "
title: x
personas: {reader: {service-account: {roles: [view, company-debug]}}}
controls: {}";
    let Grounded { catalog, .. } = grounded(profile, true).expect("it is only declared");
    let made =
        catalog.personas["reader"].objects_in(&["brinell-k7f3-plain-app"].into(), None, |_| None);
    let bindings = made.iter().filter(|document| document.object["kind"] == "RoleBinding");
    let names: BTreeSet<&str> =
        bindings.filter_map(|it| it.object["metadata"]["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["reader-company-debug", "reader-view"]));
}

#[test]
fn a_player_gets_no_role_where_none_can_be_held() {
    for persona in ["stranger", "monitoring"] {
        let profile = format!(
            "{{title: x, personas: {{{persona}: {{service-account: {{roles: [a]}}}}}}, controls: {{}}}}"
        );
        let refused = grounded(&profile, true).err().expect("refused");
        assert!(refused.contains("holds no role in any namespace of ours"), "{refused}");
    }
}

#[test]
fn what_a_profile_declares_tells_one_reason_from_another() {
    for (setting, words) in [
        ("{decides: [{webhook: w}]}", "names a webhook or a policy without `saying` or `leaves`"),
        ("{decides: [{policy: p-*}]}", "names a webhook or a policy without `saying` or `leaves`"),
        ("{saying: x}", "`saying` or `leaves` stands without `decides`"),
        ("{leaves: {a/b: c}}", "`saying` or `leaves` stands without `decides`"),
        ("{decides: [{webhook: w}], saying: ' '}", "every refusal says nothing"),
        ("{decides: [{webhook: w}], leaves: {b: c}}", "no audit event has an annotation `b`"),
        ("{decides: [{webhook: '*'}], saying: x}", "webhook * may be any"),
        ("{decides: [{policy: '*-*.*'}], saying: x}", "admission policy *-*.* may be any"),
        ("{decides: [validation]}", "validation is no layer of a control"),
        ("{decides: [flow-control]}", "flow control is no layer of a control"),
    ] {
        let profile = format!("{{title: x, controls: {{pod-security: {setting}}}}}");
        let refused = grounded(&profile, true).err().expect("refused");
        assert!(refused.contains(words), "{setting}: {refused}");
    }
    let unknown = "{title: x, personas: {raeder: {service-account: {}}}, controls: {}}";
    let refused = grounded(unknown, true).err().expect("refused");
    let is_told = refused.contains("there is no persona `raeder`")
        && refused.contains("did you mean reader?");
    assert!(is_told, "{refused}");
}

#[test]
fn without_an_image_what_is_refused_before_a_pod_is_looked_up_needs_none() {
    let lent = "{title: t, cluster: {pod: {namespace: shop, name: web-0, container: web, command: [nginx, -v]}}, controls: {}}";
    let needing = |profile: &str, has_image: bool| -> BTreeSet<String> {
        let Grounded { catalog, .. } = grounded_with(profile, true, has_image).expect("declared");
        let needing = catalog.scenarios.iter().filter(|it| it.needs().contains(&Need::OwnPods));
        needing.map(|it| it.id.clone()).collect()
    };
    let all = needing("{title: t, controls: {}}", false);
    assert_eq!(needing(lent, true), all);
    let left = needing(lent, false);
    let tried: BTreeSet<&str> = all.difference(&left).map(String::as_str).collect();
    for id in ["exec-interactive", "exec-other-team", "bindings-reviewed"] {
        assert!(tried.contains(id), "{id}: {tried:?}");
    }
    // One changes the labels of a pod, one reads it, in one a command must be let in, one is a debug container.
    for id in
        ["exec-relabelled-pod", "exec-denied-by-rbac", "exec-audited", "ephemeral-denied-by-rbac"]
    {
        assert!(left.contains(id), "{id}: {left:?}");
    }

    let Grounded { catalog, .. } = grounded_with(lent, true, false).expect("declared");
    let entry = catalog.scenarios.iter().find(|it| it.id == "exec-interactive").expect("ours");
    let permit = entry.scenario.permits.first().expect("a permit");
    let Action::Exec(exec) = &permit.r#do else { panic!("{permit:?}") };
    assert_eq!(exec.namespace.as_deref(), Some("shop"));
    assert_eq!(exec.command, ["nginx", "-v"]);
    assert_eq!(permit.succeeds.stdout, None);
    assert_eq!(permit.logged.as_ref().and_then(|it| it.uri.as_deref()), Some("command=-v"));
}

#[test]
fn the_search_of_the_log_takes_the_leases_that_show_who_answers() {
    let grounded = grounded("{title: t, controls: {audit-policy: {}}}", true).expect("declared");
    let chosen = |id: &str| grounded.catalog.scenarios.iter().find(|it| it.id == id);
    let entry = chosen("secret-value-unlogged").expect("a scenario of ours");
    let warrant = grounded.warrant(&[entry], false);
    let mut rights = warrant.claims().into_iter().map(|claim| &claim.right);
    assert!(rights.any(|right| right.resource == "leases" && right.verb == "watch"));
}

#[test]
fn who_is_granted_something_is_known_where_the_authorizers_are() {
    let catalog = found().catalog;
    let needs = |id: &str| catalog.scenarios.iter().find(|it| it.id == id).expect(id).needs();
    assert!(needs("exec-grants-reviewed").contains(&Need::Settings));
    // It binds a ClusterRole of ours, which is a Role there.
    assert!(needs("role-bind-used").contains(&Need::OwnClusterRole));
}

/// A role of ours refuses the step, so that the attack after it meets a guard whom nobody has sent away.
#[test]
fn a_step_that_a_role_of_ours_refuses_needs_somebody_of_the_clusters() {
    let needs = |profile: &str, id: &str| {
        let Grounded { catalog, .. } = grounded(profile, true).expect("it is only declared");
        let entry = catalog.scenarios.iter().find(|it| it.id == id).expect("ours");
        brinell::run::needs(&catalog, entry).contains(&Need::Players)
    };
    let found = "{title: found, controls: {pod-security: {}}}";
    let played = "
title: x
personas: {deployer: {context: ci}, operator: {service-account: {roles: [edit]}}}
controls: {}";
    for id in ["pod-relabelled-namespace", "exec-relabelled-namespace", "exec-relabelled-pod"] {
        assert!(needs(found, id) && !needs(played, id), "{id}");
    }
    // What may be refused there changes nothing, or nothing is blocked after it.
    for id in ["pod-sysctls", "pod-user-namespace", "exec-interactive"] {
        assert!(!needs(found, id), "{id}");
    }
}
