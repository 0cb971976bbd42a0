//! How the events are known that a controller leaves which acts for an attempt.

use super::{CONTROLLER_MANAGER, Event};

/// How events of a controller that acts for an attempt are known.
#[derive(Debug, Clone)]
pub struct Traced {
    /// Who acts, where controllers have accounts of their own.
    pub user: String,
    /// Where.
    pub namespace: String,
    /// What is made.
    pub resource: &'static str,
    /// The attempt, whose label what is made carries.
    pub attempt: String,
    /// The workload, with whose name that of what is made begins.
    pub name: String,
}

impl Traced {
    /// Whether an event is such a trace. A success without a body shows neither label nor name where the API server completed
    /// the name (measured on 1.36.3): it may be one, and as well another attempt's.
    pub fn matches(&self, event: &Event) -> bool {
        self.is_by_controller(event) && (self.names(event) || event.is_nameless())
    }

    /// Whether an event is shown to be such a trace. A body shows the label, a refusal the name.
    pub fn is_shown_by(&self, event: &Event) -> bool {
        self.is_by_controller(event) && self.names(event)
    }

    fn is_by_controller(&self, event: &Event) -> bool {
        [&self.user, CONTROLLER_MANAGER].contains(&&*event.user.username)
            && event.verb == "create"
            && event.object_ref.as_ref().is_some_and(|object| {
                object.resource == self.resource
                    && object.subresource.is_empty()
                    && object.namespace == self.namespace
            })
    }

    fn names(&self, event: &Event) -> bool {
        // Without the hyphen attempt 1 would find the traces of attempt 12.
        let below = format!("{}-", self.name);
        let message = event.response_status.as_ref().map(|status| status.message.as_str());
        event.attempt.as_ref() == Some(&self.attempt)
            || event.object_ref.as_ref().is_some_and(|object| object.name.starts_with(&below))
            || message.is_some_and(|words| words.contains(&format!("\"{below}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::merge::lay_over;

    #[test]
    fn a_trace_belongs_to_one_attempt() {
        let traced = Traced {
            user: "c".to_owned(),
            namespace: "a".to_owned(),
            resource: "pods",
            attempt: "k7f3-1".to_owned(),
            name: "attack-k7f3-1".to_owned(),
        };
        let event = |over: serde_json::Value| -> Event {
            let mut event = json!({
                "auditID": "x", "level": "Metadata", "stage": "ResponseComplete", "verb": "create",
                "requestURI": "/api/v1/namespaces/a/pods", "user": {"username": "c"},
                "objectRef": {"resource": "pods", "namespace": "a"},
                "responseStatus": {"code": 403},
            });
            lay_over(&mut event, &over);
            serde_json::from_value(event).unwrap()
        };
        let refused = |pod: &str| json!({"responseStatus": {"message": format!("pods \"{pod}\" is forbidden: no")}});
        let own = refused("attack-k7f3-1-5d-x");
        for over in [
            own.clone(),
            json!({"attempt": "k7f3-1"}),
            json!({"attempt": "k7f3-1", "user": {"username": "system:kube-controller-manager"}}),
            json!({"objectRef": {"name": "attack-k7f3-1-0"}}),
            json!({"responseStatus": {"code": 201}}),
        ] {
            assert!(traced.matches(&event(over.clone())), "{over}");
            // Which attempt's it is, a success does not show that has neither name nor body.
            let is_shown = over != json!({"responseStatus": {"code": 201}});
            assert_eq!(traced.is_shown_by(&event(over.clone())), is_shown, "{over}");
        }
        for over in [
            json!({}),
            refused("attack-k7f3-12-5d-x"),
            json!({"attempt": "k7f3-12"}),
            json!({"responseStatus": {"code": 201}, "attempt": "k7f3-12"}),
            json!({"responseStatus": {"code": 201}, "requestObject": {}}),
            json!({"objectRef": {"name": "attack-k7f3-12-0"}}),
            json!({"attempt": "k7f3-1", "user": {"username": "d"}}),
            json!({"attempt": "k7f3-1", "verb": "patch"}),
            json!({"attempt": "k7f3-1", "objectRef": {"resource": "replicasets"}}),
            json!({"attempt": "k7f3-1", "objectRef": {"subresource": "binding"}}),
            json!({"attempt": "k7f3-1", "objectRef": {"namespace": "b"}}),
        ] {
            assert!(!traced.matches(&event(over.clone())), "{over}");
        }
    }
}
