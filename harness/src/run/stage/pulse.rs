//! Whether the API server is there, awake, and still the same process.
//!
//! One watch stays open for as long as the stage stands. It ends with the process that answers it, so that whatever
//! was answered while it was open was answered by one process. Nothing else tells that for little on every version: a
//! lease keeps its holder when its server restarts, and `/metrics`, which holds the start time, takes a tenth of a
//! second to read.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::poll;

/// Every API server renews its lease each ten seconds, so that the watch is never quiet for long.
const WATCH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases\
                     ?watch=true&resourceVersion=0&timeoutSeconds=86400";

/// How long an API server may take to come back. A kubelet restarts it within 15 to 37 s (measured).
const RETURN: Duration = Duration::from_secs(60);

/// What is known of the API server.
#[derive(Debug, Clone, PartialEq)]
enum State {
    /// It does not answer, or is starting.
    Away,
    /// It answers, and authorization has its rules. Another process has another number.
    Awake(u64),
    /// It does not come back, and why.
    Gone(String),
}

/// An API server under watch, until this is dropped.
pub(crate) struct Pulse {
    state: watch::Receiver<State>,
    _watching: JoinSet<()>,
}

impl Pulse {
    /// Watches the API server that the admin asks by `client`, until something else has ended, which says why.
    pub fn of(client: Client, ended: impl Future<Output = String> + Send + 'static) -> Pulse {
        let (sender, state) = watch::channel(State::Away);
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            let cause = tokio::select! {
                cause = ended => cause,
                cause = lost(&client, &sender) => cause,
            };
            sender.send_replace(State::Gone(cause));
        });
        Pulse { state, _watching: watching }
    }

    /// The number of the process that is there and awake; `None` where there is none at this moment.
    pub fn process(&self) -> Option<u64> {
        match &*self.state.borrow() {
            State::Awake(process) => Some(*process),
            State::Away | State::Gone(_) => None,
        }
    }

    /// Waits until a process is awake, however long that takes.
    pub async fn awake(&self) {
        self.until(|state| matches!(state, State::Awake(_)).then_some(())).await;
    }

    /// Waits until there is none any more, and says why.
    pub async fn gone(&self) -> String {
        let cause = |state: &State| match state {
            State::Gone(cause) => Some(cause.clone()),
            State::Away | State::Awake(_) => None,
        };
        self.until(cause).await
    }

    async fn until<T>(&self, seen: impl Fn(&State) -> Option<T>) -> T {
        let mut state = self.state.clone();
        loop {
            let found = seen(&state.borrow_and_update());
            match found {
                Some(found) => return found,
                // What will be told is told by the task that this value holds.
                None if state.changed().await.is_err() => std::future::pending().await,
                None => {}
            }
        }
    }
}

/// Tells how the API server is until it does not come back, and returns why.
async fn lost(client: &Client, state: &watch::Sender<State>) -> String {
    let mut seen = Instant::now();
    let mut process = 0;
    while seen.elapsed() < RETURN {
        if let Some(mut events) = open(client).await {
            process += 1;
            state.send_replace(State::Awake(process));
            while let Some(Ok(_)) = events.frame().await {}
            state.send_replace(State::Away);
            seen = Instant::now();
        }
        tokio::time::sleep(poll::PAUSE).await;
    }
    format!("the API server has not answered for {RETURN:?}")
}

/// Opens the watch, and sees the process that answers it ready: until its informers are filled a starting one refuses
/// everybody, in the very words of a refusal that is meant (measured). `/readyz` waits for them.
async fn open(client: &Client) -> Option<Body> {
    let request = http::Request::get(WATCH).body(Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let ready = http::Request::get("/readyz").body(Vec::new()).ok()?;
    let is_open = response.status().is_success();
    (is_open && client.request_text(ready).await.is_ok()).then(|| response.into_body())
}
