//! What `brinell new control --from` makes of what a reader has: it is read and checked as it stands.

use std::fs;
use std::path::{Path, PathBuf};

use brinell::catalog::{Catalog, ControlEntry};
use brinell::model::Layer;

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
    let home = Home::new();
    let made = begin(&home, &kept(file));
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{made:?}");
    let folder = home.path("mine");
    let catalog = Catalog::load(Some(&*folder)).unwrap_or_else(|problems| panic!("{problems}"));
    let control = catalog.controls.values().find(|it| !it.built_in).expect("a control");
    for entry in catalog.scenarios.iter().filter(|it| !it.built_in) {
        let noticed =
            control.control.weaken.values().filter(|it| it.expect.contains_key(&entry.id));
        assert!(noticed.count() > 0, "{}", entry.id);
    }
    let written =
        fs::read_to_string(home.path(&format!("mine/manifests/controls/{}/{file}", control.id)));
    assert_eq!(written.expect("kept"), fs::read_to_string(kept(file)).expect("there"));
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
fn of_a_network_policy() {
    begun("network.yaml", |catalog, control, _| {
        assert_eq!(control.control.decides, [Layer::Network]);
        assert!(weakenings(control).contains(&"egress-forgotten"), "{:?}", weakenings(control));
        assert_eq!(scenarios(catalog), ["database", "database-leaving"]);
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
    insta::assert_snapshot!(said("kind: Role\nmetadata: {name: it}\n"), @"error: it.yaml: the Role `it` has no binding in this file, so that nobody holds it: put its RoleBinding or ClusterRoleBinding into the file");
    insta::assert_snapshot!(said("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n"), @"error: it.yaml: the first rule that matches get of pods/exec says None, or none does: what an attacker does first is in no log; add a rule for it before the others");
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
