//! Sending attacks and permits. One file per action; each returns what was sent, what came back, and what the
//! admin saw afterwards. Nothing else in brinell sends an attack.

mod answer;
mod audit_log;
mod connect;
mod doors;
mod ephemeral;
mod etcd;
mod grants;
mod http;
mod identity;
mod kubelet;
mod ledger;
mod mutation;
mod pod;
mod request;
mod review;
mod rights;
mod stream;
mod wire;
mod workload;

pub use doors::closed;
pub use identity::{Identity, IdentityError};
pub use kubelet::asked_node;
pub use ledger::Ledger;
pub use wire::Wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::audit::LogError;
use crate::catalog::{KnownRights, Target};
use crate::cluster::{AUDIT_ID, Access, ClusterError, ServerSettings, Sight};
use crate::lock::lock;
use crate::model::{
    Action, Answer, AuditLogSearch, CONTROLLER_MANAGER, Door, Effect, Event, Need, Sent, Silence,
};
use crate::pod::probe::{EtcdAnswer, NoAnswer};

/// All that actions know of a cluster.
#[derive(Clone)]
pub struct World {
    /// The ways in to it.
    pub access: Access,
    /// What can be seen of it past its API server.
    pub sight: Sight,
    /// The value that must be found neither in etcd nor in the audit log.
    pub canary: String,
    /// What is dangerous, and who is promised what.
    pub rights: Arc<KnownRights>,
    /// The doors that do not lead to the API server, and what shows it.
    pub closed: Arc<BTreeMap<Door, String>>,
    /// The pods with more than one container.
    pub crowds: Crowds,
}

/// The pods of targets, by namespace and name, that have more than one container there: a cluster may put a sidecar
/// beside ours.
#[derive(Clone, Default)]
pub struct Crowds(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Crowds {
    /// Takes a pod into account as it is there.
    pub fn see(&self, pod: &Pod) {
        let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
        let place = (pod.namespace().unwrap_or_default(), pod.name_any());
        let mut crowds = lock(&self.0);
        match containers > 1 {
            true => crowds.insert(place),
            false => crowds.remove(&place),
        };
    }

    fn has(&self, namespace: &str, name: &str) -> bool {
        let crowds = lock(&self.0);
        crowds.contains(&(namespace.to_owned(), name.to_owned()))
    }
}

impl World {
    /// Sends a marked request with this Audit-ID and waits until it is in the log, which holds then whatever was
    /// answered before.
    ///
    /// # Errors
    /// When it is not answered, or does not come.
    pub async fn fence(&self, audit_id: &str) -> Result<(), LogError> {
        let Some(log) = &self.sight.log else { return Ok(()) };
        let in_order = || self.sight.disorder().map_or(Ok(()), |why| Err(LogError::Disorder(why)));
        in_order()?;
        let unsent = |source| LogError::Unsent { fence: audit_id.to_owned(), source };
        let request = ::http::Request::get(self.sight.fence)
            .header(AUDIT_ID, audit_id)
            .body(kube::client::Body::empty())
            .map_err(|error| unsent(kube::Error::HttpError(error)))?;
        // Any answer will do: each comes with an audit event.
        self.access.admin.send(request).await.map_err(unsent)?;
        log.wait_for(audit_id, log.patience()).await?;
        // What was lost meanwhile was told before the marked request came.
        in_order()
    }

    /// How the API server was started.
    fn settings(&self) -> Result<&ServerSettings, ActionError> {
        self.sight.settings.as_ref().ok_or(ActionError::Unmet(Need::Settings))
    }

    /// What is stored below a prefix.
    async fn stored(&self, prefix: &str) -> Result<EtcdAnswer, ActionError> {
        let etcd = self.sight.etcd.as_ref().ok_or(ActionError::Unmet(Need::Etcd))?;
        let unread = |none: NoAnswer| format!("etcd could not be read: {}", none.text);
        let read = etcd.read(prefix, &self.canary).await?;
        read.map_err(|none| ActionError::Missing(unread(none)))
    }
}

/// One sending: who, where, and under which id.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The cluster.
    pub world: &'a World,
    /// Who acts.
    pub identity: &'a Identity,
    /// By which connection; `None` where any will do.
    pub wire: Option<&'a Wire>,
    /// On what, where the action names nothing itself.
    pub target: &'a Target,
    /// Which way.
    pub door: Door,
    /// Finds the request in the audit log.
    pub audit_id: &'a str,
    /// Names the scenario in the audit log, for people.
    pub user_agent: &'a str,
    /// What the attempts of its scenario make.
    pub ledger: &'a Ledger,
    /// Whether what it makes stays for the attempts after it, until its scenario ends.
    pub stays: bool,
}

/// What was observed of one sending.
pub struct Observation {
    /// What was sent.
    pub sent: Sent,
    /// What came back.
    pub answer: Answer,
    /// What the admin saw afterwards.
    pub effect: Effect,
    /// How the events of a controller that acted for it are known; `None` if none did.
    pub traced: Option<Traced>,
}

impl Observation {
    /// What was observed where the admin has nothing to look at afterwards.
    fn of(sent: Sent, answer: Answer) -> Observation {
        Observation { sent, answer, effect: Effect::NotApplicable, traced: None }
    }
}

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

/// An action could not be carried out or observed: nothing is known of the cluster's answer.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The scenario names no pod and its target has none.
    #[error("the target has no pod, and the action names none")]
    NoPod,
    /// The admin could not look.
    #[error("the admin could not look: {}", crate::text::api_words(.0))]
    Look(#[from] kube::Error),
    /// What leads past the API server failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster has not what the action needs.
    #[error("it needs {0}, which is not there")]
    Unmet(Need),
    /// A probe answered what cannot be understood.
    #[error("the probe answered {answer:?}, which is not understood")]
    Probe {
        /// Its answer's start.
        answer: String,
    },
    /// What an attempt may make could not be written down.
    #[error("what it may make could not be written down in the run's folder, and is not sent: {0}")]
    Unwritten(std::io::Error),
    /// Something else that was needed did not come.
    #[error("{0}")]
    Missing(String),
}

impl Attempt<'_> {
    /// Sends the action through this attempt's door.
    pub async fn send(&self, action: &Action) -> Result<Observation, ActionError> {
        match action {
            Action::Exec(exec) => stream::exec(self, exec).await,
            Action::Attach(attach) => stream::attach(self, attach).await,
            Action::PortForward(forward) => stream::port_forward(self, forward).await,
            Action::Ephemeral(ephemeral) => ephemeral::send(self, ephemeral).await,
            Action::Pod(pod) => pod::send(self, pod).await,
            Action::Request(request) => request::send(self, request).await,
            Action::Connect(connect) => connect::connect(self, connect).await,
            Action::Resolve(resolve) => connect::resolve(self, resolve).await,
            Action::Kubelet(kubelet) => kubelet::send(self, kubelet).await,
            Action::Etcd(etcd) => etcd::read(self, etcd).await,
            Action::AuditLog(AuditLogSearch {}) => audit_log::search(self).await,
            Action::Grants(grants) => grants::review(self, grants).await,
            Action::Review(review) => review::read(self, review).await,
            Action::Rights(rights) => rights::ask(self, rights).await,
        }
    }

    fn pod<'b>(&'b self, named: Option<&'b String>) -> Result<&'b str, ActionError> {
        named.map(String::as_str).or(self.target.pod()).ok_or(ActionError::NoPod)
    }

    /// The container of ours that is meant where none is named and the pod has more, as kubectl names it.
    fn container(&self, namespace: &str, pod: &str) -> Option<&str> {
        let is_crowd = self.world.crowds.has(namespace, pod);
        self.target.container(namespace, pod).filter(|_| is_crowd)
    }

    /// A name that no other attempt uses.
    fn unique(&self) -> String {
        format!("attack-{}", self.audit_id)
    }

    fn sent(&self, method: &str, uri: &str, verb: &str) -> Sent {
        Sent {
            persona: self.identity.name.clone(),
            user: self.identity.user.clone(),
            impersonated: self.identity.impersonated.clone(),
            door: self.door,
            method: method.to_owned(),
            uri: uri.to_owned(),
            verb: Some(verb.to_owned()),
            audit_id: Some(self.audit_id.to_owned()),
            body: false,
        }
    }

    /// What goes past the API server: no verb, no event.
    fn sent_past(&self, method: &str, uri: String) -> Sent {
        Sent {
            verb: None,
            audit_id: None,
            user: None,
            impersonated: None,
            ..self.sent(method, &uri, "")
        }
    }
}

/// That nothing came back, as our probe tells it; whether anybody listens is for the caller to show.
fn silence(none: NoAnswer) -> Silence {
    Silence { kind: none.silence, text: none.text, listener_proven: false }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::audit::AuditLog;
    use crate::catalog::Document;
    use crate::cluster::{FENCE, Servers};
    use crate::model::Persona;

    /// A world whose API server answers everything, with this log.
    fn world(log: AuditLog) -> World {
        let answer = tower::service_fn(|_: ::http::Request<kube::client::Body>| {
            std::future::ready(Ok::<_, Infallible>(::http::Response::new(
                kube::client::Body::empty(),
            )))
        });
        let access = Access::of(kube::Client::new(answer, "default"));
        let sight = Sight {
            log: Some(log),
            command: None,
            fence: FENCE,
            node: None,
            etcd: None,
            servers: Servers::Unknown,
            settings: None,
            controllers: true,
        };
        let (rights, closed) = (Arc::default(), Arc::default());
        World { access, sight, canary: String::new(), rights, closed, crowds: Crowds::default() }
    }

    #[tokio::test]
    async fn what_is_lost_while_a_marked_request_is_waited_for_is_no_more_proved_absent() {
        let event = |id: &str| {
            json!({
                "auditID": id, "level": "Metadata", "stage": "ResponseComplete", "verb": "get",
                "requestURI": "/x", "user": {"username": "u"},
            })
            .to_string()
        };
        let torn = &event("k7f3-1")[..60];
        for (before, is_proved) in
            [("{\"auditID\":\"other".to_owned(), true), (torn.to_owned(), false)]
        {
            let (mut writer, reader) = tokio::io::duplex(4096);
            let log = AuditLog::new("k7f3", "c4n4ry");
            let (world, reading) = (world(log.clone()), async { log.read(reader).await });
            let text = format!("{before}\n{}\n", event("k7f3-2"));
            // The marked request is sent before anything is in the log.
            let (fenced, ()) = tokio::join!(world.fence("k7f3-2"), async {
                writer.write_all(text.as_bytes()).await.expect("written");
                drop(writer);
                reading.await;
            });
            assert_eq!(fenced.is_ok(), is_proved, "{fenced:?}");
        }
    }

    /// Who puts a sidecar beside it leaves two containers, of which none is meant where none is named. Beside none it stays
    /// unnamed: a guard that goes by the name sees nothing then.
    #[tokio::test]
    async fn the_container_of_the_target_is_named_where_a_sidecar_stands_beside_it() {
        let pod = json!({
            "kind": "Pod", "metadata": {"namespace": "a", "name": "p"}, "spec": {"containers": [{"name": "app"}]},
        });
        let crowd = |containers: serde_json::Value| {
            let pod = json!({"metadata": {"namespace": "a", "name": "p"}, "spec": {"containers": containers}});
            serde_json::from_value::<Pod>(pod).expect("a pod")
        };
        let target = Target {
            objects: vec![Document { file: String::new(), object: pod }],
            namespace: "a".to_owned(),
            pods: vec![("a".to_owned(), "p".to_owned())],
            ..Target::default()
        };
        let world = world(AuditLog::new("k7f3", "c4n4ry"));
        let identity = Identity::of("nobody", &Persona::Anonymous, &world.access).await;
        let attempt = Attempt {
            world: &world,
            identity: &identity.expect("nobody needs credentials"),
            wire: None,
            target: &target,
            door: Door::PostSpdy,
            audit_id: "k7f3-1",
            user_agent: "test",
            ledger: &Ledger::new(&world.access, "k7f3", "1", None),
            stays: false,
        };
        let unnamed = async || {
            let exec = serde_json::from_value(json!({"exec": {"command": ["id"]}}));
            attempt.send(&exec.expect("an action")).await.expect("sent").sent.uri
        };
        assert!(unnamed().await.contains("command=id&stderr"));
        world.crowds.see(&crowd(json!([{"name": "mesh"}, {"name": "app"}])));
        for (action, expected) in [
            (json!({"exec": {"command": ["id"]}}), "command=id&container=app&"),
            (json!({"exec": {"command": ["id"], "container": "other"}}), "&container=other&"),
            (
                json!({"exec": {"command": ["id"], "namespace": "b"}}),
                "exec?command=id&stderr=true&",
            ),
            (json!({"attach": {}}), "attach?container=app&"),
            (json!({"attach": {"pod": "q"}}), "attach?stderr=true&"),
        ] {
            let action: Action = serde_json::from_value(action).expect("an action");
            // Nobody answers: what was sent is what counts.
            let sent = attempt.send(&action).await.expect("sent").sent;
            assert!(sent.uri.contains(expected), "{}", sent.uri);
        }
        world.crowds.see(&crowd(json!([{"name": "app"}])));
        assert!(unnamed().await.contains("command=id&stderr"));
    }

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
            crate::merge::lay_over(&mut event, &over);
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
