//! What several trials have one after the other. It is made for the first of them and dropped with the last. What it is
//! compared with afterwards is every object of a cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

/// Something that trials share, in turns.
pub struct Shared<T> {
    make: fn() -> T,
    made: Mutex<Option<T>>,
}

impl<T> Shared<T> {
    /// What `make` makes when it is first used.
    pub fn new(make: fn() -> T) -> Arc<Shared<T>> {
        Arc::new(Shared { make, made: Mutex::new(None) })
    }

    /// Uses it alone.
    pub fn with(&self, test: impl FnOnce(&T)) {
        // A trial that panicked has failed by itself, and the others do not rest on it.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        test(made.get_or_insert_with(self.make));
    }
}

/// Every object of a cluster by kind, namespace and name, but of the kinds that it changes by itself.
pub async fn objects(client: &Client, restless: &[&str]) -> BTreeMap<String, Value> {
    let discovery = Discovery::new(client.clone()).run().await.expect("told");
    let kinds = discovery.groups().flat_map(|group| group.recommended_resources());
    let listed = kinds.filter(|(kind, can)| {
        can.supports_operation(verbs::LIST) && !restless.contains(&kind.kind.as_str())
    });
    let mut objects = BTreeMap::new();
    for (kind, _) in listed {
        let api = Api::<DynamicObject>::all_with(client.clone(), &kind);
        for object in api.list(&ListParams::default()).await.expect("listed") {
            let namespace = object.namespace().unwrap_or_default();
            let name = format!("{} {namespace}/{}", kind.kind, object.name_any());
            objects.insert(name, serde_json::to_value(object).expect("JSON"));
        }
    }
    objects
}

/// How long nothing may change on a cluster that has come to rest.
const LOOK: Duration = Duration::from_secs(2);

/// Every object of a cluster that has come to rest. Its controllers follow what is made, and no event says that the
/// last of them has done so.
pub fn settled(objects: impl Fn() -> BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut seen = objects();
    loop {
        std::thread::sleep(LOOK);
        let now = objects();
        if now == seen {
            return now;
        }
        seen = now;
    }
}
