//! Objects of a run's that somebody else deletes or keeps.

use brinell::model::Verdict;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{EvictParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Open, attempts};

/// What could not be tried on them was not refused, and did not stop working.
pub(super) fn pods_that_somebody_evicts_are_no_pass(open: &Open) {
    let (told, ran) = open.run_while(evict_all);
    assert!(open.assert_true(&told) > 0, "{ran:?}");
    let unknown = attempts(&told).filter(|it| it.judgement.verdict == Verdict::Inconclusive);
    for attempt in unknown {
        assert!(!attempt.judgement.causes.is_empty(), "{attempt:?}");
    }
}

/// Evicts every pod in a namespace of a run's.
fn evict_all(open: &Open) {
    let held = &open.held;
    for namespace in open.namespaces() {
        let pods = Api::<Pod>::namespaced(held.client.clone(), &namespace);
        held.runtime.block_on(async {
            for pod in pods.list(&ListParams::default()).await.into_iter().flatten() {
                // Somebody else may have been there before.
                let _ = pods.evict(&pod.name_any(), &EvictParams::default()).await;
            }
        });
    }
}

/// Somebody's finalizer keeps an object of a namespace, and so the namespace.
pub(super) fn a_namespace_that_stays_is_named_and_swept_later(open: &Open) {
    let mut kept = String::new();
    let (told, ran) = open.run("admin", || {
        kept = open.namespaces().into_iter().next().expect("namespaces of the run's");
        open.held.apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kept", "namespace": kept, "finalizers": ["example.com/theirs"]},
        }));
    });
    assert_eq!(open.assert_true(&told), 0);
    let summary = told.summary.as_ref().expect("an end");
    assert!(summary.left_behind && ran.code == Some(1), "{ran:?}");
    for words in [&*kept, "example.com/theirs", "brinell sweep"] {
        assert!(summary.tidy.contains(words), "{words}: {summary:?}");
    }
    assert_eq!(open.namespaces(), [&*kept], "{ran:?}");
    let maps = Api::<ConfigMap>::namespaced(open.held.client.clone(), &kept);
    let let_go = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let patching = async { maps.patch("kept", &PatchParams::default(), &let_go).await };
    open.held.runtime.block_on(patching).expect("patched");
    let swept = open.sweep();
    assert_eq!(swept.code, Some(0), "{swept:?}");
    assert_eq!(open.namespaces(), [""; 0], "{swept:?}");
}
