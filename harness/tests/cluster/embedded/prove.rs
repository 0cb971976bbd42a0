//! The proof of our own profile and catalog on embedded clusters, and what becomes of proofs that do not hold or do
//! not end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{is_there, or_ignored};
use crate::proof::{self, Test};
use crate::support::page::{commands, install, page};
use crate::support::{Home, Ran, cache};
use crate::webhook;
use brinell::catalog::{Catalog, New};
use brinell::cluster::{ClusterType, DEFAULT_VERSION};
use brinell::model::Outcome;
use brinell::prove::Who;
use libtest_mimic::Trial;

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let catalog = Catalog::load(None).expect("our own catalog");
    // Everybody is asked by ci/nightly: the gate of a slow machine has no time for it.
    let mut tests = proof::tests(&catalog, ClusterType::Embedded, &[], Who::Expected);
    for (name, test) in [
        ("vacuous", a_scenario_that_catches_nothing_is_told as fn()),
        ("example", the_example_of_a_catalog_is_proved),
        ("kinds", a_kind_comes_before_what_is_of_it),
        ("webhook-command", webhook::by_a_command),
        ("webhook-ended", webhook::by_a_command_that_ends),
        ("webhook-url", webhook::where_it_listens),
        ("your-own", the_page_about_catalogs_is_typed),
        ("red", nothing_is_proven_where_a_scenario_fails),
        ("interrupted", an_interrupted_proof_leaves_nothing),
    ] {
        tests.push((name.to_owned(), Box::new(test)));
    }
    let here = is_there(DEFAULT_VERSION);
    let mut trials: Vec<Trial> =
        tests.into_iter().map(|(name, test)| trial(DEFAULT_VERSION, &name, test, here)).collect();
    let older: Test = Box::new(what_a_version_does_not_serve_is_skipped);
    trials.push(trial(OLDER, "unserved", older, is_there(OLDER)));
    let newer: Test = Box::new(what_a_version_has_mended_is_skipped);
    trials.push(trial(NEWER, "mended", newer, is_there(NEWER)));
    trials
}

fn trial(version: &str, name: &str, test: Test, is_there: bool) -> Trial {
    let trial = Trial::test(format!("embedded/proof/{version}/{name}"), move || {
        test();
        Ok(())
    });
    or_ignored(trial, version, is_there)
}

/// The oldest version that our own profile can be proved on.
const OLDER: &str = "1.35";

/// The newest version.
const NEWER: &str = "1.37";

/// A weakening that is made of what only newer versions serve; the others are tried.
fn what_a_version_does_not_serve_is_skipped() {
    let why =
        "Kubernetes 1.35 does not serve admissionregistration.k8s.io/v1 MutatingAdmissionPolicy";
    let (skipped, caught) = ("pod-security/defused", "pod-security/warn-only");
    one_is_skipped(OLDER, &["pod-host-namespaces"], [skipped, why, caught]);
}

/// A weakening by which something was lost on older versions; the others are tried.
fn what_a_version_has_mended_is_skipped() {
    let why = "on Kubernetes 1.37 nothing is lost by it, as it was until 1.36";
    let scenarios = ["role-applied-audited", "pod-resize-audited"];
    let (skipped, caught) = ("audit-policy/received-omitted", "audit-policy/resize-without-body");
    one_is_skipped(NEWER, &scenarios, [skipped, why, caught]);
}

/// Of a control one weakening is skipped for a reason, and another one is caught by these scenarios.
fn one_is_skipped(version: &str, scenarios: &[&str], [skipped, why, caught]: [&str; 3]) {
    let home = Home::new();
    let mut command = proof::brinell(&home, ClusterType::Embedded);
    let (control, _) = skipped.split_once('/').expect("a weakening");
    command.args(["--kubernetes-version", version, "--clusters", "1"]);
    command.args(["--control", control]);
    command.args(scenarios.iter().flat_map(|scenario| ["--scenario", scenario]));
    let report = home.path("proof.json");
    let ran = Ran::from(command.arg("--json").arg(&report).output().expect("started"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = crate::support::results(&std::fs::read(report).expect("written"));
    let weakenings = results.proof.expect("a proof").weakenings;
    let became = |id: &str| {
        let found = weakenings.iter().find(|it| it.id() == id).expect("it is there");
        (found.outcome, found.cause.as_deref())
    };
    assert_eq!(became(skipped), (Outcome::Skipped, Some(why)));
    assert_eq!(became(caught), (Outcome::Caught, None));
}

/// A token that nobody issued is refused whether anonymous requests are or not.
const VACUOUS: &str = "\
title: A token that nobody issued
why: It opens nothing.
fix: Nothing is to be done.
target: team-secrets
attacks:
- name: listing namespaces
  as: bad-token
  do: {request: {method: GET, path: \"/api/v1/namespaces?limit=1\"}}
  blocked: {by: anonymous-auth}
  logged: {level: Metadata}
permits:
- name: is it alive
  as: anonymous
  do: {request: {method: GET, path: /livez}}
  succeeds: {}
";

fn a_scenario_that_catches_nothing_is_told() {
    let Ran { code, stdout: printed, stderr } = with_scenario(VACUOUS);
    assert_eq!(stderr, "");
    assert_eq!(code, Some(1), "{printed}");
    let told = "VACUOUS: mine, listing namespaces: it catches no weakening of anonymous-auth\n";
    assert!(printed.contains(told), "{printed}");
}

/// A scenario that fails where nothing is weakened would be taken for one that notices.
fn nothing_is_proven_where_a_scenario_fails() {
    let red = VACUOUS.replace("as: bad-token", "as: operator");
    let Ran { code, stdout: printed, .. } = with_scenario(&red);
    assert_eq!(code, Some(1), "{printed}");
    let words: Vec<&str> = printed.split_whitespace().collect();
    let told = "nothing can be proven while a scenario fails on the whole profile: mine";
    assert!(words.join(" ").contains(told), "{printed}");
    assert!(printed.contains("FAIL  mine"), "{printed}");
    assert!(!printed.contains("CAUGHT"), "{printed}");
}

fn with_scenario(text: &str) -> Ran {
    let home = Home::new();
    let folder = home.path("mine/scenarios/own");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("mine.yaml"), text).expect("written");
    let mut command = proof::brinell(&home, ClusterType::Embedded);
    command.args(["--scenario", "mine", "--catalog"]).arg(home.path("mine"));
    Ran::from(command.output().expect("started"))
}

/// Two policies, a target, a persona and a profile of the reader's, as docs/your-own.md makes them. No control of that
/// profile makes its personas.
fn the_example_of_a_catalog_is_proved() {
    let home = Home::new();
    let mut command = proof::brinell(&home, ClusterType::Embedded);
    command.args(["--only-mine", "--profile", "payments", "--clusters", "1"]);
    command.arg("--catalog").arg(example());
    let ran = Ran::from(command.output().expect("started"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let told = "7 of 7 weakenings caught, 0 missed, 0 went wrong, 0 skipped; 3 scenarios, 0 vacuous; 0 collateral.";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
}

/// docs/your-own.md from its first command to its last.
fn the_page_about_catalogs_is_typed() {
    let home = Home::new();
    install(&home);
    let commands = commands(&page("your-own.md"));
    assert!(commands.iter().filter(|it| it.makes_cluster()).count() >= 3);
    for shown in commands {
        let differs = shown.differs(&home);
        assert_eq!(differs, None, "{}", differs.as_deref().unwrap_or_default());
    }
    assert_eq!(home.runs(), [""; 0]);
}

const DEFINITION: &str = "---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: registries.example.com}
spec:
  group: example.com
  names: {kind: Registry, plural: registries, singular: registry}
  scope: Cluster
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {begin: {type: string}}}}}}
";

const AUTHORIZATION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers: [{type: Node, name: node}, {type: RBAC, name: rbac}]
";

const REGISTRY: &str = "---
apiVersion: example.com/v1
kind: Registry
metadata: {name: ours}
spec: {begin: registry.example.com/}
";

/// A command prints a policy whose parameter is of a kind that it defines itself, later than what is of it. Without the
/// definition it is told that the cluster has no such kind, and none is made. A flag of ours gives way to a file.
fn a_kind_comes_before_what_is_of_it() {
    let home = Home::new();
    let control = home.path("mine/manifests/controls/images");
    // The API server does not start with both.
    let server = "api-server:\n  flags: {authorization-mode: null, authorization-config: /etc/brinell/authorization.yaml}\n  \
                  files: [authorization.yaml]\n";
    for file in New::Control.files("images") {
        let path = home.path("mine").join(&file.place);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let text = file.text.replace("[policy.yaml]\n    expect", "[command]\n    expect");
        let command = "{command: [cat, registry.txt, definition.txt, policy.yaml]}";
        let text = text.replace("objects: [policy.yaml]", &format!("{server}objects: {command}"));
        let parameters = "paramKind: {apiVersion: example.com/v1, kind: Registry}";
        let text = text.replace(
            "  failurePolicy: Fail\n",
            &format!("  failurePolicy: Fail\n  {parameters}\n"),
        );
        let text = text.replace(
            "\"registry.example.com/\"))\n    message",
            "params.spec.begin))\n    message",
        );
        let bound = "policyName: images.example.com\n";
        let reference = "  paramRef: {name: ours, parameterNotFoundAction: Deny}\n";
        std::fs::write(path, text.replace(bound, &format!("{bound}{reference}"))).expect("written");
    }
    let policy = control.join("policy.yaml");
    let text = std::fs::read_to_string(&policy).expect("read");
    assert!(text.contains("params.spec.begin") && text.contains("paramRef"), "{text}");
    std::fs::write(&policy, format!("---\n{text}")).expect("written");
    std::fs::write(control.join("registry.txt"), REGISTRY).expect("written");
    std::fs::write(control.join("authorization.yaml"), AUTHORIZATION).expect("written");
    let run = || {
        let mut command = home.brinell();
        command.env("XDG_CACHE_HOME", cache()).args([
            "--cluster",
            "embedded",
            "--only-mine",
            "--catalog",
            "mine",
        ]);
        Ran::from(command.output().expect("started"))
    };
    std::fs::write(control.join("definition.txt"), "").expect("written");
    let ran = run();
    let ran = (ran.stdout + &ran.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "policy.yaml`, document 1: this cluster has no example.com/v1 Registry";
    assert!(ran.contains(said) && !ran.contains("creating"), "{ran}");
    std::fs::write(control.join("definition.txt"), DEFINITION).expect("written");
    let ran = run();
    assert!(ran.code == Some(0), "{ran:?}");
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/hardening")
}

/// A proof that is ended while a second API server runs with a weakened control leaves nothing.
fn an_interrupted_proof_leaves_nothing() {
    let home = Home::new();
    let mut command = proof::brinell(&home, ClusterType::Embedded);
    command.args(["--control", "anonymous-auth", "--clusters", "1"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("started");
    let runs = home.path("state/brinell/runs");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !below(&runs, "beside/kube-apiserver.log") {
        assert!(Instant::now() < deadline, "no second API server was started");
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("started").success());
    assert_eq!(child.wait().expect("waited").code(), Some(130));
    let listed = Command::new("ps").args(["-e", "-o", "args="]).output().expect("started");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.contains(&*runs.to_string_lossy()), "{listed}");
    assert_eq!(home.runs(), [""; 0]);
    assert_eq!(home.touched(&[]), [""; 0]);
}

fn below(runs: &Path, name: &str) -> bool {
    let folders = std::fs::read_dir(runs).into_iter().flatten().flatten();
    folders.into_iter().any(|folder| folder.path().join(name).exists())
}
