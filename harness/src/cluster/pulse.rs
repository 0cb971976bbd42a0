//! Which process of the API server answers, and whether one does.
//!
//! One watch stays open. It ends with the process that answers it, so that whatever was answered while it was open was
//! answered by one process. This holds where each API server has an address of its own: behind a load balancer another
//! server may answer the next request, and each attempt has a connection of its own (`connection.rs`). Nothing else shows it as cheaply on every version: a lease keeps its holder when
//! its server restarts, and `/metrics`, which holds the start time, takes a tenth of a second to read.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{READY, is_ready};
use crate::poll;

/// Every API server renews its lease each ten seconds, so that the watch is never quiet for long.
const WATCH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases\
                     ?watch=true&resourceVersion=0&timeoutSeconds=86400";

/// How long the watch may be silent before it is taken for broken: the network may be gone without a word.
const SILENCE: Duration = Duration::from_secs(60);

/// How long an API server may take to come back. A kubelet restarts it within 15 to 37 s (measured).
const RETURN: Duration = Duration::from_secs(60);

/// What is known of the API server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
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
    /// Watches the API server that this client asks.
    pub fn of(client: Client) -> Pulse {
        let (sender, state) = watch::channel(State::Away);
        let mut watching = JoinSet::new();
        watching.spawn(async move { watch(&client, &sender).await });
        Pulse { state, _watching: Arc::new(watching) }
    }

    /// The number of the process that is awake; `None` if none is at this moment.
    pub fn process(&self) -> Option<u64> {
        match *self.state.borrow() {
            State::Awake(process) => Some(process),
            State::Away | State::Lost => None,
        }
    }

    /// Waits until a process is awake, however long that takes.
    pub async fn awake(&self) {
        self.until(|state| matches!(state, State::Awake(_))).await;
    }

    /// Waits until the API server has been away for so long that it is not expected to come back, and says so.
    pub async fn lost(&self) -> String {
        self.until(|state| state == State::Lost).await;
        format!("the API server has not answered for {RETURN:?}")
    }

    async fn until(&self, is_seen: impl Fn(State) -> bool) {
        let mut state = self.state.clone();
        if state.wait_for(|state| is_seen(*state)).await.is_err() {
            // The watching has ended with the last state, which was another one.
            std::future::pending().await
        }
    }
}

/// Watches the API server until it is lost.
async fn watch(client: &Client, state: &watch::Sender<State>) {
    let mut seen = Instant::now();
    let mut process = 0;
    while seen.elapsed() < RETURN {
        if let Some(mut events) = open(client).await {
            process += 1;
            state.send_replace(State::Awake(process));
            while let Ok(Some(Ok(_))) = tokio::time::timeout(SILENCE, events.frame()).await {}
            state.send_replace(State::Away);
            seen = Instant::now();
        }
        tokio::time::sleep(poll::PAUSE).await;
    }
    state.send_replace(State::Lost);
}

/// Opens the watch, and sees the process that answers it ready: until its informers are filled a starting one refuses
/// everybody, in the very words of a refusal that is meant (measured). `/readyz` waits for them. It is asked before as
/// well, since a watch that is opened for nothing each time would delay one that starts.
async fn open(client: &Client) -> Option<Body> {
    let ready = async || is_ready(client, READY).await.ok().filter(|ready| *ready);
    ready().await?;
    let request = http::Request::get(WATCH).body(Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let is_open = response.status().is_success();
    (is_open && ready().await.is_some()).then(|| response.into_body())
}
