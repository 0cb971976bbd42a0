//! What `brinell new control --from` makes of what a reader has: it is read and checked as it stands.

use std::fs;
use std::path::{Path, PathBuf};

use brinell::catalog::{Catalog, ControlEntry};
use brinell::model::{Action, Layer, Review};

use crate::command_line::{NO_ENGINE, brinell, ran};
use crate::support::{Home, Ran};

/// What readers have, a file of each kind.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fast/catalog/from").join(name)
}

fn begin(home: &Home, file: &Path) -> Ran {
    let mut command = brinell(home, NO_ENGINE);
    ran(command.args(["new", "control", "--catalog", "mine", "--from"]).arg(file))
}

/// The control of a file, in a catalog that is whole.
fn begun(file: &str, look: impl Fn(&Catalog, &ControlEntry, &Path)) {
    begun_of(&kept(file), look);
}

fn begun_of(file: &Path, look: impl Fn(&Catalog, &ControlEntry, &Path)) {
    let home = Home::new();
    let made = begin(&home, file);
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{made:?}");
    let folder = home.path("mine");
    let catalog = Catalog::load(Some(&*folder)).unwrap_or_else(|problems| panic!("{problems}"));
    let control = catalog.controls.values().find(|it| !it.built_in).expect("a control");
    for entry in catalog.scenarios.iter().filter(|it| !it.built_in) {
        let noticed =
            control.control.weaken.values().filter(|it| it.expect.contains_key(&entry.id));
        assert!(noticed.count() > 0, "{}", entry.id);
    }
    let called = file.file_name().expect("a name").to_string_lossy();
    let written = text(&folder, &format!("manifests/controls/{}/{called}", control.id));
    assert_eq!(written, fs::read_to_string(file).expect("there"));
    look(&catalog, control, &folder);
}

fn weakenings(control: &ControlEntry) -> Vec<&str> {
    control.control.weaken.keys().map(String::as_str).collect()
}

fn scenarios(catalog: &Catalog) -> Vec<&str> {
    let mine = catalog.scenarios.iter().filter(|it| !it.built_in);
    mine.map(|it| it.id.as_str()).collect()
}

fn text(folder: &Path, place: &str) -> String {
    fs::read_to_string(folder.join(place)).expect("written")
}

#[test]
fn of_an_admission_policy() {
    begun("policy.yaml", |catalog, control, folder| {
        assert_eq!(control.id, "images");
        assert_eq!(control.control.decides, [Layer::Policy("images.example.com".to_owned())]);
        let expected = [
            "absent",
            "audit-only",
            "binding-gone",
            "errors-ignored",
            "fails-open-tomorrow",
            "misses-create",
            "misses-ephemeralcontainers",
            "misses-update",
            "namespace-left-out",
            "selector-misses",
            "system-users-exempt",
            "warn-only",
            "wrong-group",
        ];
        assert_eq!(weakenings(control), expected);
        let expected =
            ["images", "images-reviewed", "images-update", "images-update-ephemeralcontainers"];
        assert_eq!(scenarios(catalog), expected);
        insta::assert_snapshot!(text(folder, "manifests/controls/images/control.yaml"));
        insta::assert_snapshot!(text(folder, "scenarios/images/images.yaml"));
    });
}

#[test]
fn of_an_admission_policy_about_streams() {
    begun("exec.yaml", |catalog, control, _| {
        assert!(weakenings(control).contains(&"misses-attach"), "{:?}", weakenings(control));
        assert!(weakenings(control).contains(&"parameters-missing"), "{:?}", weakenings(control));
        assert_eq!(scenarios(catalog), ["exec", "exec-connect-attach", "exec-reviewed"]);
        // Whom it exempts today is allowed by its text, so that the review finds what comes to it.
        let reviewed = catalog.scenarios.iter().find(|it| it.id == "exec-reviewed").expect("made");
        let Action::Review(Review::Policies(review)) = &reviewed.turns[0].action else { panic!() };
        assert!(review.conditions[0].contains("system:masters"), "{review:?}");
        assert!(review.conditions[1].contains("request.userInfo.username"), "{review:?}");
        assert!(review.conditions[2].contains("variables.isOps"), "{review:?}");
        assert_eq!(review.conditions.len(), 3, "{review:?}");
    });
}

#[test]
fn of_a_webhook_configuration() {
    begun("webhooks.yaml", |catalog, control, folder| {
        assert_eq!(control.control.decides, [Layer::Webhook("deny.guard.example.com".to_owned())]);
        let expected = [
            "absent",
            "fails-open",
            "fails-open-tomorrow",
            "misses-create",
            "misses-delete",
            "namespace-left-out",
            "selector-misses",
            "system-users-exempt",
            "wrong-group",
        ];
        assert_eq!(weakenings(control), expected);
        assert_eq!(scenarios(catalog), ["guard", "guard-delete", "guard-reviewed"]);
        insta::assert_snapshot!(text(folder, "manifests/controls/guard/control.yaml"));
    });
    begun("mutating.yaml", |_, control, _| {
        assert!(weakenings(control).contains(&"fails-open"), "{:?}", weakenings(control));
    });
}

#[test]
fn of_a_role_and_of_a_cluster_role() {
    begun("role.yaml", |catalog, control, folder| {
        assert_eq!(control.control.decides, [Layer::Authorization]);
        let expected =
            ["absent", "every-name", "every-resource", "everybody", "everywhere", "exec-by-get"];
        assert_eq!(weakenings(control), expected);
        let expected =
            ["viewer", "viewer-elsewhere", "viewer-exec", "viewer-other-name", "viewer-stranger"];
        assert_eq!(scenarios(catalog), expected);
        insta::assert_snapshot!(text(folder, "manifests/controls/viewer/control.yaml"));
    });
    begun("cluster-role.yaml", |catalog, _, _| {
        assert_eq!(scenarios(catalog), ["auditor", "auditor-exec", "auditor-stranger"]);
    });
}

#[test]
fn of_a_role_that_names_its_objects() {
    begun("named.yaml", |catalog, control, folder| {
        let expected = ["tls", "tls-elsewhere", "tls-exec", "tls-other-name", "tls-stranger"];
        assert_eq!(scenarios(catalog), expected);
        let noticed: Vec<_> = control.control.weaken["every-name"].expect.keys().collect();
        assert_eq!(noticed, ["tls", "tls-other-name"]);
        // Who may get one of them may not list them: the list that a name allows asks for this name alone.
        let written = text(folder, "scenarios/tls/tls.yaml");
        assert!(written.contains("cannot list resource \\\"secrets\\\""), "{written}");
        assert!(written.contains("secrets/app-tls}"), "{written}");
    });
}

#[test]
fn of_a_network_policy() {
    begun("network.yaml", |catalog, control, _| {
        assert_eq!(control.control.decides, [Layer::Network]);
        assert!(weakenings(control).contains(&"egress-forgotten"), "{:?}", weakenings(control));
        assert_eq!(scenarios(catalog), ["database", "database-leaving"]);
    });
}

#[test]
fn of_a_network_policy_that_is_open_in_one_direction() {
    begun("open-egress.yaml", |catalog, control, _| {
        let expected =
            ["absent", "allow-all", "enforcement-stopped", "everybody-comes", "selector-misses"];
        assert_eq!(weakenings(control), expected);
        assert_eq!(scenarios(catalog), ["database"]);
    });
    begun("open-ingress.yaml", |catalog, control, _| {
        let expected = [
            "absent",
            "allow-all",
            "egress-forgotten",
            "enforcement-stopped",
            "everything-leaves",
            "selector-misses",
        ];
        assert_eq!(weakenings(control), expected);
        assert_eq!(scenarios(catalog), ["frontend"]);
    });
}

#[test]
fn a_weakening_that_would_change_nothing_is_left_out() {
    let home = Home::new();
    let file = home.path("network.yaml");
    let policy = fs::read_to_string(kept("network.yaml")).expect("there");
    let policy =
        policy.replace("matchLabels: {app: database}", "matchLabels: {brinell.dev/none: none}");
    fs::write(&file, policy).expect("written");
    begun_of(&file, |_, control, _| {
        assert!(!weakenings(control).contains(&"selector-misses"), "{:?}", weakenings(control));
        assert!(weakenings(control).contains(&"everybody-comes"), "{:?}", weakenings(control));
    });
}

#[test]
fn of_a_policy_with_several_validations() {
    // Its name is read as a number where it is not quoted.
    begun("validations.yaml", |catalog, _, folder| {
        assert_eq!(scenarios(catalog), ["123", "123-reviewed"]);
        let written = text(folder, "scenarios/123/123.yaml");
        assert!(written.contains("saying: no pod may use the network of its node"), "{written}");
        assert!(written.contains("hostNetwork: true"), "{written}");
        assert!(!written.contains("priorityClassName"), "{written}");
        let target = text(folder, "manifests/targets/123-app.yaml");
        assert!(target.contains("metadata: {name: orders}"), "{target}");
        let persona = text(folder, "manifests/personas/123-developer.yaml");
        assert!(persona.contains("bound: {in: [orders]}"), "{persona}");
    });
}

#[test]
fn of_a_file_with_several_of_a_kind() {
    begun("several.yaml", |catalog, control, folder| {
        assert_eq!(scenarios(catalog), ["shells", "shells-reviewed"]);
        assert!(text(folder, "scenarios/shells/shells.yaml").contains("exec: {"));
        let weaken = &control.control.weaken;
        assert_eq!(weaken["binding-gone"].delete.len(), 3);
        assert!(weaken.contains_key("misses-exec"), "{:?}", weakenings(control));
        let patched: Vec<_> = weaken["audit-only"].patch.keys().collect();
        let denying = [
            "ValidatingAdmissionPolicyBinding/shells-all",
            "ValidatingAdmissionPolicyBinding/shells-payments",
        ];
        assert_eq!(patched, denying);
        let patched: Vec<_> = weaken["selector-misses"].patch.keys().collect();
        assert_eq!(patched, denying);
        let written = text(folder, "manifests/controls/shells/control.yaml");
        let asked = "# YOURS: ValidatingAdmissionPolicy/another is not tried here; begin a control of its own";
        assert!(written.contains(asked), "{written}");
    });
    let home = Home::new();
    let file = home.path("role.yaml");
    let role = fs::read_to_string(kept("role.yaml")).expect("there");
    let (_, binding) = role.split_once("---\n").expect("a binding");
    let another = binding.replace("metadata: {name: viewer,", "metadata: {name: another,");
    fs::write(&file, format!("{role}---\n{another}")).expect("written");
    begun_of(&file, |_, _, folder| {
        let written = text(folder, "manifests/controls/viewer/control.yaml");
        assert!(written.contains("# YOURS: RoleBinding/payments/another is not"), "{written}");
    });
    begun("several-webhooks.yaml", |_, _, folder| {
        let written = text(folder, "manifests/controls/guard/control.yaml");
        let asked =
            "# YOURS: services.guard.example.com is not tried here; begin a control of its own";
        assert!(written.contains(asked), "{written}");
    });
}

#[test]
fn of_an_audit_policy_with_a_name() {
    begun("audit-named.yaml", |_, control, _| {
        let patched: Vec<_> = control.control.weaken["noise-first"].patch.keys().collect();
        assert_eq!(patched, ["Policy/default"]);
    });
}

#[test]
fn of_a_file_whose_name_yaml_would_read_as_two() {
    let home = Home::new();
    let file = home.path("audit, ours.yaml");
    fs::copy(kept("audit.yaml"), &file).expect("copied");
    begun_of(&file, |_, control, _| {
        assert_eq!(
            control.control.api_server.files.iter().collect::<Vec<_>>(),
            ["audit, ours.yaml"]
        );
    });
}

#[test]
fn of_an_audit_policy() {
    begun("audit.yaml", |catalog, control, _| {
        assert_eq!(control.id, "audit-policy");
        assert_eq!(scenarios(catalog), ["secret-on-record", "shell-on-record"]);
        let expected = [
            "absent",
            "bodies-of-secrets",
            "exec-create-only",
            "noise-first",
            "subresources-shortened",
        ];
        assert_eq!(weakenings(control), expected);
        // Ours are asked of it as well, and it takes the place of ours in our profiles.
        let profile = catalog.profile("hardened").expect("ours");
        assert!(profile.controls.iter().any(|it| it.control.id == "audit-policy"));
    });
}

#[test]
fn what_no_control_can_be_made_of_is_told() {
    let home = Home::new();
    let said = |text: &str| {
        fs::write(home.path("it.yaml"), text).expect("written");
        let ran = begin(&home, Path::new("it.yaml"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(!home.path("mine").exists());
        ran.stderr
    };
    insta::assert_snapshot!(said("kind: ConfigMap\nmetadata: {name: it}\n"), @"
error: it.yaml: no control can be made of ConfigMap/it
  it is to hold a ValidatingAdmissionPolicy with its binding, a ValidatingWebhookConfiguration or MutatingWebhookConfiguration, a Role or ClusterRole with its binding, a NetworkPolicy, or an audit Policy
");
    insta::assert_snapshot!(said("# nothing\n"), @"
error: it.yaml: no control can be made of nothing
  it is to hold a ValidatingAdmissionPolicy with its binding, a ValidatingWebhookConfiguration or MutatingWebhookConfiguration, a Role or ClusterRole with its binding, a NetworkPolicy, or an audit Policy
");
    insta::assert_snapshot!(said("{{ if }}\n"), @"
error: it.yaml:1:2: expected string scalar
  1 | {{ if }}
    |  ^
");
    let policy = fs::read_to_string(kept("policy.yaml")).expect("there");
    let bare = policy.split("---").next().expect("the policy");
    insta::assert_snapshot!(said(bare), @"error: it.yaml: the ValidatingAdmissionPolicy `images.example.com` has no binding in this file, without which it decides nothing: put its ValidatingAdmissionPolicyBinding into the file");
    insta::assert_snapshot!(said(&policy.replace("[Deny]", "[Audit, Warn]")), @"error: it.yaml: no binding of the ValidatingAdmissionPolicy `images.example.com` has Deny among its `validationActions`, so that it refuses nothing: write `validationActions: [Deny]`");
    let broken = "name: \"images\\nrules: []\"";
    insta::assert_snapshot!(said(&policy.replace("name: images.example.com", broken)), @r#"error: it.yaml: the ValidatingAdmissionPolicy's name "images\nrules: []" has a character that no name has: write it as it is applied"#);
    let role = "kind: Role\nmetadata: {name: it}\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n";
    let binding = "kind: RoleBinding\nmetadata: {name: \"i\\nt\"}\nroleRef: {kind: Role, name: it}\nsubjects: [{kind: User, name: jane}]\n";
    insta::assert_snapshot!(said(&format!("{role}---\n{binding}")), @r#"error: it.yaml: the RoleBinding's name "i\nt" has a character that no name has: write it as it is applied"#);
    let open = "kind: NetworkPolicy\nmetadata: {name: it, namespace: it}\nspec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}\n";
    insta::assert_snapshot!(said(open), @"error: it.yaml: NetworkPolicy/it/it lets everybody through in each direction that it is about: there is nothing that could be refused");
    insta::assert_snapshot!(said("kind: Role\nmetadata: {name: it}\n"), @"error: it.yaml: the Role `it` has no binding in this file, so that nobody holds it: put its RoleBinding or ClusterRoleBinding into the file");
    insta::assert_snapshot!(said("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n"), @"error: it.yaml: the first rule that matches get of pods/exec says None, or none does: what an attacker does first is in no log; add a rule for it before the others");
    let long = "long-".repeat(13);
    let long = ran(brinell(&home, NO_ENGINE)
        .args(["new", "control", &long, "--catalog", "mine", "--from"])
        .arg(kept("role.yaml")));
    assert_eq!(long.code, Some(2), "{long:?}");
    assert!(long.stderr.contains("characters"), "{long:?}");
    let other = ran(brinell(&home, NO_ENGINE).args([
        "new",
        "persona",
        "--from",
        "it.yaml",
        "--catalog",
        "mine",
    ]));
    assert!(other.stderr.contains("--from is for a control"), "{other:?}");
}
