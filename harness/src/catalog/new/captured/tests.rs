//! What is captured of objects as API servers tell them, and what is refused.

use std::path::Path;

use super::*;
use crate::catalog::{Catalog, File, Files};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn object(version: &str, kind: &str, metadata: Value, more: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
    crate::merge::lay_over(&mut object, &more);
    object
}

fn role(name: &str) -> Value {
    object(RBAC, "ClusterRole", json!({"name": name}), json!({"rules": []}))
}

fn default(manager: &str, restored: &str) -> Value {
    let metadata = json!({
        "name": "view", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": restored},
        "managedFields": [{"manager": "kube-apiserver"}, {"manager": manager}],
    });
    object(RBAC, "ClusterRole", metadata, json!({"rules": []}))
}

fn admission(kind: &str, name: &str, spec: Value) -> Value {
    object(&format!("{ADMISSION}/v1"), kind, json!({"name": name}), json!({"spec": spec}))
}

fn policy(kind: &str) -> Value {
    let (version, kind) = kind.rsplit_once('/').expect("a version and a kind");
    let spec = json!({"paramKind": {"apiVersion": version, "kind": kind}, "validations": [{"expression": "false"}]});
    admission("ValidatingAdmissionPolicy", "guard", spec)
}

fn guard() -> String {
    "guard".to_owned()
}

fn binding() -> Value {
    let spec = json!({"policyName": "guard", "validationActions": ["Deny"]});
    admission("ValidatingAdmissionPolicyBinding", "bound", spec)
}

fn taken(objects: &[Value]) -> Captured {
    taken_of(Found { objects: objects.to_vec(), ..Found::default() }, "theirs", &Handed::default())
}

fn taken_of(found: Found, cluster: &str, handed: &Handed) -> Captured {
    captured(found, cluster, handed, BTreeMap::new())
}

/// What was written, read as a catalog.
fn catalog(captured: &Captured) -> Catalog {
    let mut files = Files::embedded();
    files.manifests.extend(captured.files.iter().map(|it| File {
        path: it.place.clone(),
        place: it.place.clone(),
        built_in: false,
        bytes: it.text.clone().into_bytes().into(),
    }));
    Catalog::read(files).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The objects that are set up of it, in their order.
fn set_up(captured: &Captured) -> Vec<Value> {
    let profile = catalog(captured).profile(CAPTURED).expect("its profile");
    profile.controls[0].set_up.objects.iter().map(|it| it.object.clone()).collect()
}

fn names(captured: &Captured) -> Vec<String> {
    set_up(captured).iter().map(identity).collect()
}

/// Why something that begins so is left out; empty where it is not.
fn why(captured: &Captured, what: &str) -> String {
    let found = captured.left_out.iter().find(|it| it.what.contains(what));
    found.map(|it| it.why.clone()).unwrap_or_default()
}

#[test]
fn what_the_server_owns_is_not_written() {
    let metadata = json!({
        "name": "shop", "uid": "1", "resourceVersion": "2", "generation": 3, "creationTimestamp": "now",
        "finalizers": ["theirs"], "ownerReferences": [{"name": "owner"}], "selfLink": "/", "managedFields": [{}],
        "labels": {"kubernetes.io/metadata.name": "shop", "team": "a"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}", "objectset.rio.cattle.io/applied": "{}",
            "kapp.k14s.io/original": "{}", "banzaicloud.com/last-applied": "{}", "why": "b",
        },
    });
    let more = json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let kept = json!({"name": "shop", "labels": {"team": "a"}, "annotations": {"why": "b"}});
    let captured = taken(&[object("v1", "Namespace", metadata, more)]);
    assert_eq!(set_up(&captured), [object("v1", "Namespace", kept, json!({}))]);
    let selected =
        json!({"aggregationRule": {"clusterRoleSelectors": []}, "rules": [{"verbs": ["get"]}]});
    let made_up = object(RBAC, "ClusterRole", json!({"name": "made-up"}), selected);
    assert_eq!(set_up(&taken(&[made_up]))[0]["rules"], json!([]));
}

#[test]
fn what_a_cluster_has_by_itself_is_not_captured_unless_somebody_changed_it() {
    let flow = |kept: &str| {
        let metadata =
            json!({"name": "exempt", "annotations": {"apf.kubernetes.io/autoupdate-spec": kept}});
        object("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", metadata, json!({}))
    };
    let ours = object(
        "v1",
        "Namespace",
        json!({"name": "brinell-1", "labels": {"brinell.dev/run": "1"}}),
        json!({}),
    );
    let in_ours =
        object("v1", "LimitRange", json!({"name": "a", "namespace": "brinell-1"}), json!({}));
    let owned =
        [default("clusterrole-aggregation-controller", "true"), flow("true"), ours, in_ours];
    let captured = taken(&owned);
    assert_eq!(names(&captured), [""; 0]);
    for what in
        ["1 default among roles", "1 default among priority levels", "1 object of brinell's"]
    {
        assert_ne!(why(&captured, what), "", "{what}: {:?}", captured.left_out);
    }
    let changed = [default("kubectl-edit", "true")];
    assert!(why(&taken(&changed), "adds to ClusterRole/view").contains("kubectl-edit has changed"));
    let unknown = [json!(null), json!([])].map(|writers| {
        let mut role = default("kube-apiserver", "true");
        role["metadata"]["managedFields"] = writers;
        role
    });
    for role in &unknown {
        let told = taken(std::slice::from_ref(role));
        assert_eq!(names(&told), ["ClusterRole/view"]);
        assert!(why(&told, "adds to ClusterRole/view").contains("nobody knows"), "{role}");
    }
    for changed in
        [default("kubectl-edit", "true"), default("kube-apiserver", "false"), flow("false")]
    {
        assert_eq!(names(&taken(std::slice::from_ref(&changed))).len(), 1, "{changed}");
    }
}

#[test]
fn no_secret_is_captured_nor_a_policy_that_goes_by_one() {
    let secret = object(
        "v1",
        "Secret",
        json!({"name": "key", "namespace": "shop"}),
        json!({"data": {"a": "c2VjcmV0"}}),
    );
    let captured = taken(&[policy("v1/Secret"), binding(), secret]);
    assert_eq!(names(&captured), [""; 0]);
    assert!(why(&captured, "Secret/shop/key").contains("Secret"));
    assert!(
        why(&captured, "Policy/guard").contains("parameters are Secrets"),
        "{:?}",
        captured.left_out
    );
    assert!(why(&captured, "Binding/bound").contains("binds"));
    assert_eq!(captured.decides, []);
    assert_eq!(captured.uncaptured, [Layer::Policy(guard()), Layer::PolicyFailure(guard())]);
    assert_eq!(captured.lacking, BTreeSet::new());
    let mut changing = policy("v1/Secret");
    changing["kind"] = json!(MUTATING);
    let changing = taken(&[changing]);
    assert_eq!(changing.uncaptured, [Layer::PolicyFailure(guard())]);
    assert_eq!(changing.lacking, BTreeSet::from([MUTATING.to_owned()]));
    assert!(captured.files.iter().all(|it| !it.text.contains("c2VjcmV0")));
}

#[test]
fn a_policy_comes_with_its_parameters_or_not_at_all() {
    let names_of = json!({"spec": {"group": "example.com", "names": {"kind": "Limit"}, "conversion": {"strategy": "Webhook"}}});
    let definition = object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        json!({"name": "limits.example.com"}),
        names_of,
    );
    let limit =
        object("example.com/v1", "Limit", json!({"name": "few"}), json!({"spec": {"most": 1.5}}));
    let whole =
        taken(&[binding(), policy("example.com/v1/Limit"), limit.clone(), definition.clone()]);
    let expected = [
        "CustomResourceDefinition/limits.example.com",
        "Limit/few",
        "ValidatingAdmissionPolicy/guard",
        "ValidatingAdmissionPolicyBinding/bound",
    ];
    assert_eq!(names(&whole), expected);
    // It needs no weakening, whatever profile has all controls that are added.
    for profile in ["open", "hardened", "found"] {
        assert!(catalog(&whole).profile(profile).is_ok(), "{profile}");
    }
    assert_eq!(whole.decides, layers(&policy("example.com/v1/Limit")));
    assert_eq!(whole.uncaptured, []);
    assert!(why(&whole, "the conversion of").contains("webhook of theirs"));
    let undefined = taken(&[binding(), policy("example.com/v1/Limit"), limit.clone()]);
    assert!(why(&undefined, "Policy/guard").contains("Limit.example.com, is not captured"));
    let of = ("example.com".to_owned(), "Limit".to_owned());
    let objects = vec![binding(), policy("example.com/v1/Limit"), definition.clone()];
    let unread = Found { objects, unread: BTreeSet::from([of]), ..Found::default() };
    let unread = taken_of(unread, "theirs", &Handed::default());
    assert!(why(&unread, "Policy/guard").contains("could not be read"));
    let mut going = limit;
    going["metadata"]["deletionTimestamp"] = json!("now");
    let going = taken(&[binding(), policy("example.com/v1/Limit"), going, definition]);
    assert!(why(&going, "Policy/guard").contains("Limit/few are not captured"));
}

#[test]
fn webhooks_are_told_and_what_is_in_an_unread_namespace_has_one() {
    let webhook = admission("ValidatingWebhookConfiguration", "theirs", json!({}));
    let limits = object("v1", "LimitRange", json!({"name": "a", "namespace": "shop"}), json!({}));
    let name = identity(&webhook);
    let found = Found { objects: vec![webhook.clone()], ..Found::default() };
    let absent = ("ValidatingWebhookConfiguration/absent".to_owned(), webhook.clone());
    let ours = BTreeMap::from([(name.clone(), webhook.clone()), absent]);
    let served = captured(found.clone(), "theirs", &Handed::default(), ours);
    assert_eq!(why(&served, "Configuration/theirs"), "");
    assert_eq!(served.served, BTreeSet::from([name.clone()]));
    let other = BTreeMap::from([(name, json!({"webhooks": [{"name": "other"}]}))]);
    let unlike = captured(found, "theirs", &Handed::default(), other);
    assert!(why(&unlike, "Configuration/theirs").contains("not as the control of ours has it"));
    assert_eq!(unlike.served, BTreeSet::new());
    let mut changing = webhook.clone();
    changing["kind"] = json!("MutatingWebhookConfiguration");
    assert!(why(&taken(&[changing]), "Configuration/theirs").contains("is judged unchanged"));
    assert!(!why(&taken(std::slice::from_ref(&webhook)), "theirs").contains("unchanged"));
    let captured = taken(&[webhook, limits]);
    assert_eq!(captured.served, BTreeSet::new());
    assert!(why(&captured, "Configuration/theirs").contains("embedded cluster"));
    assert_eq!(names(&captured), ["Namespace/shop", "LimitRange/shop/a"]);
    assert!(why(&captured, "the audit policy").contains("--audit-policy"));
}

/// Names of roles are the only ones that may hold nearly anything.
#[test]
fn hostile_names_stay_texts_in_files_of_ours() {
    let hostile = [
        "../../../etc/passwd",
        "/absolute",
        "a\nkind: Secret",
        "a\u{1b}[31mred",
        "---",
        "- a",
        "*x",
        "&x",
        "!tag x",
        "'",
        "\"",
        "a: b",
        "a #b",
        "{{",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "null",
        "1e3",
        "",
    ];
    let roles: Vec<Value> = hostile.iter().map(|name| role(name)).collect();
    let captured = taken(&roles);
    let mut expected: Vec<Value> = roles;
    expected.sort_by_key(identity);
    assert_eq!(set_up(&captured), expected);
    let places: Vec<&str> = captured.files.iter().map(|it| it.place.as_str()).collect();
    let folder = "manifests/controls/captured";
    let control = format!("{folder}/control.yaml");
    let roles = format!("{folder}/cluster-roles.yaml");
    assert_eq!(places, [&control, &roles, "manifests/profiles/captured.yaml"]);
    let cluster = captured_on("a\nweaken: {}\u{1b}[31m: \"'");
    assert_eq!(
        catalog(&cluster).controls[CAPTURED].control.title,
        "What decides on a\nweaken: {}\u{1b}[31m: \"'"
    );
    let substituted = taken(&[role("a${run}b"), role("${")]);
    assert_eq!(names(&substituted), [""; 0]);
    assert!(why(&substituted, "a${run}b").contains("`${run`"), "{:?}", substituted.left_out);
}

/// What decides there and is on no other side is no "the same".
#[test]
fn what_a_file_cannot_hold_takes_out_its_kind() {
    let namespace = |annotation: &str| {
        let metadata = json!({"name": "shop", "annotations": {"team": annotation}});
        object("v1", "Namespace", metadata, json!({}))
    };
    let quota = object(
        "v1",
        "ResourceQuota",
        json!({"name": "q", "namespace": "shop"}),
        json!({"spec": {}}),
    );
    let lost = taken(&[namespace("${run}"), quota.clone()]);
    assert_eq!(names(&lost), [""; 0]);
    assert_eq!(why(&lost, "ResourceQuota/shop/q"), "its namespace is not captured");
    let kinds =
        |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(lost.lacking, kinds(&["Namespace", "ResourceQuota"]));
    assert_eq!(taken(&[role("a${run}b")]).lacking, kinds(&["ClusterRole"]));
    assert_eq!(taken(&[namespace("mine"), quota.clone()]).lacking, kinds(&[]));
    let mut bound = binding();
    bound["metadata"]["annotations"] = json!({"team": "${run}"});
    let unbound = taken(&[bound]);
    assert_eq!(unbound.lacking, kinds(&["ValidatingAdmissionPolicyBinding"]));
    let mut going = namespace("mine");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(taken(&[going, quota]).lacking, kinds(&[]), "what goes decides nothing any more");
}

fn captured_on(cluster: &str) -> Captured {
    taken_of(Found::default(), cluster, &Handed::default())
}

#[test]
fn what_is_huge_or_endless_is_left_out_and_the_rest_is_in_files_that_can_be_read() {
    let described = |name: &str, length: usize| {
        let metadata = json!({"name": name, "annotations": {"words": "w".repeat(length)}});
        object(RBAC, "ClusterRole", metadata, json!({"rules": []}))
    };
    let deep = (0..200).fold(json!("end"), |inner, _| json!([inner]));
    let deep = object(RBAC, "ClusterRole", json!({"name": "deep"}), json!({"rules": deep}));
    let many =
        object(RBAC, "ClusterRole", json!({"name": "many"}), json!({"rules": vec![1; 200_000]}));
    let small = (0..300).map(|number| described(&format!("small-{number}"), 1000));
    let objects: Vec<Value> = small
        .chain([described("huge", 2 << 20), deep, many, described("large", 900 << 10)])
        .collect();
    let captured = taken(&objects);
    assert_eq!(set_up(&captured).len(), 301);
    assert!(why(&captured, "huge").contains("more than 1000 KiB"));
    for name in ["deep", "many"] {
        assert!(
            why(&captured, name).contains("within a file's limits"),
            "{name}: {:?}",
            captured.left_out
        );
    }
    assert!(captured.files.len() > 4, "{}", captured.files.len());
    assert!(captured.files.iter().all(|it| it.text.len() <= 1 << 20));
}

fn handed(settings: &str, files: &[(&str, &str)]) -> Result<Handed, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("settings.yaml"), settings).expect("written");
    for (name, text) in files {
        std::fs::write(path(name), text).expect("written");
    }
    let policy = path("policy.yaml");
    let policy = files.iter().any(|(name, _)| *name == "policy.yaml").then_some(policy.as_path());
    Handed::read(policy, Some(&path("settings.yaml"))).map_err(|problem| problem.to_string())
}

#[test]
fn what_is_handed_in_is_a_part_of_the_control_and_holds_no_keys() {
    let settings = "flags: {anonymous-auth: \"false\", admission-control-config-file: /etc/brinell/admission.yaml}\nfiles: [admission.yaml]";
    let admission = ("admission.yaml", "kind: AdmissionConfiguration\n");
    let audit = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";
    let whole = handed(settings, &[admission, ("policy.yaml", audit)]).expect("whole");
    assert!(whole.writes_log());
    let captured = taken_of(Found::default(), "theirs", &whole);
    let profile = catalog(&captured).profile(CAPTURED).expect("its profile");
    let set_up = &profile.controls[0].set_up;
    assert_eq!(set_up.flags["anonymous-auth"], "false");
    assert_eq!(set_up.flags["audit-policy-file"], "/etc/brinell/audit-policy.yaml");
    assert_eq!(set_up.files["audit-policy.yaml"].text, audit);
    assert!(set_up.files.contains_key("admission.yaml"));
    assert_eq!(captured.left_out, []);

    let told =
        |settings: &str, files: &[(&str, &str)]| handed(settings, files).err().unwrap_or_default();
    assert!(
        told("files: [../key.yaml]", &[]).contains("settings.yaml:1:9: a file's name cannot be so")
    );
    assert!(told("files: [roles-2.yaml]", &[]).contains("is called so"));
    assert!(told("flag: {}", &[]).contains("flag"));
    for kind in ["EncryptionConfiguration", "Secret", "Config"] {
        let file = format!("kind: {kind}\nkey: hidden\n");
        let words = told("files: [keys.yaml]", &[("keys.yaml", &file)]);
        assert!(
            words.contains("`keys.yaml` is not captured") && !words.contains("hidden"),
            "{words}"
        );
    }
    let pem = "kind: AdmissionConfiguration\n# -----BEGIN RSA PRIVATE KEY-----\n";
    let nested = "kind: AdmissionConfiguration\nplugins: [{configuration: {kind: Config}}]\n";
    let rate = "kind: AdmissionConfiguration\nplugins: [{configuration: {kind: Configuration}}]\n";
    for file in
        [pem, nested, "token,user,1\n", "- a\n", "users: []\n", "imagePolicy: {}\nusers: []\n"]
    {
        let words = told("files: [keys.yaml]", &[("keys.yaml", file)]);
        assert!(words.contains("`keys.yaml` is not captured"), "{file}: {words}");
    }
    for file in [rate, "imagePolicy: {}\n", "kind: AuthenticationConfiguration\n"] {
        assert_eq!(told("files: [keys.yaml]", &[("keys.yaml", file)]), "", "{file}");
    }
    assert!(told("flags: {a: '-----BEGIN PRIVATE KEY-----'}", &[]).contains("a private key"));
    assert!(told("{}", &[("policy.yaml", "kind: Secret\n")]).contains("it is no audit policy"));
    assert!(Handed::read(Some(Path::new("/nowhere/policy.yaml")), None).is_err());
}

/// Whoever runs it on a machine of a control plane may read the keys of its etcd.
#[test]
fn no_flag_leads_ours_into_the_cluster_that_is_there() {
    let told = |settings: &str, files: &[(&str, &str)]| handed(settings, files).err();
    let flag = |flag: &str, value: &str| told(&format!("flags: {{{flag}: \"{value}\"}}"), &[]);
    let ca = "/etc/kubernetes/pki/ca.crt";
    for (name, value, hint) in [
        ("etcd-servers", "https://127.0.0.1:2379", "has its own"),
        ("etcd_servers", "https://127.0.0.1:2379", "has its own"),
        ("etcd-servers-overrides", "/events#https://127.0.0.1:2379", "has its own"),
        ("bind-address", "0.0.0.0", "has its own"),
        ("tls-sni-cert-key", "/etc/brinell/a.yaml", "has its own"),
        ("egress-selector-config-file", "/etc/brinell/a.yaml", "has its own"),
        ("service-account-key-file", "/etc/brinell/a.yaml", "has its own"),
        ("audit-log-path", "-", "--audit-policy"),
        ("audit-webhook-config-file", "/etc/brinell/a.yaml", "--audit-policy"),
        ("oidc-ca-file", ca, "/etc/brinell/<file>"),
        ("oidc-ca-file", "/etc/brinell/../kubernetes/pki/ca.crt", "/etc/brinell/<file>"),
        ("oidc-ca-file", "../ca.crt", "/etc/brinell/<file>"),
        ("authentication-token-webhook-config-file", "/root/.kube/config", "/etc/brinell/<file>"),
        ("debug-socket-path", "unix:///run/a.sock", "/etc/brinell/<file>"),
    ] {
        let words = flag(name, value).unwrap_or_default();
        assert!(words.contains("settings.yaml:1:") && words.contains(hint), "{name}: {words}");
    }
    for (name, value) in [
        ("anonymous-auth", "false"),
        ("audit-log-truncate-enabled", "true"),
        ("authorization-mode", "Node,RBAC"),
        ("cors-allowed-origins", "//example.com(:|$)"),
        ("oidc-required-claim", "groups=/k8s-admins"),
        ("runtime-config", "admissionregistration.k8s.io/v1beta1=true"),
        ("service-account-issuer", "https://issuer.example.com"),
        ("service-account-lookup", "true"),
        ("tls-cipher-suites", "TLS_AES_128_GCM_SHA256"),
    ] {
        assert_eq!(flag(name, value), None, "{name}");
    }
    // All of them at once: a manifest has many.
    let many =
        told("flags:\n  etcd-servers: a\n  anonymous-auth: \"false\"\n  secure-port: null\n", &[]);
    let many = many.unwrap_or_default();
    assert!(many.contains("settings.yaml:2:17") && many.contains("settings.yaml:4:16"), "{many}");

    let plug_in = |configuration: &str| {
        let text = format!(
            "kind: AdmissionConfiguration\nplugins: [{{name: ImagePolicyWebhook, configuration: {{imagePolicy: {configuration}}}}}]\n"
        );
        told("files: [a.yaml]", &[("a.yaml", &text)])
    };
    let words = plug_in(&format!("{{kubeConfigFile: {ca}}}")).unwrap_or_default();
    assert!(words.contains("a.yaml:2:") && words.contains("ca.crt` is not handed in"), "{words}");
    assert_eq!(plug_in("{kubeConfigFile: /etc/brinell/b.yaml}"), None);
    let paths = "kind: AuthenticationConfiguration\nanonymous: {enabled: true, conditions: [{path: /livez}]}\n";
    assert_eq!(told("files: [a.yaml]", &[("a.yaml", paths)]), None);
}
