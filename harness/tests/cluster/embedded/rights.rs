//! What `brinell plan --rbac` prints is what brinell needs on a cluster that is there: with it a run ends as it does for
//! whoever may do everything, without any of it something falls away, and nothing of it goes unused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use brinell::catalog::Catalog;
use brinell::cluster::{DEFAULT_VERSION, Existing, Pace, Way};
use brinell::model::{Answer, Context, Judgement, Reason, Results, Verdict};
use futures::StreamExt;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{brinell, is_there, or_ignored, signal};
use crate::shared::{objects, settled};
use crate::support::Ran;

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let is_there = is_there(DEFAULT_VERSION);
    let trial = |name: &str, scenarios: &'static [&'static str]| {
        Trial::test(format!("embedded/rights/{DEFAULT_VERSION}/{name}"), move || {
            what_is_printed_is_what_is_needed(scenarios);
            Ok(())
        })
    };
    vec![
        or_ignored(trial("some", &SOME), DEFAULT_VERSION, is_there),
        // It takes minutes: ci/nightly asks for it.
        trial("all", &[]).with_kind("nightly").with_ignored_flag(true),
    ]
}

/// A scenario of every kind of right: what is looked at of a pod, of a workload and of a debug container, what the admin does
/// themselves, an owner, requests that make something, a role of the cluster's own that is bound, Secrets, questions about
/// rights, and reviews.
const SOME: [&str; 12] = [
    "bindings-reviewed",
    "ephemeral-audited",
    "exec-relabelled-pod",
    "hostpath-root",
    "pod-forged-metadata",
    "pod-through-workloads",
    "rights-anonymous",
    "role-applied-audited",
    "secret-list-namespace",
    "secret-value-unlogged",
    "service-accounts-reviewed",
    "webhooks-reviewed",
];

/// What the cluster is said to be: as the one that is held really is.
const PROFILE: &str = "
title: held
cluster: {image: brinell.example/harness}
audit: {file: LOG}
personas:
  viewer: {service-account: {roles: [view]}}
  operator: {service-account: {roles: [enters-pods]}}
  developer: {impersonated: {user: jane@example.com, groups: [developers], roles: [edit]}}
controls:
  anonymous-auth: {decides: [authentication, authorization]}
  audit-policy: {}
  ephemeral-guard: {}
  exec-guard: GUARD
  exec-policy: {}
  least-privilege: {}
  pod-security: {}
";

/// A role of theirs that enters pods and changes none.
const ENTERS_PODS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: enters-pods}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list]}
- {apiGroups: [""], resources: [pods/exec], verbs: [get, create]}
"#;

/// How its webhook is known there: by a part of its name, and by what it leaves on audit events.
const GUARD: &str =
    r#"{decides: [{webhook: "exec-guard.*"}], leaves: {exec-guard.brinell.dev/run: RUN}}"#;

/// What is declared of it and is not so, and what is told then.
const NOT_SO: [(&str, Reason, &str); 3] = [
    (
        r#"{decides: [{webhook: "exec-guards.*"}], saying: sensitive}"#,
        Reason::WrongLayer,
        "blocked by webhook exec-guard.brinell.dev",
    ),
    (
        r#"{decides: [{webhook: "exec-guard.*"}], saying: ordinary}"#,
        Reason::OtherReason,
        "webhook exec-guard.brinell.dev refused something else",
    ),
    (
        r#"{decides: [{webhook: "exec-guard.*"}], saying: sensitive, leaves: {exec-guard.brinell.dev/run: other}}"#,
        Reason::WrongLayer,
        "blocked by another webhook exec-guard.brinell.dev",
    ),
];

/// The scenario in which it refuses.
const GUARDED: &str = "exec-relabelled-pod";

/// All that was printed.
fn printed_by(ran: Ran) -> String {
    ran.stdout + &ran.stderr
}

/// How a plan says that a right is missing: of every run, and of a scenario.
const MISSING: [&str; 2] = ["who may not do what every run needs: `", ": needs `"];

fn what_is_printed_is_what_is_needed(scenarios: &'static [&'static str]) {
    let held = Held::start(scenarios, None);
    let uninvited: Ran = held.command(&[], "visitor").output().expect("started").into();
    assert_eq!(uninvited.code, Some(4), "{uninvited:?}");
    assert!(uninvited.stdout.contains("Nothing was made."), "{uninvited:?}");
    assert!(uninvited.stdout.contains("`create namespaces`"), "{uninvited:?}");

    let manifest = held.plan("admin", &["--rbac", "ServiceAccount/default/visitor"]);
    let printed = documents(&manifest);
    printed.iter().for_each(|document| held.apply(document));
    assert!(held.soon(|plan| !lacks(plan)), "{}", held.plan("visitor", &[]));

    held.bind_many();
    let (all, own) = (held.verdicts("admin"), held.results("visitor"));
    assert_eq!(verdicts(&own), all);
    let read = read_by(&own, "bindings-reviewed");
    assert!(read > MANY, "{read} bindings were read");
    let whole: Vec<String> = held.events().iter().filter_map(whole_list).collect();
    assert_eq!(whole, [""; 0]);
    let judged = all.values().filter(|it| it[0] != Verdict::Skipped).count();
    assert!(judged > 0 && [0, judged].contains(&scenarios.len()), "{all:?}");
    assert_eq!(unused(&printed, &held.events()), [""; 0]);
    // The last of it is a permit, which needs a node that has the image.
    let attempts = all[GUARDED].split_last().and_then(|(_, attacks)| attacks.get(1..));
    assert!(attempts.is_some_and(|it| it.iter().all(|it| *it == Verdict::Passed)), "{all:?}");
    for (declared, reason, outcome) in NOT_SO {
        let told = held.guarded(declared);
        let found = told.iter().find(|it| !it.findings.is_empty()).expect("it is found");
        assert_eq!((found.findings[0].reason, found.verdict), (reason, Verdict::Failed));
        assert!(found.outcome.contains(outcome), "{found:?}");
    }

    for document in printed.iter().filter(|it| it["rules"].is_array()) {
        let rules = document["rules"].as_array().expect("rules");
        for (position, rule) in rules.iter().enumerate() {
            held.apply(&without(document, position));
            assert!(held.soon(lacks), "nothing falls away without {rule}");
        }
        held.apply(document);
        assert!(held.soon(|plan| !lacks(plan)), "it is whole again");
    }
    held.assert_falls_away(&printed[0], &all);
    if !scenarios.is_empty() {
        held.apply(&printed[0]);
        assert!(held.soon(|plan| !lacks(plan)), "it is whole again");
        what_the_cluster_refuses_falls_away(&held, &all);
        namespaces_that_are_given_are_left_as_they_were(&held, &all);
        what_is_made_in_the_whole_cluster_is_removed(&held);
    }
}

/// A policy of theirs that has no place for one namespace of ours, and none for the pods of another.
const UNWELCOME: [&str; 2] = [
    r#"{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "theirs"},
    "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
    "resources": ["namespaces", "pods"]}]}, "validations": [{"expression":
    "object.kind == 'Pod' ? !object.metadata.namespace.endsWith('-debugged-app') : !object.metadata.name.endsWith('-payroll-app')",
    "message": "not on this cluster"}]}}"#,
    r#"{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "theirs"}, "spec": {"policyName": "theirs", "validationActions": ["Deny"]}}"#,
];

/// What needs the one and the other.
const UNMADE: [(&str, &str); 2] =
    [("exec-relabelled-pod", "Namespace brinell-"), ("ephemeral-audited", "Pod ")];

/// A plan knows it of a namespace, a run of a pod too, and all else is tried.
fn what_the_cluster_refuses_falls_away(held: &Held, all: &BTreeMap<String, Vec<Verdict>>) {
    let policy = documents(&UNWELCOME.join("\n---\n"));
    policy.iter().for_each(|document| held.apply(document));
    let refused = "exec-relabelled-pod: this cluster refuses what it needs: Namespace brinell-";
    assert!(held.soon(|plan| plan.contains(refused)), "{}", held.plan("visitor", &[]));

    let told = held.results("visitor");
    for (id, object) in UNMADE {
        let scenario = told.scenarios.iter().find(|it| it.id == id).expect("it is there");
        let cause = scenario.cause.as_deref().unwrap_or_default();
        let words = [object, "ValidatingAdmissionPolicy 'theirs'", "not on this cluster"];
        assert!(words.iter().all(|words| cause.contains(words)), "{id}: {cause}");
    }
    for (id, verdicts) in verdicts(&told) {
        let is_unmade = UNMADE.iter().any(|(unmade, _)| *unmade == id);
        let expected = if is_unmade { &vec![Verdict::Skipped] } else { &all[&id] };
        assert_eq!(verdicts, *expected, "{id}");
    }
    policy.iter().for_each(|document| held.delete(document));
    assert!(held.soon(|plan| !plan.contains(refused)), "it is welcome again");
}

/// Scenarios that make objects of the whole cluster: one of ours, by its target, and one that makes a role.
const EFFECTS: [&str; 2] = ["pod-runtime-class", "cluster-role"];

const CLUSTER_ROLE: &str = r#"
title: A role of the whole cluster
why: It is made, and holds nothing.
fix: Nothing is to be done.
target: web-app
attacks:
- name: a role
  as: admin
  do:
    request:
      method: POST
      path: /apis/rbac.authorization.k8s.io/v1/clusterroles
      body: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "${unique}"}, rules: []}
  succeeds: {}
  logged: {level: Request}
- name: the node's root
  as: deployer
  do: {pod: {spec: {volumes: [{name: root, hostPath: {path: /}}]}}}
  blocked: {by: pod-security, saying: restricted volume types}
  logged: {level: Request}
permits:
- name: the version, for who holds a role of the whole cluster
  as: monitoring
  do: {request: {method: GET, path: /version}}
  succeeds: {}
  logged: {level: Metadata}
"#;

fn what_is_made_in_the_whole_cluster_is_removed(held: &Held) {
    let own = held.folder.path().join("effects/scenarios/rbac");
    fs::create_dir_all(&own).expect("a folder");
    fs::write(own.join("cluster-role.yaml"), CLUSTER_ROLE).expect("written");
    let command = |words: &[&str], context: &str| {
        let mut command = held.brinell(words, context, "held");
        command.args(["--catalog", "effects"]);
        command.args(EFFECTS.iter().flat_map(|id| ["--scenario", id]));
        command
    };
    let ran = |words: &[&str], context: &str| -> Ran {
        command(words, context).output().expect("started").into()
    };
    let allow = ["--allow", "cluster-effects"];
    let skipped = ran(&["--json", "effects.json"], "visitor");
    assert_eq!(held.verdicts_in("effects.json", EFFECTS), [Verdict::Skipped; 2], "{skipped:?}");

    let grantee = ["plan", "--rbac", "ServiceAccount/default/visitor"];
    let printed = documents(&ran(&[&grantee[..], &allow].concat(), "admin").stdout);
    printed.iter().for_each(|document| held.apply(document));
    let plan = || printed_by(ran(&[&["plan"][..], &allow].concat(), "visitor"));
    assert!((0..20).any(|_| !is_missing(&plan())), "{}", plan());
    assert!(plan().contains("objects may be made outside of brinell's namespaces"), "{}", plan());
    let before = held.settled();
    let allowed = ran(&[&["--json", "effects.json"][..], &allow].concat(), "visitor");
    assert_eq!(held.verdicts_in("effects.json", EFFECTS), [Verdict::Passed; 2], "{allowed:?}");
    assert!(allowed.stdout.contains(" objects deleted, nothing left behind"), "{allowed:?}");
    assert_eq!(held.objects(), before);

    kill(command(&allow, "visitor"));
    let left = held.objects();
    let is_made = |kind: &str, name: &str| {
        left.keys().any(|key| key.starts_with(kind) && key.ends_with(name))
    };
    for (kind, name) in [("ClusterRole ", "-monitoring"), ("RuntimeClass ", "/brinell-sandbox")] {
        assert!(is_made(kind, name), "{kind} {:?}", left.keys());
    }
    let swept = held.sweep("visitor");
    assert!(swept.code == Some(0) && swept.stdout.contains(" objects\n"), "{swept:?}");
    assert_eq!(held.objects(), before);
}

/// Kills a run when everything is there that its scenarios act on.
fn kill(mut command: Command) {
    let mut run = command.stdout(Stdio::piped()).spawn().expect("started");
    let lines = BufReader::new(run.stdout.take().expect("piped")).lines();
    let mut lines = lines.map(|line| line.expect("text in UTF-8"));
    lines.find(|line| line.contains(" personas")).expect("it goes on");
    run.kill().expect("it runs");
    run.wait().expect("ended");
}

/// Namespaces that somebody has made, in the place of ours.
const GIVEN: [(&str, &str); 4] = [
    ("billing-app", "billing"),
    ("payroll-app", "payroll"),
    ("personas", "people"),
    ("web-app", "web"),
];

/// What a cluster changes by itself while nobody does anything.
const RESTLESS: [&str; 3] = ["Event", "Lease", "Node"];

/// What is tried in them, and whether it can be: one changes a namespace's labels, the target of one is not given.
const TRIED: [(&str, bool); 5] = [
    ("exec-relabelled-namespace", false),
    ("exec-relabelled-pod", true),
    ("hostpath-root", true),
    ("pod-through-workloads", true),
    ("rights-anonymous", false),
];

fn namespaces_that_are_given_are_left_as_they_were(
    held: &Held,
    all: &BTreeMap<String, Vec<Verdict>>,
) {
    held.give();
    let manifest = held.in_given(&["plan", "--rbac", "ServiceAccount/default/visitor"], "admin");
    let printed = documents(&manifest.stdout);
    let rules = printed.iter().filter_map(|it| it["rules"].as_array()).flatten();
    let rights: Vec<String> =
        rules.flat_map(granted).filter(|it| it.ends_with(" namespaces")).collect();
    assert!(rights.iter().all(|it| it.starts_with("get ")), "{rights:?}");
    printed.iter().for_each(|document| held.apply(document));
    let plan = || printed_by(held.in_given(&["plan"], "visitor"));
    assert!((0..20).any(|_| !is_missing(&plan())), "{}", plan());
    let unfit = "exec-relabelled-pod: the namespace payroll has not the labels of a target";
    assert!(plan().contains(unfit), "{}", plan());
    held.apply(&json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "payroll", "labels": {"brinell.dev/exec-guard": "enforce"}},
    }));
    let before = held.settled();

    let ran = held.in_given(&["--json", "given.json"], "visitor");
    assert!(ran.stdout.contains(" objects deleted, nothing left behind"), "{ran:?}");
    let verdicts = held.verdicts_in("given.json", TRIED.map(|(id, _)| id));
    for ((id, is_tried), verdict) in TRIED.into_iter().zip(verdicts) {
        let expected = if is_tried { all[id][0] } else { Verdict::Skipped };
        assert_eq!(verdict, expected, "{id}: {ran:?}");
    }
    assert_eq!(held.objects(), before);

    // From elsewhere it is in the way, and swept by its profile.
    kill(held.given_command(&[], "visitor"));
    assert_ne!(held.objects(), before);
    let elsewhere = held.folder.path().join("elsewhere");
    let mut another = held.given_command(&[], "visitor");
    let occupied: Ran = another.env("XDG_STATE_HOME", &elsewhere).output().expect("started").into();
    let told = occupied.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let run = told.split("holds something of run ").nth(1);
    let run = run.and_then(|rest| rest.split(':').next()).unwrap_or_else(|| panic!("{occupied:?}"));
    let profile = ["--profile", "./given.yaml", run];
    let swept = held.sweep_with(&profile, "admin", "elsewhere");
    let far = " objects, as far as the scenarios of this profile make it\n";
    assert!(swept.code == Some(0) && swept.stdout.ends_with(far), "{swept:?}");
    assert_eq!(held.objects(), before);

    // Where it was started the next run removes it itself.
    kill(held.given_command(&[], "visitor"));
    assert_ne!(held.objects(), before);
    let next = held.in_given(&["--json", "given.json"], "visitor");
    let told = next.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(": removed, "), "{next:?}");
    let verdicts = held.verdicts_in("given.json", TRIED.map(|(id, _)| id));
    for ((id, is_tried), verdict) in TRIED.into_iter().zip(verdicts) {
        let expected = if is_tried { all[id][0] } else { Verdict::Skipped };
        assert_eq!(verdict, expected, "{id}: {next:?}");
    }
    assert_eq!(held.objects(), before);
    let swept = held.sweep("visitor");
    assert_eq!((swept.code, &*swept.stdout), (Some(0), "nothing to sweep\n"), "{swept:?}");
}

/// More objects than are read at once.
const MANY: usize = 501;

/// How many objects a scenario's review has read.
fn read_by(results: &Results, id: &str) -> usize {
    let scenario = results.scenarios.iter().find(|it| it.id == id).expect("it is there");
    let evidence = scenario.attempts[0].evidence.as_ref().expect("it was read");
    let Answer::Review(reviewed) = &evidence.answer else { panic!("{evidence:?}") };
    reviewed.objects
}

/// A list of brinell's own that is asked for all at once. What attacks list names their scenario.
pub(super) fn whole_list(event: &Value) -> Option<String> {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let is_attack = text("userAgent").contains(" scenario/");
    let is_whole = text("verb") == "list" && !text("requestURI").contains("limit=");
    (is_whole && !is_attack).then(|| text("requestURI").to_owned())
}

/// The verdicts of a run: each scenario's, and those of its attempts.
fn verdicts(results: &Results) -> BTreeMap<String, Vec<Verdict>> {
    let verdicts = results.scenarios.iter().map(|scenario| {
        let attempts = scenario.attempts.iter().map(|attempt| attempt.judgement.verdict);
        (scenario.id.clone(), [scenario.verdict].into_iter().chain(attempts).collect())
    });
    verdicts.collect()
}

/// A role without one of its rules.
fn without(role: &Value, position: usize) -> Value {
    let mut role = role.clone();
    role["rules"].as_array_mut().expect("rules").remove(position);
    role
}

/// Whether a plan says that a right is missing, or that it goes without: where leases do not show which API server answers,
/// each attempt has a connection of its own.
fn lacks(plan: &str) -> bool {
    is_missing(plan) || plan.contains("one for each connection")
}

/// Whether a plan says that a right is missing.
fn is_missing(plan: &str) -> bool {
    MISSING.iter().any(|words| plan.contains(words))
}

/// The documents of a manifest, each JSON within YAML.
pub(super) fn documents(manifest: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(manifest).expect("YAML")
}

/// The rights that a role of these grants and that nobody used: neither by a request that RBAC allowed for it, nor by giving
/// a role what it grants.
fn unused(printed: &[Value], events: &[Value]) -> Vec<String> {
    let mut used: BTreeSet<String> = BTreeSet::new();
    for event in events {
        used.extend(allowed(event));
        if event["impersonatedUser"].is_object() {
            used.extend(["users", "groups"].map(|it| format!("impersonate  {it}")));
        }
        let made = &event["requestObject"];
        for rule in made["rules"].as_array().into_iter().flatten() {
            used.extend(granted(rule));
        }
        if made["roleRef"]["kind"] == "ClusterRole" {
            used.insert("bind rbac.authorization.k8s.io clusterroles".to_owned());
        }
    }
    let rules = printed.iter().filter_map(|it| it["rules"].as_array()).flatten();
    let all: BTreeSet<String> = rules.flat_map(granted).collect();
    all.difference(&used).cloned().collect()
}

/// What was allowed by what is printed: verb, API group and resource of the request.
fn allowed(event: &Value) -> Option<String> {
    let reason = event["annotations"]["authorization.k8s.io/reason"].as_str()?;
    let by = ["of ClusterRole \"brinell\"", "of Role \"brinell\""];
    let object = &event["objectRef"];
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let below = match text("subresource") {
        "" => String::new(),
        below => format!("/{below}"),
    };
    let verb = event["verb"].as_str()?;
    let used = format!("{verb} {} {}{below}", text("apiGroup"), text("resource"));
    by.iter().any(|by| reason.contains(by)).then_some(used)
}

/// What a rule grants: verb, API group and resource.
fn granted(rule: &Value) -> Vec<String> {
    let texts = |key: &str| -> Vec<String> {
        let all = rule[key].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut granted = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            granted.extend(texts("verbs").iter().map(|verb| format!("{verb} {group} {resource}")));
        }
    }
    granted
}

/// Holds the cluster for as long as it is tested: its requests take as long as they are allowed to.
const HOLD: &str = "
title: Somebody else's cluster
why: A run holds it while others test it.
fix: Nothing is to be done.
target: plain-app
attacks:
- name: nothing
  as: bad-token
  do: {request: {method: GET, path: /api/v1/namespaces}}
  blocked: {by: anonymous-auth}
  logged: {level: Metadata}
permits:
";

/// How often it asks. An answer is listened to for 40 seconds.
const TIMES: usize = 60;

/// An embedded cluster that is somebody else's for these tests: a run of its own holds it.
pub(super) struct Held {
    scenarios: &'static [&'static str],
    pub(super) folder: TempDir,
    run: Child,
    way: PathBuf,
    pub(super) log: PathBuf,
    pub(super) runtime: Runtime,
    pub(super) client: Client,
}

impl Held {
    /// With the programs in a folder, as far as one is named and they are there.
    pub(super) fn start(scenarios: &'static [&'static str], programs: Option<&Path>) -> Held {
        Held::start_with(scenarios, programs, &[])
    }

    /// As [`Held::start`] does, where the run that holds the cluster is told more.
    pub(super) fn start_with(
        scenarios: &'static [&'static str],
        programs: Option<&Path>,
        more: &[&str],
    ) -> Held {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("hold");
        fs::create_dir_all(own.join("scenarios")).expect("a folder");
        let permit = |time: usize| {
            let path = "/api/v1/namespaces/plain-app/pods?watch=true&timeoutSeconds=80";
            let request = format!("{{request: {{method: GET, path: \"{path}\"}}}}");
            format!(
                "- {{name: holding {time}, as: reader, do: {request}, succeeds: {{}}, logged: {{level: Metadata}}}}\n"
            )
        };
        let permits: String = (0..TIMES).map(permit).collect();
        fs::write(own.join("scenarios/hold.yaml"), format!("{HOLD}{permits}")).expect("written");
        let mut run = brinell(folder.path());
        run.envs(programs.map(|folder| ("KUBEBUILDER_ASSETS", folder)));
        run.args(["--scenario", "hold", "--deadline", "3000", "--catalog"]).arg(&own).args(more);
        let mut run = run.stdout(Stdio::piped()).spawn().expect("started");
        // It is whole when its controls were seen acting.
        let lines = BufReader::new(run.stdout.take().expect("piped")).lines();
        let mut lines = lines.map(|line| line.expect("text in UTF-8"));
        let mut told = Vec::new();
        let is_whole = lines.any(|line| {
            told.push(line);
            told.last().is_some_and(|line| line.contains("seen acting"))
        });
        assert!(is_whole, "it goes on: {told:#?}");
        std::thread::spawn(move || lines.for_each(drop));
        let runs = fs::read_dir(folder.path().join("brinell/runs")).expect("runs");
        let own = runs.map(|it| it.expect("readable").path()).next().expect("a run");
        let (way, log) = (own.join("kubeconfig"), own.join("logs/audit.log"));
        let runtime = Runtime::new().expect("a runtime");
        let client = runtime.block_on(async {
            let context = Kubeconfig::read_from(&way).expect("a kubeconfig").current_context;
            let context = context.expect("a context");
            let way = Way::Context(Context { kubeconfig: Some(way.clone()), context });
            let reached = Existing::reach(way, None, Pace::free(), None).await;
            reached.unwrap_or_else(|error| panic!("{error}")).access.admin
        });
        let held = Held { scenarios, folder, run, way, log, runtime, client };
        held.invite();
        held
    }

    /// Gives the visitor an account, and both of them a context.
    fn invite(&self) {
        let token = self.runtime.block_on(async {
            let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), "default");
            let account = json!({"metadata": {"name": "visitor"}});
            let account = serde_json::from_value(account).expect("a ServiceAccount");
            accounts.create(&PostParams::default(), &account).await.expect("made");
            let request = json!({"spec": {"audiences": [], "expirationSeconds": 3600}});
            let request: TokenRequest = serde_json::from_value(request).expect("a request");
            let parameters = PostParams::default();
            let made = accounts.create_token_request("visitor", &parameters, &request).await;
            made.expect("granted").status.expect("a status").token
        });
        let theirs = fs::read_to_string(&self.way).expect("readable");
        let mut way: Value = serde_saphyr::from_str(&theirs).expect("YAML");
        let cluster = way["clusters"][0]["name"].clone();
        let admin = way["users"][0]["name"].clone();
        let users = way["users"].as_array_mut().expect("users");
        users.push(json!({"name": "visitor", "user": {"token": token}}));
        way["contexts"] = json!([
            {"name": "admin", "context": {"cluster": cluster, "user": admin}},
            {"name": "visitor", "context": {"cluster": cluster, "user": "visitor"}},
        ]);
        fs::write(self.folder.path().join("way"), way.to_string()).expect("written");
        documents(ENTERS_PODS).iter().for_each(|document| self.apply(document));
        self.declare("held", GUARD, "", "");
    }

    /// Writes a profile of this name that says this of the guard, with one thing said otherwise.
    fn declare(&self, name: &str, guard: &str, said: &str, otherwise: &str) {
        let run = self.way.parent().and_then(Path::file_name).expect("a run's folder");
        assert!(PROFILE.contains(said), "{said}");
        let profile = PROFILE.replace(said, otherwise);
        let profile = profile.replace("LOG", &self.log.to_string_lossy());
        let profile = profile.replace("GUARD", guard).replace("RUN", &run.to_string_lossy());
        fs::write(self.folder.path().join(format!("{name}.yaml")), profile).expect("written");
    }

    /// Writes down what the cluster is said to be, with one thing said otherwise, as a profile of this name.
    pub(super) fn profile(&self, name: &str, said: &str, otherwise: &str) {
        self.declare(name, GUARD, said, otherwise);
    }

    /// Gives the admin a context of this name: by way of another server, or with other credentials.
    pub(super) fn context(&self, name: &str, server: Option<String>, user: Option<Value>) {
        let path = self.folder.path().join("way");
        let text = fs::read_to_string(&path).expect("readable");
        let mut way: Value = serde_json::from_str(&text).expect("JSON");
        let mut context = way["contexts"][0]["context"].clone();
        let mut cluster = way["clusters"][0]["cluster"].clone();
        if let Some(server) = server {
            cluster["server"] = json!(server);
            context["cluster"] = json!(name);
        }
        if user.is_some() {
            context["user"] = json!(name);
        }
        for (kind, entry) in [
            ("clusters", json!({"name": name, "cluster": cluster})),
            ("users", json!({"name": name, "user": user})),
            ("contexts", json!({"name": name, "context": context})),
        ] {
            let entries = way[kind].as_array_mut().expect("a list");
            entries.retain(|entry| entry["name"] != name);
            entries.push(entry);
        }
        fs::write(&path, way.to_string()).expect("written");
    }

    /// Where the cluster's API server listens.
    pub(super) fn server(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("way")).expect("readable");
        let way: Value = serde_json::from_str(&text).expect("JSON");
        let server = way["clusters"][0]["cluster"]["server"].as_str().expect("an address");
        server.trim_start_matches("https://").trim_end_matches('/').to_owned()
    }

    /// What is told of attempts at what the guard keeps, where this is declared of it.
    fn guarded(&self, guard: &str) -> Vec<Judgement> {
        self.declare("other", guard, "", "");
        let mut command = self.brinell(&["--json", "other.json"], "admin", "other");
        let ran: Ran = command.args(["--scenario", GUARDED]).output().expect("started").into();
        let json = fs::read(self.folder.path().join("other.json"));
        let results = Results::read(&json.unwrap_or_else(|error| panic!("{error}: {ran:?}")));
        let mut scenarios = results.expect("results").scenarios;
        let attempts = scenarios.remove(0).attempts.into_iter();
        attempts.map(|attempt| attempt.judgement).collect()
    }

    /// The UID of the flow schema by which what the visitor asks of pods is served; `None` if none is told.
    pub(super) fn flow_schema(&self) -> Option<String> {
        let context = Some("visitor".to_owned());
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let way = Kubeconfig::read_from(self.folder.path().join("way")).expect("a kubeconfig");
        let asked = http::Request::get("/api/v1/namespaces/default/pods").body(Body::empty());
        let answer = self.runtime.block_on(async {
            let config = kube::Config::from_custom_kubeconfig(way, &options).await;
            let client = Client::try_from(config.expect("a way")).expect("a client");
            client.send(asked.expect("a request")).await.expect("an answer")
        });
        let uid = answer.headers().get("X-Kubernetes-PF-FlowSchema-UID")?;
        Some(uid.to_str().expect("text").to_owned())
    }

    pub(super) fn command(&self, words: &[&str], context: &str) -> Command {
        self.command_by("held", words, context)
    }

    /// The command by another profile.
    pub(super) fn command_by(&self, profile: &str, words: &[&str], context: &str) -> Command {
        let mut command = self.brinell(words, context, profile);
        command.args(self.scenarios.iter().flat_map(|it| ["--scenario", it]));
        command
    }

    pub(super) fn brinell(&self, words: &[&str], context: &str, profile: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_brinell"));
        command.args(words).current_dir(folder).env("XDG_STATE_HOME", folder.join("theirs"));
        command.args(["--context", context, "--kubeconfig", "way"]);
        command.args(["--profile", &format!("./{profile}.yaml")]);
        command.args(["--rate", "0"]);
        command
    }

    /// Makes namespaces with something in them, as targets label theirs; all but one.
    fn give(&self) {
        let catalog = Catalog::load(None).expect("our own catalog");
        for (target, name) in GIVEN {
            let ours = catalog.targets.get(target).filter(|_| name != "payroll");
            let labels = ours.map(|it| it.objects[0].object["metadata"]["labels"].clone());
            self.apply(&json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": labels.unwrap_or_else(|| json!({}))},
            }));
            let metadata = json!({"name": "theirs", "namespace": name});
            self.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}));
            let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), name);
            let is_there = |it: Option<&ServiceAccount>| it.is_some();
            let default = await_condition(accounts, "default", is_there);
            self.runtime.block_on(default).expect("watched");
        }
        let names: Vec<String> =
            GIVEN.iter().map(|(ours, name)| format!("{ours}: {name}")).collect();
        let place = format!("{{namespaces: {{{}}}, ", names.join(", "));
        let held = fs::read_to_string(self.folder.path().join("held.yaml")).expect("readable");
        let given = held.replace("cluster: {", &format!("cluster: {place}"));
        fs::write(self.folder.path().join("given.yaml"), given).expect("written");
    }

    fn given_command(&self, words: &[&str], context: &str) -> Command {
        let mut command = self.brinell(words, context, "given");
        command.args(TRIED.iter().flat_map(|(id, _)| ["--scenario", id]));
        command
    }

    fn in_given(&self, words: &[&str], context: &str) -> Ran {
        self.given_command(words, context).output().expect("started").into()
    }

    /// The verdicts on scenarios in a file of results.
    fn verdicts_in<const N: usize>(&self, file: &str, ids: [&str; N]) -> [Verdict; N] {
        let json = fs::read(self.folder.path().join(file)).expect("written");
        let verdicts = verdicts(&Results::read(&json).expect("results"));
        ids.map(|id| verdicts[id][0])
    }

    pub(super) fn sweep(&self, context: &str) -> Ran {
        self.sweep_with(&[], context, "theirs")
    }

    /// Sweeps as somebody who has this folder for what runs say of themselves.
    fn sweep_with(&self, words: &[&str], context: &str, state: &str) -> Ran {
        let folder = self.folder.path();
        let mut sweep = Command::new(env!("CARGO_BIN_EXE_brinell"));
        sweep.arg("sweep").args(words).args(["--context", context, "--kubeconfig", "way"]);
        let sweep = sweep.current_dir(folder).env("XDG_STATE_HOME", folder.join(state));
        sweep.output().expect("started").into()
    }

    pub(super) fn objects(&self) -> BTreeMap<String, Value> {
        self.runtime.block_on(objects(&self.client, &RESTLESS))
    }

    /// The objects when the cluster's controllers have come to rest.
    pub(super) fn settled(&self) -> BTreeMap<String, Value> {
        settled(|| self.objects())
    }

    fn plan(&self, context: &str, more: &[&str]) -> String {
        let ran = self.command(&["plan"], context).args(more).output();
        printed_by(ran.expect("started").into())
    }

    /// Whether a plan is soon so: who may do what, the API server learns by a watch of its own.
    fn soon(&self, is_so: impl Fn(&str) -> bool) -> bool {
        (0..20).any(|_| is_so(&self.plan("visitor", &[])))
    }

    /// Makes bindings of nobody's.
    fn bind_many(&self) {
        let bindings = Api::<RoleBinding>::namespaced(self.client.clone(), "default");
        let bind = async |number: usize| {
            let group = "rbac.authorization.k8s.io";
            let binding = json!({
                "metadata": {"name": format!("many-{number}")},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": "nobody"}],
            });
            let binding = serde_json::from_value(binding).expect("a RoleBinding");
            bindings.create(&PostParams::default(), &binding).await.expect("made")
        };
        let binding = futures::stream::iter((0..MANY).map(bind)).buffer_unordered(16);
        assert_eq!(self.runtime.block_on(binding.count()), MANY);
    }

    /// The verdicts of a run as somebody.
    pub(super) fn verdicts(&self, context: &str) -> BTreeMap<String, Vec<Verdict>> {
        verdicts(&self.results(context))
    }

    /// What comes of a run as somebody, which leaves nothing behind.
    fn results(&self, context: &str) -> Results {
        let json = format!("{context}.json");
        let ran: Ran = self.command(&["--json", &json], context).output().expect("started").into();
        let json = fs::read(self.folder.path().join(&json));
        let json = json.unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let results = Results::read(&json).expect("results");
        assert_eq!(results.aborted, None, "{ran:?}");
        assert!(ran.stdout.contains("nothing left behind"), "{ran:?}");
        results
    }

    /// Without one rule, what needs it is skipped, and all else is as it was.
    fn assert_falls_away(&self, role: &Value, all: &BTreeMap<String, Vec<Verdict>>) {
        let rules = role["rules"].as_array().expect("rules");
        let events = rules.iter().position(|rule| rule["resources"] == json!(["events"]));
        self.apply(&without(role, events.expect("Events are read")));
        assert!(
            self.soon(
                |plan| plan.contains("pod-through-workloads: needs `list events` in brinell-")
            )
        );
        let left = self.verdicts("visitor");
        let fallen = left.iter().filter(|(id, verdicts)| all[*id] != **verdicts);
        let fallen: BTreeMap<&String, &Vec<Verdict>> = fallen.collect();
        assert!(fallen.values().all(|verdicts| **verdicts == [Verdict::Skipped]), "{fallen:?}");
        assert!(fallen.contains_key(&"pod-through-workloads".to_owned()), "{fallen:?}");
    }

    pub(super) fn apply(&self, document: &Value) {
        let (api, object) = self.object(document);
        let parameters = PatchParams::apply("theirs").force();
        let applying =
            async { api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await };
        self.runtime.block_on(applying).expect("applied");
    }

    /// Makes an object of any name, as soon as its kind is there.
    pub(super) fn make(&self, document: &Value) {
        let (api, object) = self.object(document);
        let parameters = PostParams::default();
        let made = (0..100).any(|_| {
            let made = self.runtime.block_on(api.create(&parameters, &object)).is_ok();
            if !made {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            made
        });
        assert!(made, "{document}");
    }

    /// Deletes what was applied, if it is there.
    pub(super) fn delete(&self, document: &Value) {
        let (api, object) = self.object(document);
        let deleting = async { api.delete(&object.name_any(), &DeleteParams::default()).await };
        // What stays is seen by what it does.
        let _ = self.runtime.block_on(deleting);
    }

    fn object(&self, document: &Value) -> (Api<DynamicObject>, DynamicObject) {
        let object: DynamicObject = serde_json::from_value(document.clone()).expect("an object");
        let types = object.types.clone().expect("types");
        let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).expect("a kind"));
        let api = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        (api, object)
    }

    /// What the log holds of the visitor.
    pub(super) fn events(&self) -> Vec<Value> {
        let log = fs::read_to_string(&self.log).expect("readable");
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        events
            .filter(|it| it["user"]["username"] == "system:serviceaccount:default:visitor")
            .collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = signal("-INT", &self.run.id().to_string());
        let ended = self.run.wait();
        assert!(ended.is_ok_and(|it| it.code() == Some(130)), "its cluster stays");
    }
}
