//! A cluster that cannot have our image, and lends a pod of its own.

use brinell::model::{Results, Verdict};

use super::existing::Theirs;
use crate::support::Ran;

/// Scenarios of exec: one is refused by a policy, the other by authorization.
const SCENARIOS: [&str; 2] = ["exec-interactive-by-policy", "exec-named-pod-only"];

/// Who acts in them: both may exec where the pod is, and one of them in namespaces of ours.
const BOUND: &str = r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
    "metadata": {"name": "theirs", "namespace": "kube-system"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}, "subjects": [
    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"},
    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "john"}]}"#;

/// A policy of theirs, and where it acts.
const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: theirs}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CONNECT], resources: [pods/exec, pods/attach]}
  validations:
  - expression: "!(has(object.stdin) && object.stdin) && !(has(object.tty) && object.tty)"
    message: shells are not allowed here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: theirs}
spec:
  policyName: theirs
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {environment: production}}}
"#;

const SYSTEM: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}";

/// Attacks are refused before a pod is looked up, and permits enter the one that is lent.
pub(super) fn is_enough_for_permits(theirs: &Theirs) {
    theirs.kubectl(&["apply"], BOUND);
    theirs.kubectl(&["apply"], POLICY);
    let (verdicts, ran) = tried(theirs, "");
    assert_eq!(verdicts, [Verdict::Skipped; 2], "{ran:?}");

    let pod = format!("kube-scheduler-{}-control-plane", theirs.name);
    let lent = |command: &str| {
        format!("cluster: {{pod: {{namespace: kube-system, name: {pod}, command: {command}}}}}\n")
    };
    let works = lent("[kube-scheduler, --version]");
    let (verdicts, ran) = tried(theirs, &works);
    assert_eq!(verdicts, [Verdict::Skipped, Verdict::Passed], "the policy is not there: {ran:?}");
    assert_says(&ran, "kubectl label namespace kube-system environment=production");

    theirs.kubectl(&["label", "environment=production"], SYSTEM);
    let before = theirs.settled();
    let (verdicts, ran) = tried(theirs, &works);
    assert_eq!(verdicts, [Verdict::Passed; 2], "{ran:?}");
    let (verdicts, ran) = tried(theirs, &lent("[kube-scheduler, --nothing]"));
    assert_eq!(verdicts, [Verdict::Failed; 2], "{ran:?}");
    assert!(ran.stdout.matches("PERMIT BROKEN").count() == 2, "{ran:?}");

    theirs.assert_same(&before);
    theirs.kubectl(&["delete"], POLICY);
    // An API server knows a moment later that a policy is gone.
    let unknown = (0..10).map(|_| tried(theirs, &works)).find(|(it, _)| it[0] != Verdict::Passed);
    let (verdicts, ran) = unknown.expect("nobody refuses it any more");
    assert_eq!(verdicts, [Verdict::Inconclusive, Verdict::Passed], "{ran:?}");
    assert_says(&ran, "nobody refused it, and there is no such pod");
    theirs.kubectl(&["delete"], BOUND);
    theirs.kubectl(&["label", "environment-"], SYSTEM);
}

/// Sees that these words were told, on however many lines.
fn assert_says(ran: &Ran, words: &str) {
    let told: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(told.join(" ").contains(words), "{words}: {ran:?}");
}

/// The verdicts of a run where this is said of the cluster.
fn tried(theirs: &Theirs, cluster: &str) -> ([Verdict; 2], Ran) {
    let profile = format!(
        "title: lent
audit: {{file: audit/first.log}}
{cluster}personas:
  operator: {{impersonated: {{user: jane, roles: [edit]}}}}
  caretaker: {{impersonated: {{user: john}}}}
controls:
  audit-policy: {{}}
  least-privilege: {{}}
  exec-policy:
    decides: [{{policy: theirs}}]
    saying: shells are not allowed
    namespace-labels: {{environment: production}}
"
    );
    std::fs::write(theirs.home.path("lent.yaml"), profile).expect("written");
    let mut arguments = vec!["--profile", "./lent.yaml", "--json", "lent.json"];
    arguments.extend(SCENARIOS.iter().flat_map(|id| ["--scenario", id]));
    let ran = theirs.run(&arguments);
    let json = std::fs::read(theirs.home.path("lent.json")).expect("written");
    let results = Results::read(&json).expect("results");
    let verdict = |id: &str| results.scenarios.iter().find(|it| it.id == id).map(|it| it.verdict);
    (SCENARIOS.map(|id| verdict(id).unwrap_or_else(|| panic!("{id}: {ran:?}"))), ran)
}
