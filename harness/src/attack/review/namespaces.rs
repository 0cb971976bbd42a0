//! Namespaces, with what Pod Security enforces in each: its label, or else the default that the API server is set to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::{all_read, file, flaw, texts};
use crate::attack::ActionError;
use crate::cluster::ServerSettings;
use crate::cluster::all;
use crate::model::{Flaw, NamespaceReview, Reviewed, Standard};

/// The flag that names the AdmissionConfiguration.
const ADMISSION: &str = "admission-control-config-file";

/// The plug-in, as flags and the AdmissionConfiguration name it.
const PLUG_IN: &str = "PodSecurity";

const LEVEL: &str = "pod-security.kubernetes.io/enforce";
const VERSION: &str = "pod-security.kubernetes.io/enforce-version";

/// What decides where a namespace says nothing, and whom it does not concern. Kubernetes' own are those of
/// `Default`: <https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-admission-controller/>.
#[derive(Debug, Default)]
struct Defaults {
    level: Option<String>,
    version: Option<String>,
    users: Vec<String>,
    runtime_classes: Vec<String>,
    namespaces: Vec<String>,
    is_off: bool,
}

/// Reads the API server's settings, and every namespace.
pub(super) async fn read(
    admin: &Client,
    settings: &ServerSettings,
    review: &NamespaceReview,
) -> Result<Reviewed, ActionError> {
    let namespaces = all::<Namespace>(admin).await?;
    let labels = namespaces.iter().map(|it| (it.name_any(), it.labels().clone())).collect();
    Ok(match defaults(settings) {
        Ok(defaults) => all_read(namespaces.len(), flaws(&labels, &defaults, review)),
        Err(why) => Reviewed { unread: vec![why], ..Reviewed::default() },
    })
}

fn defaults(settings: &ServerSettings) -> Result<Defaults, String> {
    let off = settings.flags.get("disable-admission-plugins");
    let is_off = off.is_some_and(|names| names.split(',').any(|name| name == PLUG_IN));
    let admission = file(settings, ADMISSION)?.unwrap_or_default();
    let plug_ins = admission["plugins"].as_array().into_iter().flatten();
    let Some(plug_in) = plug_ins.into_iter().find(|it| it["name"] == PLUG_IN) else {
        return Ok(Defaults { is_off, ..Defaults::default() });
    };
    let configuration = &plug_in["configuration"];
    if !configuration.is_object() {
        return Err(format!("--{ADMISSION}: the configuration of {PLUG_IN} is in another file"));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = |value: &Value| texts(value).map(str::to_owned).collect();
    let exempt = &configuration["exemptions"];
    Ok(Defaults {
        level: text(&configuration["defaults"]["enforce"]),
        version: text(&configuration["defaults"]["enforce-version"]),
        users: list(&exempt["usernames"]),
        runtime_classes: list(&exempt["runtimeClasses"]),
        namespaces: list(&exempt["namespaces"]),
        is_off,
    })
}

fn flaws(
    namespaces: &BTreeMap<String, BTreeMap<String, String>>,
    defaults: &Defaults,
    review: &NamespaceReview,
) -> Vec<Flaw> {
    let flag = format!("--{ADMISSION}");
    if defaults.is_off {
        let follows = "no namespace refuses any pod, whatever its labels say: take the node by a privileged one";
        return vec![flaw("--disable-admission-plugins", "", PLUG_IN, follows)];
    }
    let mut found = Vec::new();
    found.extend(defaults.users.iter().map(|user| {
        let follows = "whoever acts as this user, or makes it act, creates every pod: a controller does for everybody \
                       who may create its workloads";
        flaw(&flag, "exemptions.usernames", user, follows)
    }));
    found.extend(defaults.runtime_classes.iter().map(|class| {
        let follows = "a pod names its runtime class itself: name this one, and be exempt";
        flaw(&flag, "exemptions.runtimeClasses", class, follows)
    }));
    let meant = namespaces.iter().filter(|(name, _)| !review.except.contains(name));
    for (name, labels) in meant {
        found.extend(exempt(&flag, name, defaults));
        found.extend(below(&flag, name, labels, defaults, review.standard));
        found.extend(pinned(&flag, name, labels, defaults));
    }
    // A default that is wrong is so for every namespace: it is told once.
    let mut told = Vec::new();
    found.retain(|flaw| {
        let is_new = !told.contains(flaw);
        told.push(flaw.clone());
        is_new
    });
    found
}

fn exempt(flag: &str, name: &str, defaults: &Defaults) -> Option<Flaw> {
    let follows = "it admits every pod, whatever its label says: whoever may create pods there takes the node";
    let is_exempt = defaults.namespaces.iter().any(|it| it == name);
    is_exempt.then(|| flaw(flag, "exemptions.namespaces", name, follows))
}

/// A level that is lower than the one that is asked for.
fn below(
    flag: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
    defaults: &Defaults,
    standard: Standard,
) -> Option<Flaw> {
    let (object, field, level) = match labels.get(LEVEL) {
        Some(level) => (format!("Namespace/{name}"), LEVEL, Some(level)),
        None => match &defaults.level {
            Some(level) => (flag.to_owned(), "defaults.enforce", Some(level)),
            None => (format!("Namespace/{name}"), LEVEL, None),
        },
    };
    // A level that is no level is taken for restricted where it is a label, and is no default.
    let found = match level.map(String::as_str) {
        Some("privileged") | None => Standard::Privileged,
        Some("baseline") => Standard::Baseline,
        Some(_) => Standard::Restricted,
    };
    let follows = match found {
        Standard::Privileged => "every pod is let in: mount the node's root, and be the node",
        Standard::Baseline | Standard::Restricted => {
            "pods run as root with the runtime's capabilities: one hole in the kernel, and be the node"
        }
    };
    let is = level.map_or("not set, and the API server has no default", String::as_str);
    (found < standard).then(|| flaw(&object, field, is, follows))
}

/// A version that stays behind. The default's holds where no label names one, whatever names the level (`PolicyToEvaluate` in
/// `k8s.io/pod-security-admission/api/helpers.go`).
fn pinned(
    flag: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
    defaults: &Defaults,
) -> Option<Flaw> {
    let by_label = labels.get(VERSION);
    let (object, field) = match by_label {
        Some(_) => (format!("Namespace/{name}"), VERSION),
        None => (flag.to_owned(), "defaults.enforce-version"),
    };
    let version = by_label.or(defaults.version.as_ref()).filter(|it| *it != "latest")?;
    let follows = "what later versions forbid stays allowed, today or after the next upgrade: use what is new";
    Some(flaw(&object, field, version, follows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(configuration: &Value, flags: &[(&str, &str)]) -> ServerSettings {
        let file = json!({"kind": "AdmissionConfiguration", "plugins": [
            {"name": "Other"}, {"name": PLUG_IN, "configuration": configuration},
        ]});
        let flags = [(ADMISSION, "/a.yaml")].iter().chain(flags);
        ServerSettings {
            flags: flags.map(|(flag, value)| ((*flag).to_owned(), (*value).to_owned())).collect(),
            files: BTreeMap::from([("/a.yaml".to_owned(), file.to_string())]),
        }
    }

    fn found(labels: &[(&str, &str)], defaults: &Defaults) -> Vec<String> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(text).collect();
        let namespaces = BTreeMap::from([("a".to_owned(), labels)]);
        let review = NamespaceReview { standard: Standard::Restricted, except: Vec::new() };
        let flaws = flaws(&namespaces, defaults, &review);
        flaws
            .into_iter()
            .map(|flaw| format!("{} {} {}", flaw.object, flaw.field, flaw.is))
            .collect()
    }

    fn set(configuration: &Value) -> Defaults {
        defaults(&settings(configuration, &[])).expect("defaults")
    }

    #[test]
    fn the_smallest_namespace_is_right() {
        let default =
            set(&json!({"defaults": {"enforce": "restricted", "enforce-version": "latest"}}));
        assert_eq!(found(&[], &default), [""; 0]);
        assert_eq!(found(&[(LEVEL, "restricted")], &Defaults::default()), [""; 0]);
        assert_eq!(
            found(&[(LEVEL, "restricted"), (VERSION, "latest")], &Defaults::default()),
            [""; 0]
        );
        let pinned =
            set(&json!({"defaults": {"enforce": "restricted", "enforce-version": "v1.30"}}));
        assert_eq!(found(&[(VERSION, "latest")], &pinned), [""; 0]);
    }

    #[test]
    fn what_is_below_the_standard_is_found() {
        let baseline = set(&json!({"defaults": {"enforce": "baseline"}}));
        let restricted = set(&json!({"defaults": {"enforce": "restricted"}}));
        let nothing = Defaults::default();
        let not_set = "not set, and the API server has no default";
        for (labels, defaults, expected) in [
            (&[][..], &nothing, format!("Namespace/a {LEVEL} {not_set}")),
            (
                &[],
                &baseline,
                "--admission-control-config-file defaults.enforce baseline".to_owned(),
            ),
            (&[(LEVEL, "baseline")], &restricted, format!("Namespace/a {LEVEL} baseline")),
            (&[(LEVEL, "privileged")], &restricted, format!("Namespace/a {LEVEL} privileged")),
        ] {
            assert_eq!(found(labels, defaults), [expected]);
        }
    }

    #[test]
    fn a_version_that_stays_behind_is_found() {
        let pinned =
            set(&json!({"defaults": {"enforce": "restricted", "enforce-version": "v1.30"}}));
        let restricted = set(&json!({"defaults": {"enforce": "restricted"}}));
        let flag = "--admission-control-config-file defaults.enforce-version v1.30";
        assert_eq!(found(&[], &pinned), [flag]);
        assert_eq!(found(&[(LEVEL, "restricted")], &pinned), [flag]);
        assert_eq!(
            found(&[(VERSION, "v1.31")], &restricted),
            [format!("Namespace/a {VERSION} v1.31")]
        );
        assert_eq!(
            found(&[(LEVEL, "restricted"), (VERSION, "v1.31")], &restricted),
            [format!("Namespace/a {VERSION} v1.31")]
        );
    }

    #[test]
    fn whoever_is_exempt_is_found() {
        let exempt = |exemptions: Value| {
            let defaults =
                set(&json!({"defaults": {"enforce": "restricted"}, "exemptions": exemptions}));
            found(&[], &defaults)
        };
        let flag = "--admission-control-config-file exemptions";
        assert_eq!(exempt(json!({"namespaces": ["b"]})), [""; 0]);
        assert_eq!(exempt(json!({"namespaces": ["a"]})), [format!("{flag}.namespaces a")]);
        assert_eq!(exempt(json!({"usernames": ["u"]})), [format!("{flag}.usernames u")]);
        assert_eq!(exempt(json!({"runtimeClasses": ["r"]})), [format!("{flag}.runtimeClasses r")]);
    }

    #[test]
    fn a_plug_in_that_is_off_enforces_nothing() {
        let configuration = json!({"defaults": {"enforce": "restricted"}});
        let off = settings(&configuration, &[("disable-admission-plugins", "A,PodSecurity")]);
        let on = settings(&configuration, &[("disable-admission-plugins", "A")]);
        let find = |settings| found(&[], &defaults(settings).expect("defaults"));
        assert_eq!(find(&off), ["--disable-admission-plugins  PodSecurity"]);
        assert_eq!(find(&on), [""; 0]);
    }

    #[test]
    fn a_configuration_that_is_not_known_is_no_right_one() {
        let mut elsewhere = settings(&json!(null), &[]);
        assert!(defaults(&elsewhere).is_err());
        elsewhere.files.clear();
        assert!(defaults(&elsewhere).is_err());
    }
}
