//! Webhooks without a node to run on: what serves them takes the place of their Deployments. Ours is served by the
//! harness itself, the reader's by a command of theirs, or by what listens already.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::guard::{self, is_guard, is_scaled_down};
use super::keys::LOOPBACK;
use super::{Embedded, door};
use crate::cluster::own::WebhookServers;
use crate::cluster::process::{ProcessError, look_up};
use crate::cluster::supervisor::{self, Abandoned, Supervised};
use crate::cluster::{ClusterError, StandIn};
use crate::lock::lock;
use crate::model::{SERVER_CERTIFICATES, SERVER_PORT, ServedBy, WebhookServer};
use crate::poll;

/// The folder of the certificate that commands show, in the run's own.
const CERTIFICATES: &str = "webhooks";

/// How long a server may take until it listens.
const LISTENING: Duration = Duration::from_secs(30);

/// What is served by this process.
pub(super) struct Served {
    /// To drop it asks that to end.
    stop: oneshot::Sender<()>,
    /// Closed when it has ended and its port is free.
    ended: oneshot::Receiver<()>,
}

impl Served {
    /// What is served until it is told to stop, while the future is polled.
    pub(super) fn new<Serving: Future<Output = ()>>(
        serve: impl FnOnce(oneshot::Receiver<()>) -> Serving,
    ) -> (Self, impl Future<Output = ()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ending, ended) = oneshot::channel::<()>();
        let serving = serve(stopped);
        let serving = async move {
            serving.await;
            drop(ending);
        };
        (Served { stop, ended }, serving)
    }

    /// Ends it and waits until its port is free.
    pub(super) async fn stop(self) {
        drop(self.stop);
        // Nothing is sent over the channel: it is closed.
        let _ = self.ended.await;
    }
}

/// A server of the reader's, with the port at which the API server calls it.
pub(super) struct Seated {
    server: WebhookServer,
    folder: PathBuf,
    port: u16,
    running: Mutex<Option<Running>>,
}

/// What takes the place of a Deployment's pods.
enum Running {
    /// The reader's command.
    Program(Supervised),
    /// A way to what listens already.
    Way(Served),
}

impl Seated {
    fn replaces(&self, object: &Value) -> bool {
        object["kind"] == "Deployment" && place(&object["metadata"]) == self.server.deployment
    }

    /// What goes wrong with it is told of this.
    fn name(&self) -> String {
        format!("the server in the place of Deployment {}", self.server.deployment)
    }
}

/// `namespace/name`
fn place(named: &Value) -> String {
    let part = |field: &str| named[field].as_str().unwrap_or_default();
    format!("{}/{}", part("namespace"), part("name"))
}

/// Makes webhooks that name a Service call a port on loopback.
fn lead_here(object: &mut Value, service: &str, port: u16) {
    if !object["kind"].as_str().is_some_and(|kind| kind.ends_with("WebhookConfiguration")) {
        return;
    }
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        let client = &mut webhook["clientConfig"];
        if place(&client["service"]) == service {
            let path = client["service"]["path"].as_str().unwrap_or("/");
            client["url"] = json!(format!("https://{LOOPBACK}:{port}{path}"));
            client.as_object_mut().map(|client| client.remove("service"));
        }
    }
}

impl StandIn for Embedded {
    fn replaces(&self, object: &Value) -> bool {
        is_guard(object) || self.seated(object).is_some()
    }

    fn take<'a>(&'a self, object: &'a Value) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        async move {
            match self.seated(object) {
                Some(seated) => self.serve(seated, object).await,
                None => self.serve_guard(object).await,
            }
        }
        .boxed_local()
    }

    fn release<'a>(&'a self, object: &'a Value) -> LocalBoxFuture<'a, ()> {
        async move {
            match self.seated(object) {
                Some(seated) => stop(seated).await,
                None if is_guard(object) => self.stop_guard().await,
                None => {}
            }
        }
        .boxed_local()
    }

    fn adapt(&self, object: &mut Value) {
        lead_here(object, guard::SERVED, self.ports.guard);
        for seated in self.all_seated() {
            for service in &seated.server.services {
                lead_here(object, service, seated.port);
            }
        }
    }
}

impl Embedded {
    /// Gives each server a port, and the commands among them a certificate.
    pub(super) fn seat(&self, servers: WebhookServers) -> Result<(), ClusterError> {
        let WebhookServers { servers, certificate, key } = servers;
        if servers.is_empty() {
            return Ok(());
        }
        let write = |name: &str, bytes: &[u8]| {
            self.folder.write(&format!("{CERTIFICATES}/{name}"), bytes).map(drop)
        };
        self.folder
            .make(CERTIFICATES)
            .and_then(|()| write("tls.crt", &certificate))
            .and_then(|()| write("tls.key", &key))
            .map_err(ClusterError::Folder)?;
        // All are held until all are found, so that no two are the same.
        let open = |_: &_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let held: io::Result<Vec<TcpListener>> = servers.iter().map(open).collect();
        let held = held.map_err(ClusterError::Port)?;
        let seated = servers.into_iter().zip(&held).map(|((folder, server), listener)| {
            let port = listener.local_addr()?.port();
            Ok(Seated { server, folder, port, running: Mutex::default() })
        });
        let seated: io::Result<Vec<Seated>> = seated.collect();
        let seated = seated.map_err(ClusterError::Port)?;
        self.servers.get_or_init(|| seated);
        Ok(())
    }

    fn all_seated(&self) -> &[Seated] {
        self.servers.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// The server that takes an object's place.
    fn seated(&self, object: &Value) -> Option<&Seated> {
        self.all_seated().iter().find(|seated| seated.replaces(object))
    }

    /// The reader's commands that run, which are to be ended.
    pub(super) fn stop_programs(&self) -> Vec<Supervised> {
        let running = self.all_seated().iter().filter_map(|seated| lock(&seated.running).take());
        let program = |running| match running {
            Running::Program(program) => Some(program),
            Running::Way(_) => None,
        };
        running.filter_map(program).collect()
    }

    /// Waits until every server listens.
    pub(super) async fn until_served(&self) -> Result<(), ClusterError> {
        for seated in self.all_seated() {
            seated.until_listening().await?;
        }
        Ok(())
    }

    /// Serves until the cluster ends; what was served before ends now. A Deployment of no replicas serves nothing.
    async fn serve(&self, seated: &Seated, deployment: &Value) -> Result<(), ClusterError> {
        stop(seated).await;
        if is_scaled_down(deployment) {
            return Ok(());
        }
        let running = match &seated.server.by {
            ServedBy::Command(words) => {
                Running::Program(self.run_command(seated, words, deployment)?)
            }
            ServedBy::Url(_) => {
                let port = seated.server.by.port().unwrap_or_default();
                Running::Way(self.lead_to(seated, port)?)
            }
        };
        *lock(&seated.running) = Some(running);
        Ok(())
    }

    fn run_command(
        &self,
        seated: &Seated,
        words: &[String],
        deployment: &Value,
    ) -> Result<Supervised, ClusterError> {
        let (program, arguments) =
            words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let folder = std::path::absolute(&seated.folder).map_err(ClusterError::Folder)?;
        let found = look_up(program, Some(&folder))
            .map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
        let certificates = self.folder.file(CERTIFICATES);
        let fill = |word: &String| {
            word.replace(SERVER_PORT, &seated.port.to_string())
                .replace(SERVER_CERTIFICATES, &certificates.to_string_lossy())
        };
        let mut command = supervisor::command(0, Abandoned::EndsWithItsOwn, &found);
        command
            .args(arguments.iter().map(fill))
            .env("KUBECONFIG", self.way_in_as(seated, deployment)?)
            .current_dir(&folder);
        let log = self.folder.file(&format!("{CERTIFICATES}/{}.log", seated.port));
        Supervised::start(&self.run, &seated.name(), command, &log)
    }

    /// A kubeconfig with the rights of a Deployment's ServiceAccount and no others.
    fn way_in_as(&self, seated: &Seated, deployment: &Value) -> Result<PathBuf, ClusterError> {
        let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
        let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
        let account = account.as_str().unwrap_or("default");
        let config = with_user(
            &self.folder.file("kubeconfig"),
            &format!("system:serviceaccount:{namespace}:{account}"),
        )?;
        let name = format!("{CERTIFICATES}/{}.kubeconfig", seated.port);
        self.folder.write(&name, &config).map_err(ClusterError::Folder)
    }

    /// Leads whoever calls the server's port to another on loopback.
    fn lead_to(&self, seated: &Seated, port: u16) -> Result<Served, ClusterError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, seated.port));
        let listener = listener.map_err(ClusterError::Port)?;
        listener.set_nonblocking(true).map_err(ClusterError::Port)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(ClusterError::Port)?;
        let (served, serving) = Served::new(move |stopped| async move {
            tokio::select! {
                () = door::open(listener, port) => {}
                _ = stopped => {}
            }
        });
        self.spawn(serving);
        Ok(served)
    }
}

impl Seated {
    /// Waits until it listens, where it is to serve.
    async fn until_listening(&self) -> Result<(), ClusterError> {
        if lock(&self.running).is_none() {
            return Ok(());
        }
        let port = self.server.by.port().unwrap_or(self.port);
        let listening = poll::until(LISTENING, async || {
            let ended = match &*lock(&self.running) {
                Some(Running::Program(program)) => program.check(),
                _ => Ok(()),
            };
            match (ended, TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await) {
                (Err(error), _) => Ok(Err(error)),
                (Ok(()), Ok(_)) => Ok(Ok(())),
                (Ok(()), Err(_)) => Err(()),
            }
        });
        listening.await.unwrap_or_else(|_| Err(self.late(port)))
    }

    fn late(&self, port: u16) -> ClusterError {
        let state = format!("does not listen on {LOOPBACK}:{port} after {} s", LISTENING.as_secs());
        match &*lock(&self.running) {
            Some(Running::Program(program)) => program.failure(&state),
            _ => ClusterError::NotRunning {
                program: self.name(),
                state,
                words: "none, as it is started by whoever runs brinell".to_owned(),
            },
        }
    }
}

/// Stops what serves, if anything does.
async fn stop(seated: &Seated) {
    let running = lock(&seated.running).take();
    match running {
        Some(Running::Program(program)) => supervisor::end(&mut vec![program]),
        Some(Running::Way(served)) => served.stop().await,
        None => {}
    }
}

/// A kubeconfig as another, acting as this user.
fn with_user(kubeconfig: &Path, user: &str) -> Result<Vec<u8>, ClusterError> {
    let mut config = Kubeconfig::read_from(kubeconfig)?;
    for auth in config.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut()) {
        auth.impersonate = Some(user.to_owned());
    }
    // JSON is YAML.
    Ok(serde_json::to_vec(&config).expect("a kubeconfig that was read can be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_webhooks_of_the_service_are_led_here() {
        let service = |namespace: &str, name: &str, path: &str| json!({"clientConfig": {"caBundle": "x", "service": {"namespace": namespace, "name": name, "path": path}}});
        let mut object = json!({
            "kind": "ValidatingWebhookConfiguration",
            "webhooks": [
                service("guards", "images", "/check?all=1"), service("guards", "another", "/"),
                service("elsewhere", "images", "/"),
            ],
        });
        let before = object.clone();
        lead_here(&mut object, "guards/images", 4711);
        let here = json!({"caBundle": "x", "url": "https://127.0.0.1:4711/check?all=1"});
        assert_eq!(object["webhooks"][0]["clientConfig"], here);
        for other in [1, 2] {
            assert_eq!(object["webhooks"][other], before["webhooks"][other]);
        }
        let mut policy = json!({"kind": "Policy", "webhooks": [service("guards", "images", "/")]});
        let before = policy.clone();
        lead_here(&mut policy, "guards/images", 4711);
        assert_eq!(policy, before);
    }

    #[tokio::test]
    async fn what_is_stopped_has_freed_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("set");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let (served, serving) = Served::new(move |stopped| async move {
            tokio::select! {
                () = door::open(listener, 1) => {}
                _ = stopped => {}
            }
        });
        tokio::spawn(serving);
        let _connected = TcpStream::connect(address).await.expect("connected");
        served.stop().await;
        TcpListener::bind(address).expect("free again");
    }
}
