//! Which process of the API server answers, whether one does, and whether it is still the only one.
//!
//! One watch stays open. It ends with the process that answers it, so that whatever was answered while it was open was
//! answered by one process. This holds where each API server has an address of its own. Behind a load balancer another
//! server may answer the next request; there each attempt has a connection of its own (`connection.rs`). Nothing else
//! shows it as cheaply on every version: a lease keeps its holder when its server restarts, and `/metrics`, which holds
//! the start time, takes a tenth of a second to read.
//!
//! What is watched are the leases in kube-system, so that an API server that joins behind the address shows itself. The
//! leases of controllers are among them: where no API server has one, they keep the watch from being silent.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::WatchEvent;
use kube::core::PartialObjectMeta;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{READY, is_ready};
use crate::poll;

/// The label of the leases in kube-system of which each API server has one (KEP-1965).
pub(super) const API_SERVERS: &str = "apiserver.kubernetes.io/identity=kube-apiserver";

/// An API server renews its lease each ten seconds, and whoever leads among Kubernetes' controllers each two, so that
/// the watch is never quiet for long.
const WATCH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases\
                     ?watch=true&resourceVersion=0&timeoutSeconds=86400";

/// How long the watch may be silent before it is taken for broken: the network may be gone without a word.
const SILENCE: Duration = Duration::from_secs(60);

/// How long an API server may take to come back. A kubelet restarts it within 15 to 37 s (measured).
const RETURN: Duration = Duration::from_secs(60);

/// What is known of the API server.
#[derive(Debug, Clone, Copy)]
struct State {
    life: Life,
    /// Whether another one has joined it, which may have answered instead.
    is_joined: bool,
}

/// Whether it lives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    /// It does not answer, or is starting.
    Away,
    /// It answers, and authorization has its rules. Another process has another number.
    Awake(u64),
    /// It has not come back in time, and is not asked any more.
    Lost,
}

/// An API server under watch, until the last copy of this is dropped.
#[derive(Clone)]
pub struct Pulse {
    state: watch::Receiver<State>,
    _watching: Arc<JoinSet<()>>,
}

impl Pulse {
    /// Watches the API server that this client asks, and that has its address for itself.
    pub fn of(client: Client) -> Pulse {
        Pulse::watching(client, None)
    }

    /// Watches the only API server of a cluster, which has the lease of this name: another one that joins may answer at
    /// the same address.
    pub fn of_only(client: Client, lease: String) -> Pulse {
        Pulse::watching(client, Some(lease))
    }

    fn watching(client: Client, only: Option<String>) -> Pulse {
        let (sender, state) = watch::channel(State { life: Life::Away, is_joined: false });
        let mut watching = JoinSet::new();
        watching.spawn(async move { watch(&client, only.as_deref(), &sender).await });
        Pulse { state, _watching: Arc::new(watching) }
    }

    /// The number of the process that is awake; `None` if none is at this moment.
    pub fn process(&self) -> Option<u64> {
        match self.state.borrow().life {
            Life::Awake(process) => Some(process),
            Life::Away | Life::Lost => None,
        }
    }

    /// Whether another API server was seen that was not there at the beginning. From then on nothing shows which of
    /// them answered, even if it is gone again.
    pub fn is_joined(&self) -> bool {
        self.state.borrow().is_joined
    }

    /// Waits until a process is awake, however long that takes.
    pub async fn awake(&self) {
        self.until(|life| matches!(life, Life::Awake(_))).await;
    }

    /// Waits until the API server has been away for so long that it is not expected to come back, and says so.
    pub async fn lost(&self) -> String {
        self.until(|life| life == Life::Lost).await;
        format!("the API server has not answered for {RETURN:?}")
    }

    async fn until(&self, is_seen: impl Fn(Life) -> bool) {
        let mut state = self.state.clone();
        if state.wait_for(|state| is_seen(state.life)).await.is_err() {
            // The watching has ended with the last state, which was another one.
            std::future::pending().await
        }
    }
}

/// Watches the API server until it is lost, and for others than the `only` one that is to be there.
async fn watch(client: &Client, only: Option<&str>, state: &watch::Sender<State>) {
    let mut seen = Instant::now();
    let mut process = 0;
    while seen.elapsed() < RETURN {
        if let Some(events) = open(client).await {
            process += 1;
            state.send_modify(|state| state.life = Life::Awake(process));
            let mut events = std::pin::pin!(events);
            while let Ok(Ok(Some(event))) = tokio::time::timeout(SILENCE, events.try_next()).await {
                if only.is_some_and(|only| is_of_another(&event, only)) {
                    state.send_modify(|state| state.is_joined = true);
                }
            }
            state.send_modify(|state| state.life = Life::Away);
            seen = Instant::now();
        }
        tokio::time::sleep(poll::PAUSE).await;
    }
    state.send_modify(|state| state.life = Life::Lost);
}

/// What is told of a lease.
type Change = WatchEvent<PartialObjectMeta<Lease>>;

/// Whether a lease is an API server's.
fn is_of_api_server(lease: &ObjectMeta) -> bool {
    let labels = lease.labels.iter().flatten();
    labels.map(|(key, value)| format!("{key}={value}")).any(|label| label == API_SERVERS)
}

/// Whether it is another API server's than the one of this lease.
fn is_of_another(change: &Change, only: &str) -> bool {
    match change {
        WatchEvent::Added(lease) | WatchEvent::Modified(lease) | WatchEvent::Deleted(lease) => {
            is_of_api_server(&lease.metadata) && lease.metadata.name.as_deref() != Some(only)
        }
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => false,
    }
}

/// Opens the watch, and sees the process that answers it ready: until its informers are filled a starting one refuses
/// everybody, in the very words of a refusal that is meant (measured). `/readyz` waits for them. It is asked before as
/// well, since a watch that is opened for nothing each time would delay one that starts.
async fn open(client: &Client) -> Option<impl Stream<Item = Result<Change, kube::Error>>> {
    let ready = async || is_ready(client, READY).await.ok().filter(|ready| *ready);
    ready().await?;
    let request = http::Request::get(WATCH).body(Vec::new()).ok()?;
    let events = client.request_events(request).await.ok()?;
    ready().await.map(|_| events)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use futures::StreamExt;
    use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty, StreamBody};
    use hyper::body::{Bytes, Frame};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A client of an API server that is ready, and whose first watch tells what is sent to it.
    fn told() -> (UnboundedSender<Bytes>, Client) {
        let (sender, told) = unbounded();
        let told: Mutex<Option<UnboundedReceiver<Bytes>>> = Mutex::new(Some(told));
        let answer = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default();
            // One that is only about API servers is silent where none has a lease.
            let is_watch = query.contains("watch=true") && !query.contains("Selector");
            let told = is_watch.then(|| told.lock().expect("unharmed").take()).flatten();
            let body = match told {
                Some(told) => {
                    let frames = told.map(|it| Ok::<_, Infallible>(Frame::data(it)));
                    StreamBody::new(frames).boxed_unsync()
                }
                None => Empty::new().boxed_unsync(),
            };
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        (sender, Client::new(answer, "default"))
    }

    /// What a watch says of the lease of this name, an API server's if it sounds like one.
    fn change(r#type: &str, name: &str) -> Bytes {
        let identity = name.split_once('-').map_or(name, |(whose, _)| whose);
        let identity = identity.replace("apiserver", "kube-apiserver");
        let labels = json!({"apiserver.kubernetes.io/identity": identity});
        let lease = json!({"metadata": {"name": name, "labels": labels}, "spec": {}});
        format!("{}\n", json!({"type": r#type, "object": lease})).into()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_joins_is_seen_and_not_forgotten() {
        let (sender, client) = told();
        let pulse = Pulse::of_only(client, "apiserver-a".to_owned());
        for (change, is_joined) in [
            (change("ADDED", "apiserver-a"), false),
            (change("MODIFIED", "apiserver-a"), false),
            (change("MODIFIED", "scheduler"), false),
            (change("ADDED", "apiserver-ab"), true),
            (change("DELETED", "apiserver-ab"), true),
            (change("MODIFIED", "apiserver-a"), true),
        ] {
            // A change may come in pieces.
            let (first, second) = (change.slice(..9), change.slice(9..));
            sender.unbounded_send(first).expect("it is watched");
            sender.unbounded_send(second).expect("it is watched");
            tokio::time::sleep(poll::PAUSE).await;
            assert_eq!(pulse.is_joined(), is_joined, "{change:?}");
            assert_eq!(pulse.process(), Some(1), "{change:?}");
        }
        drop(sender);
        tokio::time::sleep(poll::PAUSE).await;
        assert!(pulse.process() != Some(1) && pulse.is_joined(), "its watch has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn another_one_at_another_address_is_no_matter() {
        let (sender, client) = told();
        let pulse = Pulse::of(client);
        for name in ["apiserver-a", "apiserver-b"] {
            sender.unbounded_send(change("ADDED", name)).expect("it is watched");
        }
        tokio::time::sleep(poll::PAUSE).await;
        assert_eq!((pulse.process(), pulse.is_joined()), (Some(1), false));
    }
}
