//! Where a pod says what is refused: a policy that looks at one place of several lets it in at the others.

use std::collections::BTreeSet;

use brinell::catalog::{Catalog, Entry};
use brinell::model::{Action, Expectation};
use serde_json::Value;

/// The specs of pods that a scenario makes, and whether each must be refused.
fn specs(entry: &Entry) -> impl Iterator<Item = (&Value, bool)> {
    entry.turns.iter().filter_map(|turn| match &turn.action {
        Action::Pod(pod) => {
            Some((pod.spec.as_ref()?, matches!(turn.expected, Expectation::Blocked(..))))
        }
        _ => None,
    })
}

/// What the containers of a list say of their security, field by field.
fn said(spec: &Value, list: &str) -> BTreeSet<String> {
    let containers = spec[list].as_array().into_iter().flatten();
    let contexts = containers.filter_map(|it| it["securityContext"].as_object());
    contexts.flat_map(|context| context.keys().cloned()).collect()
}

/// What all specs say so that are refused, or that are not.
fn all<'a>(
    specs: impl Iterator<Item = (&'a Value, bool)>,
    refused: bool,
    list: &str,
) -> BTreeSet<String> {
    specs.filter(|(_, it)| *it == refused).flat_map(|(spec, _)| said(spec, list)).collect()
}

/// Whoever goes through `spec.containers` alone does not see an init container, and one that is let in as such shows that
/// nothing else of it was refused.
#[test]
fn what_is_refused_of_a_container_is_tried_in_an_init_container_too() {
    let catalog = Catalog::load(None).expect("our own catalog");
    let mut tried = Vec::new();
    for entry in &catalog.scenarios {
        let refused = all(specs(entry), true, "containers");
        if refused.is_empty() {
            continue;
        }
        tried.push(entry.id.as_str());
        assert!(refused.is_subset(&all(specs(entry), true, "initContainers")), "{}", entry.id);
        let has_init =
            |(spec, is_refused): (&Value, bool)| !is_refused && spec["initContainers"].is_array();
        assert!(specs(entry).any(has_init), "{}: no init container is let in", entry.id);
    }
    assert_eq!(tried, ["pod-as-root", "pod-capabilities", "pod-privileged", "pod-user-namespace"]);
}

/// Whoever reads the pod's securityContext alone does not see a container's, which counts more.
#[test]
fn what_is_refused_of_a_pods_user_is_tried_of_a_containers_too() {
    let catalog = Catalog::load(None).expect("our own catalog");
    let all = |list: &str| all(catalog.scenarios.iter().flat_map(specs), true, list);
    let refused = catalog.scenarios.iter().flat_map(specs).filter(|(_, is_refused)| *is_refused);
    let contexts = refused.filter_map(|(spec, _)| spec["securityContext"].as_object());
    let of_pods: BTreeSet<String> = contexts.flat_map(|it| it.keys().cloned()).collect();
    // A pod has sysctls, and no container.
    let of_both: BTreeSet<String> = of_pods.into_iter().filter(|it| it != "sysctls").collect();
    assert_eq!(of_both.iter().collect::<Vec<_>>(), ["runAsNonRoot", "runAsUser"]);
    assert!(of_both.is_subset(&all("containers")) && of_both.is_subset(&all("initContainers")));
}
