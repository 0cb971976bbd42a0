//! A persona is one file: who acts, and what they may do.

use std::collections::BTreeSet;

use brinell::catalog::{Catalog, Files, identity};

use super::{SCENARIO, embedded, mine, with_manifest};

const PERSONA: &str = "\
who: {service-account: {namespace: brinell-personas, name: mine}}
roles:
- cluster-role: brinell-mine
  rules:
  - {apiGroups: [\"\"], resources: [pods/exec], resourceNames: [app], verbs: [get, create]}
  bound: {in: [quiet-app]}
";

/// Our catalog with one more persona, and a scenario in which it acts.
fn with(persona: &str) -> Result<Catalog, String> {
    let mut files = Files::embedded();
    files.manifests.push(mine("manifests/personas/mine.yaml", persona));
    files.scenarios.push(mine("mine/exec/mine.yaml", SCENARIO.replace("operator", "mine")));
    Catalog::read(files).map_err(|problems| problems.to_string())
}

/// What is said about the valid persona with a piece of it replaced.
fn with_change(from: &str, to: &str) -> String {
    assert!(PERSONA.contains(from), "nothing to replace");
    with(&PERSONA.replacen(from, to, 1)).err().unwrap_or_default()
}

/// What the control least-privilege sets up.
fn objects(catalog: &Catalog, weakening: Option<&str>) -> BTreeSet<String> {
    let entry = &catalog.controls["least-privilege"];
    let weakening = weakening.map(|name| &entry.control.weaken[name]);
    let set_up = entry.set_up(weakening).expect("it fits");
    set_up.objects.iter().map(|document| identity(&document.object)).collect()
}

/// What one more persona adds.
fn added(persona: &str) -> Vec<String> {
    let catalog = with(persona).unwrap_or_else(|problems| panic!("{problems}"));
    let before = objects(&embedded(), None);
    objects(&catalog, None).difference(&before).cloned().collect()
}

#[test]
fn a_new_persona_is_one_file() {
    let expected = [
        "ClusterRole/brinell-mine",
        "Namespace/quiet-app",
        "RoleBinding/quiet-app/mine",
        "ServiceAccount/brinell-personas/mine",
    ];
    assert_eq!(added(PERSONA), expected);
}

#[test]
fn a_persona_is_made_as_it_is_written() {
    let catalog = with(PERSONA).expect("a valid persona");
    let set_up = catalog.controls["least-privilege"].set_up(None).expect("whole");
    let made = set_up.objects.iter().filter(|it| it.file == "manifests/personas/mine.yaml");
    let made: Vec<&serde_json::Value> = made.map(|it| &it.object).collect();
    let rbac = "rbac.authorization.k8s.io";
    let expected = [
        serde_json::json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "mine", "namespace": "brinell-personas"},
            "automountServiceAccountToken": false,
        }),
        serde_json::json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": {"name": "brinell-mine"},
            "rules": [{
                "apiGroups": [""], "resources": ["pods/exec"], "resourceNames": ["app"],
                "verbs": ["get", "create"],
            }],
        }),
        serde_json::json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
            "metadata": {"name": "mine", "namespace": "quiet-app"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "brinell-mine"},
            "subjects": [
                {"kind": "ServiceAccount", "name": "mine", "namespace": "brinell-personas"},
            ],
        }),
    ];
    assert_eq!(made, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_role_that_several_hold_is_one_object() {
    let shared = PERSONA.replace("brinell-mine", "brinell-reader");
    let rules = shared.find("  rules:").expect("rules")..shared.find("  bound:").expect("bound");
    let mut without = shared.clone();
    without.replace_range(rules, "");
    let expected = [
        "Namespace/quiet-app",
        "RoleBinding/quiet-app/mine",
        "ServiceAccount/brinell-personas/mine",
    ];
    assert_eq!(added(&without), expected);
    insta::assert_snapshot!(with(&shared).expect_err("refused"), @"
manifests/personas/reader.yaml:4:17: ClusterRole/brinell-reader is made by manifests/personas/mine.yaml already
  4 | - cluster-role: brinell-reader
    |                 ^
  a role that several hold has its `rules` in one file
");
}

#[test]
fn a_role_in_the_whole_cluster() {
    let everywhere = PERSONA.replace("{in: [quiet-app]}", "everywhere");
    let expected = [
        "ClusterRole/brinell-mine",
        "ClusterRoleBinding/brinell-mine",
        "ServiceAccount/brinell-personas/mine",
    ];
    assert_eq!(added(&everywhere), expected);
}

#[test]
fn somebody_who_is_impersonated_holds_roles_as_a_user() {
    let user = "{impersonated: {by: {namespace: brinell-personas, name: helpdesk}, user: jane}}";
    let account = "{service-account: {namespace: brinell-personas, name: mine}}";
    let catalog = with(&PERSONA.replace(account, user)).expect("a valid persona");
    let binding = |weakening| {
        let entry = &catalog.controls["least-privilege"];
        let set_up = entry.set_up(weakening).expect("it fits");
        let mut objects = set_up.objects.into_iter().map(|document| document.object);
        objects.find(|object| identity(object) == "RoleBinding/quiet-app/mine").expect("there")
    };
    let subject = serde_json::json!(
        [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]
    );
    assert_eq!(binding(None)["subjects"], subject);
    let absent = &catalog.controls["least-privilege"].control.weaken["absent"];
    assert_eq!(binding(Some(absent))["subjects"], subject);
}

/// No weakening is weaker for the personas' files: where the control is absent, every ServiceAccount's binding is gone.
#[test]
fn where_least_privilege_is_absent_no_account_has_a_binding_of_its_own() {
    let catalog = embedded();
    let (whole, absent) = (objects(&catalog, None), objects(&catalog, Some("absent")));
    let gone: Vec<&String> = whole.difference(&absent).collect();
    assert!(gone.len() > 25, "{gone:?}");
    assert!(gone.iter().all(|name| name.contains("RoleBinding/")), "{gone:?}");
    let left = absent.iter().filter(|name| name.contains("RoleBinding/"));
    let expected =
        ["ClusterRoleBinding/brinell-personas-cluster-admin", "RoleBinding/team-a/colleague"];
    assert_eq!(left.collect::<Vec<_>>(), expected);
}

#[test]
fn a_role_that_nobody_knows() {
    insta::assert_snapshot!(with_change("brinell-mine\n  rules:\n  - {apiGroups: [\"\"], resources: [pods/exec], resourceNames: [app], verbs: [get, create]}\n", "brinell-raeder\n"), @"
manifests/personas/mine.yaml:3:17: no file has the rules of a role `brinell-raeder`
  3 | - cluster-role: brinell-raeder
    |                 ^
  write its `rules:` here, or name another: did you mean brinell-reader?
");
}

#[test]
fn a_role_of_kubernetes_own() {
    insta::assert_snapshot!(with_change("brinell-mine", "view"), @"
manifests/personas/mine.yaml:3:17: the role `view` is Kubernetes' own
  3 | - cluster-role: view
    |                 ^
  leave `rules` out, or give the role another name
");
}

#[test]
fn a_namespace_that_no_target_has() {
    insta::assert_snapshot!(with_change("[quiet-app]", "[plain-app, plain-ap]"), @"
manifests/personas/mine.yaml:6:27: there is no namespace `plain-ap`
  6 |   bound: {in: [plain-app, plain-ap]}
    |                           ^
  did you mean plain-app?
");
    insta::assert_snapshot!(with_change("[quiet-app]", "[]"), @"
manifests/personas/mine.yaml:6:11: it is bound nowhere
  6 |   bound: {in: []}
    |           ^
  name a namespace of a target, or write `bound: everywhere`
");
}

#[test]
fn a_word_that_bounds_nothing() {
    insta::assert_snapshot!(with_change("{in: [quiet-app]}", "evrywhere"), @"
manifests/personas/mine.yaml:6:10: unknown word `evrywhere`
  6 |   bound: evrywhere
    |          ^
  did you mean everywhere?
");
}

#[test]
fn a_rule_with_a_key_that_kubernetes_does_not_know() {
    insta::assert_snapshot!(with_change("resourceNames", "resourceName"), @r#"
manifests/personas/mine.yaml:5:47: unknown key `resourceName`
  5 |   - {apiGroups: [""], resources: [pods/exec], resourceName: [app], verbs: [get, create]}
    |                                               ^
  did you mean resourceNames?
"#);
}

#[test]
fn an_account_that_is_not_there() {
    insta::assert_snapshot!(with_change("brinell-personas, name: mine", "shop, name: frontent"), @"
manifests/personas/mine.yaml:1:48: there is no ServiceAccount `shop/frontent`
  1 | who: {service-account: {namespace: shop, name: frontent}}
    |                                                ^
  did you mean shop/frontend?
");
    let user = "{impersonated: {by: {namespace: brinell-personas, name: helpdsk}, user: jane}}";
    let account = "{service-account: {namespace: brinell-personas, name: mine}}";
    insta::assert_snapshot!(with_change(account, user), @"
manifests/personas/mine.yaml:1:62: there is no ServiceAccount `brinell-personas/helpdsk`
  1 | sonated: {by: {namespace: brinell-personas, name: helpdsk}, user: jane}}
    |                                                   ^
  did you mean brinell-personas/helpdesk?
");
}

#[test]
fn an_account_of_another_persona() {
    insta::assert_snapshot!(with_change("name: mine", "name: operator"), @"
manifests/personas/operator.yaml:3:1: ServiceAccount/brinell-personas/operator is made by manifests/personas/mine.yaml already
  3 | who: {service-account: {namespace: brinell-personas, name: operator}}
    | ^
  two personas are two ServiceAccounts: give it another name
");
}

#[test]
fn two_bindings_of_one_name() {
    let twice = "{in: [quiet-app]}\n- cluster-role: view\n  bound: {in: [quiet-app]}";
    insta::assert_snapshot!(with_change("{in: [quiet-app]}", twice), @"
manifests/personas/mine.yaml:8:16: RoleBinding/quiet-app/mine is made by manifests/personas/mine.yaml already
  8 |   bound: {in: [quiet-app]}
    |                ^
  give one of the two another name: `binding: {name: …}`
");
    let named = format!("{twice}\n  binding: {{name: mine-views}}");
    assert_eq!(with_change("{in: [quiet-app]}", &named), "");
}

#[test]
fn roles_of_somebody_who_holds_none() {
    let account = "{service-account: {namespace: brinell-personas, name: mine}}";
    insta::assert_snapshot!(with_change(account, "anonymous"), @"
manifests/personas/mine.yaml:2:1: this persona holds no roles
  2 | roles:
    | ^
  roles are held by a `service-account` or by the user of `impersonated`
");
}

#[test]
fn a_part_of_the_personas_that_there_is_not() {
    let control = "manifests/controls/least-privilege/control.yaml";
    let said = with_manifest(control, "personas/roles", "personas/role");
    insta::assert_snapshot!(said.split("\n\n").next().unwrap_or_default(), @"
manifests/controls/least-privilege/control.yaml:5:67: there is no file `personas/role`
  5 | ace.yaml, personas/accounts, personas/namespaces, personas/role, personas/bindings, personas/people]
    |                                                   ^
  did you mean personas/roles or personas/people?
");
}
