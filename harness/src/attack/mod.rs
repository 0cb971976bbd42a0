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
use crate::model::{Action, Answer, AuditLogSearch, Door, Effect, Need, Sent, Silence, Traced};
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
    /// Sends a marked request and waits until it is in the log, which holds then whatever was answered before. Returns
    /// its Audit-ID, which is empty where there is no log.
    ///
    /// # Errors
    /// When it is not answered, or does not come, or shows nothing.
    pub async fn fence(&self) -> Result<String, LogError> {
        let Some(log) = &self.sight.log else { return Ok(String::new()) };
        let in_order = || self.sight.disorder().map_or(Ok(()), |why| Err(LogError::Disorder(why)));
        // After a loss what comes is still true, and comes before the marked request.
        if !log.is_in_order() || self.sight.is_joined() {
            in_order()?;
        }
        let fence = log.fence_id();
        let unsent = |source| LogError::Unsent { fence: fence.clone(), source };
        let request = ::http::Request::get(self.sight.fence)
            .header(AUDIT_ID, &fence)
            .body(kube::client::Body::empty())
            .map_err(|error| unsent(kube::Error::HttpError(error)))?;
        // Any answer will do: each comes with an audit event.
        self.access.admin.send(request).await.map_err(unsent)?;
        log.wait_for(&fence, log.patience()).await?;
        // What was lost meanwhile was told before the marked request came.
        in_order()?;
        Ok(fence)
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

    use super::*;
    use crate::audit::AuditLog;
    use crate::catalog::Document;
    use crate::cluster::Servers;
    use crate::model::Persona;
    use serde_json::json;

    /// A world whose API server answers everything, with this log.
    fn world(log: AuditLog) -> World {
        answering(log, |_| {})
    }

    /// The same whose API server tells of each request.
    fn answering(
        log: AuditLog,
        tell: impl Fn(&::http::Request<kube::client::Body>) + Send + Sync + 'static,
    ) -> World {
        let answer = tower::service_fn(move |request: ::http::Request<kube::client::Body>| {
            tell(&request);
            std::future::ready(Ok::<_, Infallible>(::http::Response::new(
                kube::client::Body::empty(),
            )))
        });
        let access = Access::of(kube::Client::new(answer, "default"));
        let sight = Sight { log: Some(log), ..Sight::of(Servers::Unknown) };
        let (rights, closed) = (Arc::default(), Arc::default());
        World { access, sight, canary: String::new(), rights, closed, crowds: Crowds::default() }
    }

    /// A line of the log.
    fn event(id: &str) -> String {
        let event = json!({
            "auditID": id, "level": "Metadata", "stage": "ResponseComplete", "verb": "get",
            "requestURI": "/x", "user": {"username": "u"},
        });
        format!("{event}\n")
    }

    /// What becomes of a marked request when this is in the log before it is sent, and this before its event. Returns
    /// also how many events of the last attempt are there then.
    async fn fenced(earlier: &str, before: &str) -> (Result<String, LogError>, usize) {
        let log = AuditLog::new("k7f3", "c4n4ry");
        log.read_through(earlier.as_bytes()).await.expect("read");
        let (marked, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let world = answering(log.clone(), move |request| {
            marked.send(request.headers()[AUDIT_ID].clone()).expect("heard");
        });
        let known = log.clone();
        let fencing = async move {
            let fenced = world.fence().await;
            (fenced, known.events(LAST).len())
        };
        let writing = async {
            // Where none is sent, the world is gone.
            let Some(id) = asked.recv().await else { return };
            let text = format!("{before}{}", event(id.to_str().expect("an id")));
            log.read_through(text.as_bytes()).await.expect("read");
        };
        let (fenced, ()) = tokio::join!(fencing, writing);
        fenced
    }

    /// The last attempt.
    const LAST: &str = "k7f3-100";

    /// Who needs no credentials, and the ledger of what they try.
    async fn nobody(world: &World) -> (Identity, Ledger) {
        let identity = Identity::of("nobody", &Persona::Anonymous, &world.access).await;
        let ledger = Ledger::new(&world.access, "k7f3", "1", None);
        (identity.expect("nobody needs credentials"), ledger)
    }

    fn attempt<'a>(
        world: &'a World,
        identity: &'a Identity,
        target: &'a Target,
        ledger: &'a Ledger,
    ) -> Attempt<'a> {
        Attempt {
            world,
            identity,
            wire: None,
            target,
            door: Door::PostSpdy,
            audit_id: "k7f3-1",
            user_agent: "test",
            ledger,
            stays: false,
        }
    }

    /// Nothing of it is there afterwards, so that its answer alone shows what mutations leave of it.
    #[tokio::test]
    async fn a_dry_run_of_a_pod_shows_whether_a_mutation_defuses_it() {
        let (world, target) = (world(AuditLog::new("k7f3", "c4n4ry")), Target::default());
        let (identity, ledger) = nobody(&world).await;
        let effect = async |answered: serde_json::Value| {
            let answer = tower::service_fn(move |request: ::http::Request<kube::client::Body>| {
                let is_whole = request.headers()["Accept"] == "application/json";
                let metadata = json!({"kind": "PartialObjectMetadata"});
                let body = if is_whole { &answered } else { &metadata }.to_string().into_bytes();
                std::future::ready(Ok::<_, Infallible>(::http::Response::new(
                    kube::client::Body::from(body),
                )))
            });
            let mut identity = identity.clone();
            identity.client = kube::Client::new(answer, "default");
            let attempt = attempt(&world, &identity, &target, &ledger);
            let body = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"hostPID": true}});
            let path = "/api/v1/namespaces/a/pods?dryRun=All";
            let action = json!({"request": {"method": "POST", "path": path, "body": body}});
            let action = serde_json::from_value(action).expect("an action");
            Attempt { door: Door::Direct, ..attempt }.send(&action).await.expect("sent").effect
        };
        let pod = |spec: serde_json::Value| json!({"kind": "Pod", "spec": spec});
        let words = "it would be made without the spec.hostPID that was asked for";
        assert_eq!(effect(pod(json!({}))).await, Effect::Changed(words.to_owned()));
        let as_asked = pod(json!({"hostPID": true, "dnsPolicy": "ClusterFirst"}));
        assert_eq!(effect(as_asked).await, Effect::NotApplicable);
        let refused = json!({"kind": "Status", "message": "no"});
        assert_eq!(effect(refused).await, Effect::NotApplicable);
    }

    #[tokio::test]
    async fn what_is_lost_while_a_marked_request_is_waited_for_is_no_more_proved_absent() {
        let torn = &event("k7f3-1")[..60];
        for (before, is_proved) in [("{\"auditID\":\"other", true), (torn, false)] {
            let (fenced, _) = fenced("", &format!("{before}\n")).await;
            assert_eq!(fenced.is_ok(), is_proved, "{fenced:?}");
        }
    }

    /// What comes later is true all the same, and would not be there yet.
    #[tokio::test]
    async fn what_was_lost_before_lets_nobody_wait_less() {
        let torn = format!("{}\n", &event("k7f3-1")[..60]);
        let (fenced, events) = fenced(&torn, &event(LAST)).await;
        assert!(matches!(fenced, Err(LogError::Disorder(_))), "{fenced:?}");
        assert_eq!(events, 1);
    }

    /// Anybody can send a request with any Audit-ID.
    #[tokio::test]
    async fn nobody_knows_the_id_of_a_marked_request_before_it_is_sent() {
        let forged = |number| [format!("k7f3-{number}"), format!("k7f3-{number}-fence")];
        let forged: String = (1..100).flat_map(forged).map(|id| event(&id)).collect();
        let (fenced, events) = fenced(&forged, &event(LAST)).await;
        assert_eq!((events, fenced.is_ok()), (1, true), "{fenced:?}");
        let ids = [0; 2].map(|_| AuditLog::new("k7f3a1", "c4n4ry").fence_id());
        assert_ne!(ids[0], ids[1]);
        // What API servers say themselves has no more of an id (`GetAuditIDTruncated` in `k8s.io/apiserver/pkg/audit`).
        assert!(ids[0].starts_with("k7f3a1-") && ids[0].len() <= 64, "{ids:?}");
    }

    /// Who puts a sidecar beside it leaves two containers, of which none is meant where none is named. Beside none it
    /// stays unnamed: a guard that goes by the name sees nothing then.
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
        let (identity, ledger) = nobody(&world).await;
        let attempt = attempt(&world, &identity, &target, &ledger);
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
}
