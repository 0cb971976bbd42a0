//! A cluster without Docker and without root: etcd, kube-apiserver and kube-controller-manager as processes on
//! loopback, and a simulated node in the harness itself.

mod beside;
mod guard;
mod keys;
mod kubelet;
mod node;
mod parts;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::{Client, Config};
use serde_json::Value;
use tokio::task::JoinSet;

use super::assets::Assets;
use super::process::{Group, Outside};
use super::settings::{EtcdAccess, Settings};
use super::supervisor::{self, Supervised};
use super::{ClusterError, RunFolder, STARTING, way_in};
use crate::pod::probe::{self, EtcdAnswer, EtcdOrder, NoAnswer, Verb};
use crate::pod::server_config_for;
use crate::poll;
use keys::Keys;
use node::Containers;
use parts::{Part, Place};

/// The file in a run's folder that says that its cluster was embedded: nothing of it lies elsewhere.
pub(super) const MARK: &str = "embedded";

/// A cluster of this run.
pub struct Embedded {
    run: String,
    assets: Assets,
    folder: Arc<RunFolder>,
    keys: Keys,
    ports: Ports,
    kubelet: Mutex<Option<TcpListener>>,
    guard: Mutex<Option<guard::Served>>,
    flags: Mutex<BTreeMap<String, String>>,
    programs: Mutex<Vec<Supervised>>,
    beside: Mutex<Vec<Supervised>>,
    tasks: Mutex<JoinSet<()>>,
}

/// Where everything listens on loopback.
struct Ports {
    etcd: u16,
    api_server: u16,
    beside: u16,
    kubelet: u16,
    guard: u16,
}

impl Embedded {
    /// Marks a run as one of an embedded cluster, before anything is made.
    ///
    /// # Errors
    /// When the run's folder cannot be written.
    pub fn mark(folder: &RunFolder) -> Result<(), ClusterError> {
        folder.write(MARK, b"").map(drop).map_err(ClusterError::Folder)
    }

    /// A cluster that is not made yet, with its keys and ports.
    ///
    /// # Errors
    /// When no port can be opened or no certificate made.
    pub fn new(run: &str, assets: Assets, folder: Arc<RunFolder>) -> Result<Self, ClusterError> {
        let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (ports, kubelet) = Ports::find(open).map_err(ClusterError::Port)?;
        Ok(Embedded {
            run: run.to_owned(),
            assets,
            folder,
            keys: Keys::make()?,
            ports,
            kubelet: Mutex::new(Some(kubelet)),
            guard: Mutex::default(),
            flags: Mutex::default(),
            programs: Mutex::default(),
            beside: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// The run that it belongs to.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Starts everything together and waits until the API server is ready. Returns how long that took.
    pub(super) async fn create(&self, settings: &Settings) -> Result<Duration, ClusterError> {
        let started = Instant::now();
        self.write_files(settings).map_err(ClusterError::Folder)?;
        self.flags().clone_from(&settings.flags);
        for part in self.servers(settings) {
            self.start(&part, &self.first(), &self.programs)?;
        }
        let client = Client::try_from(self.admin().await?)?;
        self.until_ready(&client, &self.programs).await?;
        let took = started.elapsed();
        self.start(&self.controller_manager(), &self.first(), &self.programs)?;
        node::register(&client, self.ports.kubelet).await?;
        let containers = Containers::default();
        self.serve_kubelet(containers.clone())?;
        self.spawn(node::run(client, containers));
        Ok(took)
    }

    /// Starts a part among `programs`, with a log of its own in its place.
    fn start(
        &self,
        part: &Part,
        place: &Place,
        programs: &Mutex<Vec<Supervised>>,
    ) -> Result<(), ClusterError> {
        let log = self.folder.file(&format!("{}/{}.log", place.folder, part.name));
        let program =
            Supervised::start(&self.run, part.name, &part.program, &part.arguments, &log)?;
        lock(programs).push(program);
        Ok(())
    }

    /// Waits until one of the cluster's own programs has ended by itself.
    pub(super) fn ended(&self) -> impl Future<Output = ClusterError> + Send + use<> {
        let endings: Vec<_> =
            lock(&self.programs).iter().map(|program| Box::pin(program.ended())).collect();
        async move {
            if endings.is_empty() {
                return std::future::pending().await;
            }
            futures::future::select_all(endings).await.0
        }
    }

    async fn until_ready(
        &self,
        client: &Client,
        programs: &Mutex<Vec<Supervised>>,
    ) -> Result<(), ClusterError> {
        let ready = poll::until(STARTING, async || {
            let ended = lock(programs).iter().find_map(|program| program.check().err());
            match (ended, super::is_ready(client).await) {
                (Some(error), _) | (None, Err(error)) => Ok(Err(error)),
                (None, Ok(true)) => Ok(Ok(())),
                (None, Ok(false)) => Err(()),
            }
        });
        ready.await.unwrap_or_else(|_| Err(late(&lock(programs))))
    }

    fn serve_kubelet(&self, containers: Containers) -> Result<(), ClusterError> {
        let Some(listener) = lock(&self.kubelet).take() else { return Ok(()) };
        listener.set_nonblocking(true).map_err(ClusterError::Port)?;
        let Keys { kubelet, kubelet_client, .. } = &self.keys;
        let tls = server_config_for(
            kubelet_client.certificate.as_bytes(),
            kubelet.certificate.as_bytes(),
            kubelet.key.as_bytes(),
        )?;
        self.spawn(async move {
            // It ends with the cluster; where it ends before, exec is answered by the API server's own error.
            let _ = kubelet::serve(listener, tls, containers).await;
        });
        Ok(())
    }

    /// Does something beside, until the cluster ends.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn(work);
    }

    /// The admin's way in.
    pub(super) async fn admin(&self) -> Result<Config, ClusterError> {
        way_in(&self.folder.file("kubeconfig")).await
    }

    /// The flags as settings name them. We started the API server with them ourselves, and it takes no flag that
    /// it does not know.
    pub(super) fn api_server_flags(&self) -> Result<BTreeMap<String, String>, ClusterError> {
        Ok(self.flags().clone())
    }

    fn flags(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        lock(&self.flags)
    }

    /// Whether a settings' file lies in the run's folder as settings have it.
    pub(super) fn has_settings_file(&self, name: &str, text: &str) -> Result<bool, ClusterError> {
        let path = self.folder.file(&format!("settings/{name}"));
        let found = std::fs::read(path).map_err(ClusterError::Folder)?;
        Ok(found == self.here(&self.first(), text).into_bytes())
    }

    /// The audit log from its beginning, and on while it grows.
    pub(super) fn audit_log(&self) -> Result<Group, ClusterError> {
        self.follow(&self.first())
    }

    fn follow(&self, place: &Place) -> Result<Group, ClusterError> {
        let log = self.audit_log_in(place);
        Ok(Outside::new("tail", &["-c", "+1", "-F", &log.to_string_lossy()]).start()?)
    }

    fn audit_log_in(&self, place: &Place) -> PathBuf {
        self.folder.file(&format!("{}/logs/audit.log", place.folder))
    }

    /// Reads etcd from here: there is no container to stand in, and loopback is as near.
    pub(super) async fn probe_etcd(
        &self,
        order: &EtcdOrder,
    ) -> Result<Result<EtcdAnswer, NoAnswer>, ClusterError> {
        let order = serde_json::to_vec(order).expect("an order is JSON");
        let mut answer = Vec::new();
        let done = Verb::Etcd.run(order.as_slice(), &mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let words = done.err().map_or_else(|| answer.to_string(), |error| error.to_string());
        probe::read(&answer).map_err(|_| ClusterError::ProbeAnswer {
            verb: "etcd".to_owned(),
            answer: crate::text::cut(&words, 200),
        })
    }

    /// The API server's own certificate for etcd.
    pub(super) fn etcd_access(&self) -> EtcdAccess {
        EtcdAccess {
            port: self.ports.etcd,
            ca: self.keys.etcd_ca.clone(),
            certificate: self.keys.etcd_client.certificate.clone(),
            key: self.keys.etcd_client.key.clone(),
        }
    }

    /// Takes exec-guard's own place, and leaves every other object as it is.
    pub(super) async fn adapt(&self, mut object: Value) -> Result<Option<Value>, ClusterError> {
        if guard::is_guard(&object) {
            self.serve_guard(&object).await?;
            return Ok(None);
        }
        guard::lead_here(&mut object, self.ports.guard);
        Ok(Some(object))
    }

    /// Ends what took an object's place, which goes.
    pub(super) async fn release(&self, object: &Value) {
        if guard::is_guard(object) {
            self.stop_guard().await;
        }
    }
}

fn late(programs: &[Supervised]) -> ClusterError {
    let state = format!("made no API server ready within {STARTING:?}");
    let api_server = programs.iter().find(|program| program.is("kube-apiserver"));
    api_server.map_or(ClusterError::NoApiServer, |program| program.failure(&state))
}

impl Drop for Embedded {
    fn drop(&mut self) {
        lock(&self.tasks).abort_all();
        self.end_beside();
        supervisor::end(&mut lock(&self.programs));
    }
}

impl Ports {
    /// Ports that nobody listens on, all held until all are found, so that no two are the same. The kubelet's
    /// listener is ours and is kept.
    fn find(open: impl Fn() -> io::Result<TcpListener>) -> io::Result<(Self, TcpListener)> {
        let (etcd, api_server, beside) = (open()?, open()?, open()?);
        let (kubelet, guard) = (open()?, open()?);
        let port = |listener: &TcpListener| Ok::<_, io::Error>(listener.local_addr()?.port());
        let ports = Ports {
            etcd: port(&etcd)?,
            api_server: port(&api_server)?,
            beside: port(&beside)?,
            kubelet: port(&kubelet)?,
            guard: port(&guard)?,
        };
        Ok((ports, kubelet))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one of these locks can leave what is behind it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
