//! What would change on a cluster that is there, before anything is changed: what decides on it is set up on another minor
//! version, and both are tried. An embedded cluster that a run holds is somebody else's here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use brinell::catalog::Catalog;
use brinell::model::{Results, Verdict};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::rights::{Held, documents, whole_list};
use super::{VERSIONS, brinell, is_there, or_ignored};
use crate::support::Ran;

/// All of these tests.
pub fn trials() -> Vec<Trial> {
    let [old, new] = VERSIONS;
    let both = is_there(old) && is_there(new);
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        or_ignored(Trial::test(format!("embedded/rehearsal/{name}"), test), new, both)
    };
    vec![
        trial(&format!("{old} {new}"), an_upgrade_of_theirs_is_rehearsed),
        trial(&format!("{new} {old}"), what_another_version_lacks_is_told),
    ]
}

/// A role that may only `get` exec, and an image that a policy of theirs refuses; one that embedded clusters cannot
/// hold; and one that a webhook of theirs would refuse.
const SCENARIOS: [&str; 4] =
    ["exec-get-only-role", "image-from-elsewhere", "egress-database", "exec-relabelled-pod"];

/// What the run has that holds their cluster.
const HELD: &str = "
title: A cluster of theirs
controls: {anonymous-auth: {}, audit-policy: {}, beta: {}, least-privilege: {}}
";

/// With what an older version serves mutating policies, in a version of their kind that newer ones do not serve.
const BETA: &str = "flags: {runtime-config: admissionregistration.k8s.io/v1beta1=true, feature-gates: MutatingAdmissionPolicy=true}";

/// The control that sets it.
const BETA_CONTROL: &str = "
title: Mutating policies are served
decides: []
look-at: the API server's flags
weaken: {}
";

/// What is declared of it.
const PROFILE: &str = "
title: theirs
cluster: {image: brinell.example/harness}
audit: {file: LOG}
personas:
  get-only: {service-account: {roles: [look-only]}}
  operator: {impersonated: {user: jane@example.com, groups: [developers]}}
controls:
  audit-policy: {}
  exec-guard: {decides: [{webhook: shells.example.com}], saying: no}
  images-from-our-registry:
    decides: [{policy: \"images.*\"}]
    saying: not from here
  least-privilege: {}
  network-policy: {}
";

/// A role of theirs that only looks.
const LOOK_ONLY: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: look-only}
rules:
- {apiGroups: [""], resources: [pods, pods/exec], verbs: [get]}
"#;

/// What they have beside it.
const THEIRS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {example.com/images: ours}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: shop}
spec: {hard: {pods: "1"}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: none, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: theirs}
spec: {type: Limited, limited: {nominalConcurrencyShares: 1, limitResponse: {type: Reject}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "developers: \u001b[31mall"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: registries.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Registry, plural: registries, singular: registry, listKind: RegistryList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {prefix: {type: string}}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: default}
stringData: {key: never-captured}
"#;

/// What of it rests on a kind that is defined there.
const POLICIES: &str = r#"
apiVersion: example.com/v1
kind: Registry
metadata: {name: ours}
spec: {prefix: registry.example.com/}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: images.example.com}
spec:
  failurePolicy: Fail
  paramKind: {apiVersion: example.com/v1, kind: Registry}
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: >-
      (object.spec.containers + object.spec.?initContainers.orValue([])).all(it, it.image.startsWith(params.spec.prefix))
    message: not from here
    reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: images}
spec:
  policyName: images.example.com
  paramRef: {name: ours, parameterNotFoundAction: Deny}
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {example.com/images: ours}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: by-a-secret}
spec:
  paramKind: {apiVersion: v1, kind: Secret}
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [endpoints]}]
  validations: [{expression: "true"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: theirs}
webhooks:
- name: shells.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {url: "https://127.0.0.1:1/"}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [endpoints]}]
---
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicy
metadata: {name: marks.example.com}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [endpoints]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{metadata: Object.metadata{labels: {'example.com/marked': 'yes'}}}"}
---
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicyBinding
metadata: {name: marks}
spec: {policyName: marks.example.com}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: nothing-is-tried}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: ["", coordination.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [configmaps, leases]}]
  validations: [{expression: "!request.dryRun", message: nothing is tried here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: nothing-is-tried}
spec: {policyName: nothing-is-tried, validationActions: [Deny]}
"#;

/// What is tried beside what was captured, on a cluster of ours.
const BESIDE: &str = "
title: What they have, and a control beside it
controls: {anonymous-auth: {}, audit-policy: {}, captured: {}}
";

/// A setting with which no admission policy decides.
const WORSE: &str = "flags: {disable-admission-plugins: ValidatingAdmissionPolicy}\n";

fn an_upgrade_of_theirs_is_rehearsed() -> Result<(), Failed> {
    let [old, new] = VERSIONS;
    let given = tempfile::tempdir()?;
    let profile = given.path().join("held.yaml");
    fs::write(&profile, HELD)?;
    let beta = given.path().join("beta");
    fs::create_dir_all(beta.join("manifests/controls/beta"))?;
    let control = format!("{BETA_CONTROL}api-server: {{{BETA}}}\n");
    fs::write(beta.join("manifests/controls/beta/control.yaml"), control)?;
    let (profile, beta) = (profile.to_string_lossy(), beta.to_string_lossy());
    let more = ["--kubernetes-version", old, "--profile", &profile, "--catalog", &beta];
    let held = Held::start_with(&SCENARIOS, None, &more);
    let folder = held.folder.path();
    fs::write(folder.join("theirs.yaml"), PROFILE.replace("LOG", &held.log.to_string_lossy()))?;
    fs::write(folder.join("worse.yaml"), WORSE)?;
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/controls/audit-policy");
    fs::copy(policy.join("audit-policy.yaml"), folder.join("audit.yaml"))?;
    theirs().iter().for_each(|document| held.make(document));
    let before = held.settled();

    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/hardening");
    let own = own.to_string_lossy();
    let words =
        ["rehearse", "--to", new, "--catalog", &own, "--audit-policy", "audit.yaml", "--results"];
    let rehearsed = |results: &str, more: &[&str]| -> Ran {
        let words = [&words[..], &[results], more].concat();
        held.command_by("theirs", &words, "admin").output().expect("started").into()
    };
    let better = rehearsed("better", &["--captured", "captured"]);
    let told = &better.stdout;
    assert_eq!(better.code, Some(0), "{better:?}");
    for words in [
        "ValidatingWebhookConfiguration/theirs: a program of theirs answers",
        "ValidatingAdmissionPolicy/by-a-secret: its parameters are Secrets",
        "the API server's settings",
        "defaults among roles and bindings: the API server makes its own",
        "what NetworkPolicies stop: an embedded cluster has no pod network",
        "BETTER  exec-get-only-role",
        "0 worse, 1 better",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains('\u{1b}'), "{told}");
    // Theirs act, one of them in another version of its kind, and whatever another says of what is tried.
    for words in ["not taken by Kubernetes", "was not seen acting"] {
        assert!(!told.contains(words), "{words}: {told}");
    }
    let (there, here) =
        (results(folder, "better/there"), results(folder, &format!("better/{new}")));
    let expected = |got: Verdict| {
        BTreeMap::from([
            ("egress-database", Verdict::Skipped),
            ("exec-get-only-role", got),
            ("exec-relabelled-pod", Verdict::Skipped),
            ("image-from-elsewhere", Verdict::Passed),
        ])
    };
    assert_eq!(verdicts(&there), expected(Verdict::Failed), "{better:?}");
    assert_eq!(verdicts(&here), expected(Verdict::Passed), "{better:?}");
    assert!(there.kubernetes.starts_with(old) && here.kubernetes.starts_with(new));
    let cause = |results: &Results, id: &str| {
        let found = results.scenarios.iter().find(|it| it.id == id);
        found.and_then(|it| it.cause.clone()).unwrap_or_default()
    };
    for results in [&there, &here] {
        let lacking = cause(results, "egress-database");
        assert!(lacking.contains("embedded clusters lack"), "{lacking}");
        let unknown = cause(results, "exec-relabelled-pod");
        assert!(unknown.contains("webhook shells.example.com, which is not captured"), "{unknown}");
    }

    the_captured_is_a_catalog(folder)?;
    let again = rehearsed("again", &["--captured", "captured"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("captured: it is not empty"), "{again:?}");

    let worse = rehearsed("worse", &["--settings", "worse.yaml"]);
    assert_eq!(worse.code, Some(1), "{worse:?}");
    assert!(worse.stdout.contains("WORSE  image-from-elsewhere"), "{worse:?}");
    assert!(worse.stdout.contains("BETTER  exec-get-only-role"), "{worse:?}");

    let uninvited: Ran = held.command_by("theirs", &words[..5], "visitor").output()?.into();
    assert!(matches!(uninvited.code, Some(3)), "{uninvited:?}");
    assert!(uninvited.stdout.contains("every ClusterRole"), "{uninvited:?}");
    assert!(uninvited.stdout.contains("it could not be read"), "{uninvited:?}");
    let events = held.events();
    let read = events.iter().filter(|it| it["verb"] == "list").count();
    assert!(read > 15, "{read} lists");
    assert_eq!(events.iter().filter_map(whole_list).collect::<Vec<_>>(), [""; 0]);
    assert!(events.iter().all(|it| it["objectRef"]["resource"] != "secrets"));
    assert_eq!(held.objects(), before);
    Ok(())
}

/// What was written is read as a catalog, holds what decides, and nothing of a Secret.
fn the_captured_is_a_catalog(folder: &Path) -> Result<(), Failed> {
    let captured = folder.join("captured");
    let mode = |place: &str| Ok::<_, Failed>(captured.join(place).metadata()?.mode() & 0o777);
    assert_eq!(mode("manifests/controls/captured")?, 0o700);
    assert_eq!(mode("manifests/controls/captured/control.yaml")?, 0o600);
    let catalog = Catalog::load([captured.as_path()])?;
    let profile = catalog.profile("captured")?;
    let objects: Vec<&Value> =
        profile.controls[0].set_up.objects.iter().map(|it| &it.object).collect();
    let has = |kind: &str, name: &str| {
        objects.iter().any(|it| it["kind"] == kind && it["metadata"]["name"] == name)
    };
    for document in theirs() {
        let (kind, name) = (&document["kind"], &document["metadata"]["name"]);
        let (kind, name) = (kind.as_str().unwrap_or_default(), name.as_str().unwrap_or_default());
        let is_left =
            kind == "Secret" || kind == "ValidatingWebhookConfiguration" || name == "by-a-secret";
        assert_eq!(has(kind, name), !is_left, "{kind} {name}");
    }
    for entry in fs::read_dir(captured.join("manifests/controls/captured"))? {
        let text = fs::read_to_string(entry?.path())?;
        assert!(
            !text.contains("never-captured") && !text.contains("bmV2ZXItY2FwdHVyZWQ"),
            "{text}"
        );
    }
    // A newer cluster does not serve what was read in an older version: its reader says in which one it is served.
    let policies = captured.join("manifests/controls/captured/policies.yaml");
    let bindings = captured.join("manifests/controls/captured/policy-bindings.yaml");
    for path in [policies, bindings] {
        let text = fs::read_to_string(&path)?;
        assert!(text.contains("/v1beta1"), "{text}");
        fs::write(&path, text.replace("/v1beta1", "/v1"))?;
    }
    fs::write(folder.join("beside.yaml"), BESIDE)?;
    let mut beside = brinell(folder);
    beside.current_dir(folder).args(["--catalog", "captured", "--profile", "./beside.yaml"]);
    let tried: Ran = beside.args(["--scenario", "anonymous-discovery"]).output()?.into();
    assert_eq!(tried.code, Some(0), "{tried:?}");
    assert!(tried.stdout.contains("3 of 3 controls act"), "{tried:?}");
    Ok(())
}

fn results(folder: &Path, name: &str) -> Results {
    let json = fs::read(folder.join(format!("{name}.json"))).expect("written");
    Results::read(&json).expect("results")
}

/// All that they have.
fn theirs() -> Vec<Value> {
    [LOOK_ONLY, THEIRS, POLICIES].iter().flat_map(|it| documents(it)).collect()
}

fn verdicts(results: &Results) -> BTreeMap<&str, Verdict> {
    results.scenarios.iter().map(|it| (it.id.as_str(), it.verdict)).collect()
}

/// How many attempts were made as somebody by impersonation.
fn impersonated(results: &Results) -> usize {
    let made = results.scenarios.iter().flat_map(|it| &it.attempts);
    let made = made.filter_map(|it| it.evidence.as_ref());
    made.filter(|it| it.sent.impersonated.is_some()).count()
}

/// What is declared of a cluster that has what is ours, and somebody of theirs with credentials of their own.
const OURS: &str = "
title: theirs
cluster: {image: brinell.example/harness}
audit: {file: LOG}
personas:
  get-only: {context: visitor}
  operator: {impersonated: {user: jane@example.com, groups: [developers], roles: [edit]}}
controls: {audit-policy: {}, exec-guard: {}, least-privilege: {}}
";

/// What is declared of it where a policy is all that is looked at.
const POLICY: &str = "
title: theirs
cluster: {image: brinell.example/harness}
audit: {file: LOG}
personas:
  operator: {impersonated: {user: jane@example.com, groups: [developers], roles: [edit]}}
controls: {audit-policy: {}, exec-guard: {}, images-from-our-registry: {decides: [{policy: images}], saying: not from here}}
";

/// What no older version takes, what somebody of theirs may, and what is refused.
const NEW: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: newest}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [endpoints]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{}"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: look-only}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: look-only}
subjects: [{kind: ServiceAccount, namespace: default, name: visitor}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: images}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: >-
      (object.spec.containers + object.spec.?initContainers.orValue([])).all(it, it.image.startsWith('registry.example.com/'))
    message: not from here
    reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: images}
spec:
  policyName: images
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {example.com/images: ours}}}
"#;

/// From a newer version to an older one: a kind that it has not, a shell that it lets in, a webhook of ours that serves
/// what is there, and somebody whose credentials mean nothing there.
fn what_another_version_lacks_is_told() -> Result<(), Failed> {
    let [old, new] = VERSIONS;
    let scenarios = &["exec-get-only-role", "exec-interactive"];
    let held = Held::start_with(scenarios, None, &["--kubernetes-version", new]);
    let folder = held.folder.path();
    fs::write(folder.join("ours.yaml"), OURS.replace("LOG", &held.log.to_string_lossy()))?;
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/controls/audit-policy");
    fs::copy(policy.join("audit-policy.yaml"), folder.join("audit.yaml"))?;
    let said = POLICY.replace("LOG", &held.log.to_string_lossy());
    fs::write(folder.join("policy.yaml"), &said)?;
    fs::write(folder.join("unlike.yaml"), said.replace("not from here", "something else"))?;
    [LOOK_ONLY, NEW].iter().flat_map(|it| documents(it)).for_each(|it| held.make(&it));
    let before = held.settled();
    let words = ["rehearse", "--to", old, "--audit-policy", "audit.yaml", "--results", "older"];
    let ran: Ran = held.command_by("ours", &words, "admin").output()?.into();
    let lacking = "MutatingAdmissionPolicy/newest: it has no admissionregistration.k8s.io/v1";
    assert!(ran.stdout.contains(lacking), "{ran:?}");
    assert!(ran.stdout.contains("WORSE  exec-get-only-role"), "{ran:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(!ran.stdout.contains("WebhookConfiguration/exec-guard"), "{ran:?}");
    let here = results(folder, &format!("older/{old}"));
    assert_eq!(verdicts(&here)["exec-interactive"], Verdict::Skipped, "{ran:?}");
    assert!(impersonated(&here) > 0, "{ran:?}");

    // What rests on a kind that was not taken is not tried, and nothing is said of it.
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/hardening");
    let own = own.to_string_lossy();
    let chosen = ["--audit-policy", "audit.yaml", "--scenario", "image-from-elsewhere"];
    let words = [&["rehearse", "--to", old, "--catalog", &own][..], &chosen].concat();
    let rehearsed = |profile: &str, more: &[&str]| -> Result<Ran, Failed> {
        Ok(held.brinell(&[&words[..], more].concat(), "admin", profile).output()?.into())
    };
    // Worse than passed, and otherwise nothing is known.
    for (profile, code, weight) in [("policy", 1, "WORSE"), ("unlike", 5, "OTHER")] {
        let untaken = rehearsed(profile, &[])?;
        assert_eq!(untaken.code, Some(code), "{untaken:?}");
        let told = untaken.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let why =
            "rests on every MutatingAdmissionPolicy, of which the other cluster did not take all";
        for words in [&format!("{weight} image-from-elsewhere"), why, "1 newly skipped"] {
            assert!(told.contains(words), "{words}: {untaken:?}");
        }
    }
    // With the flags that serve it there, it is taken in the version that they serve.
    fs::write(folder.join("beta.yaml"), format!("{BETA}\n"))?;
    let more = ["--settings", "beta.yaml", "--scenario", "exec-interactive", "--results", "taken"];
    let taken = rehearsed("policy", &more)?;
    assert_eq!(taken.code, Some(0), "{taken:?}");
    for words in ["not taken by Kubernetes", "was not seen acting"] {
        assert!(!taken.stdout.contains(words), "{words}: {taken:?}");
    }
    // A webhook of ours is served there as well.
    let here = results(folder, &format!("taken/{old}"));
    assert_eq!(verdicts(&here)["exec-interactive"], Verdict::Passed, "{taken:?}");
    assert!(impersonated(&here) > 2, "{taken:?}");
    assert_eq!(held.objects(), before);
    Ok(())
}
