//! What serves in the place of a Deployment where no pod runs, and what of a weakening it cannot show.

use serde_json::Value;

use super::{Lacks, Planned, SetUp, Weakened, identity};
use crate::model::{Need, WebhookServer};

impl Planned {
    /// What a weakening changes of the pods in whose place something serves where none runs, but for how many there are: the
    /// Deployment, or a ConfigMap or Secret that it gives them. What serves in their place stays the same.
    pub fn changes_what_is_served(&self, weakened: &Weakened, lacks: &Lacks) -> Option<String> {
        if !lacks.needs.contains(&Need::RealNode) {
            return None;
        }
        let changed = |server: &WebhookServer| {
            let deployment = format!("Deployment/{}", server.deployment);
            // Where there is none, nothing serves.
            let given = given(&but_replicas(&weakened.set_up, &deployment)?);
            let differs = |name: &String| {
                but_replicas(&weakened.set_up, name) != but_replicas(&self.set_up, name)
            };
            [deployment].into_iter().chain(given).find(differs)
        };
        self.control.control.servers.iter().find_map(changed)
    }
}

/// An object of this identity, without how many pods it has.
fn but_replicas(set_up: &SetUp, name: &str) -> Option<Value> {
    let found = set_up.objects.iter().find(|it| identity(&it.object) == name)?;
    let mut object = found.object.clone();
    object["spec"]["replicas"] = Value::Null;
    Some(object)
}

/// The ConfigMaps and Secrets that a Deployment gives its pods, in volumes and in their environment, by their identity.
fn given(deployment: &Value) -> Vec<String> {
    let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut given = Vec::new();
    collect(&deployment["spec"]["template"]["spec"], namespace, &mut given);
    given
}

fn collect(part: &Value, namespace: &str, given: &mut Vec<String>) {
    let fields = part.as_object().into_iter().flatten();
    for (key, value) in fields {
        let kind = match key.as_str() {
            "configMap" | "configMapRef" | "configMapKeyRef" => Some("ConfigMap"),
            "secret" | "secretRef" | "secretKeyRef" => Some("Secret"),
            _ => None,
        };
        let name = value["name"].as_str().or_else(|| value["secretName"].as_str());
        let named = kind.zip(name).map(|(kind, name)| format!("{kind}/{namespace}/{name}"));
        given.extend(named);
        collect(value, namespace, given);
    }
    let items = part.as_array().into_iter().flatten();
    items.for_each(|item| collect(item, namespace, given));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_deployment_gives_its_pods_is_found_wherever_it_is_named() {
        let from =
            |field: &str, key: &str| json!({"valueFrom": {field: {"name": key, "key": "a"}}});
        let deployment = json!({"metadata": {"namespace": "labels"}, "spec": {"template": {"spec": {
            "volumes": [
                {"configMap": {"name": "rules"}},
                {"secret": {"secretName": "tls"}},
                {"projected": {"sources": [{"secret": {"name": "more"}}]}},
            ],
            "containers": [{
                "name": "labels",
                "env": [from("configMapKeyRef", "one"), from("secretKeyRef", "word")],
                "envFrom": [{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "words"}}],
            }],
        }}}});
        let mut found = given(&deployment);
        found.sort();
        let expected = [
            "ConfigMap/labels/all",
            "ConfigMap/labels/one",
            "ConfigMap/labels/rules",
            "Secret/labels/more",
            "Secret/labels/tls",
            "Secret/labels/word",
            "Secret/labels/words",
        ];
        assert_eq!(found, expected);
    }
}
