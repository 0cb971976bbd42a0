//! A cluster without Docker and without root: etcd, kube-apiserver and kube-controller-manager as processes on
//! loopback, and a simulated node in the harness itself.

pub mod assets;
mod door;
mod guard;
mod keys;
mod kubelet;
mod node;
mod parts;
mod second;
mod servers;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use futures::FutureExt;
use futures::future::{BoxFuture, LocalBoxFuture};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client, Config, ResourceExt};
use tokio::task::JoinSet;

use super::{Created, Kubelet, Needed, Own, ReadBack, Second, Settings, WebhookServers};
use crate::cluster::process::{Group, Outside};
use crate::cluster::supervisor::{self, Abandoned, Supervised};
use crate::cluster::{
    Asked, ClusterError, Etcd, EtcdKeys, Probe, Pulse, READY, RunFolder, SERVING, Servers, Sight,
    StandIn, is_ready, way_in,
};
use crate::lock::lock;
use crate::pod::probe::Verb;
use crate::pod::server_config_for;
use crate::poll;
use assets::Assets;
use keys::Keys;
use node::Containers;
use parts::{Part, Seat};
use servers::{Seated, Served};

/// The file in a run's folder that says that its cluster was embedded: nothing of it lies elsewhere.
pub(in crate::cluster) const MARK: &str = "embedded";

/// What is offered for exec and attach. To v5 the API server speaks SPDY with the kubelet, which a simulated one does
/// not understand; v4 it passes on as it is (measured).
const STREAM_PROTOCOLS: &str = "v4.channel.k8s.io";

/// Whether an API server may be given objects. What is left out of [`READY`] are two of the hooks that it runs when it
/// starts: both sleep for a second before they make anything (`wait.Poll` in `pkg/registry/rbac/rest` and
/// `pkg/registry/scheduling/rest`), the one its own roles, the other its priority classes.
const SERVES: &str = "/readyz?exclude=poststarthook/rbac/bootstrap-roles\
                      &exclude=poststarthook/scheduling/bootstrap-system-priority-classes";

/// How much garbage a program written in Go may gather before it collects: while they start, which is what a user
/// waits for, the programs would collect again and again (0.3 s of 3.8 s, measured).
const GARBAGE: &str = "400";

/// The namespaces that every API server makes itself. No check of [`READY`] waits for them.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// A cluster of this run.
pub struct Embedded {
    run: String,
    assets: Assets,
    folder: Arc<RunFolder>,
    keys: Keys,
    ports: Ports,
    kubelet: Mutex<Option<TcpListener>>,
    door: Mutex<Option<TcpListener>>,
    guard: Mutex<Option<Served>>,
    servers: OnceLock<Vec<Seated>>,
    programs: Mutex<Vec<Supervised>>,
    tasks: Mutex<JoinSet<()>>,
}

/// Where everything listens on loopback.
struct Ports {
    etcd: u16,
    api_server: u16,
    second: u16,
    kubelet: u16,
    guard: u16,
    door: u16,
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
        let (ports, kubelet, door) = Ports::find(open).map_err(ClusterError::Port)?;
        Ok(Embedded {
            run: run.to_owned(),
            assets,
            folder,
            keys: Keys::make()?,
            ports,
            kubelet: Mutex::new(Some(kubelet)),
            door: Mutex::new(Some(door)),
            guard: Mutex::default(),
            servers: OnceLock::new(),
            programs: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// Starts etcd and the API server together and waits until objects can be applied.
    async fn make(&self, settings: &Settings) -> Result<Created, ClusterError> {
        let started = Instant::now();
        self.write_files(settings).map_err(ClusterError::Folder)?;
        for part in self.servers(settings) {
            self.start_first(&part)?;
        }
        let config = self.admin().await?;
        let client = Client::try_from(config.clone())?;
        until(&self.programs, async || takes_objects(&client).await).await?;
        let took = started.elapsed();
        node::register(&client, self.ports.kubelet).await?;
        let containers = Containers::default();
        self.serve_kubelet(containers.clone())?;
        self.spawn(node::run(client, containers));
        let (access, node) = super::access(&self.run, config, STREAM_PROTOCOLS).await?;
        let etcd = SocketAddr::new(node, self.ports.etcd);
        let sight = Sight {
            etcd: Some(Etcd::new(etcd, self.etcd_keys(), Arc::new(Here))),
            settings: Some(settings.of_server()),
            ..Sight::of(Servers::One(Pulse::of(access.admin.clone())))
        };
        Ok(Created { took, words: "started, 1 simulated node", access, sight })
    }

    /// Waits until the API server is ready, and lets the controllers in, which need its own roles and start meanwhile.
    async fn complete(&self) -> Result<(), ClusterError> {
        let Some(door) = lock(&self.door).take() else { return Ok(()) };
        let early = self.start(&self.controller_manager(), &self.first())?;
        let client = Client::try_from(self.admin().await?)?;
        until_ready(&client, &self.programs).await?;
        self.open(door)?;
        match early.check() {
            Ok(()) => lock(&self.programs).push(early),
            // It has waited at the door for so long that it gave up.
            Err(_) => self.start_first(&self.controller_manager())?,
        }
        Ok(())
    }

    /// Starts a part of the cluster, which ends with it.
    fn start_first(&self, part: &Part) -> Result<(), ClusterError> {
        let program = self.start(part, &self.first())?;
        lock(&self.programs).push(program);
        Ok(())
    }

    /// Starts a program, with a log of its own in its seat.
    fn start(&self, part: &Part, seat: &Seat) -> Result<Supervised, ClusterError> {
        let log = self.folder.file(&format!("{}/{}.log", seat.folder, part.name));
        let mut command = supervisor::command(0, Abandoned::Ends, &part.program);
        command.args(&part.arguments).env("GOGC", GARBAGE);
        Supervised::start(&self.run, part.name, command, &log)
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

    /// Opens the controllers' door.
    fn open(&self, door: TcpListener) -> Result<(), ClusterError> {
        door.set_nonblocking(true).map_err(ClusterError::Port)?;
        let door = tokio::net::TcpListener::from_std(door).map_err(ClusterError::Port)?;
        self.spawn(door::open(door, self.ports.api_server));
        Ok(())
    }

    /// Does something in the background until the cluster ends.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn(work);
    }

    /// The admin's way in.
    async fn admin(&self) -> Result<Config, ClusterError> {
        way_in(&self.folder.file("kubeconfig")).await
    }

    /// The settings' files whose content in the run's folder is another.
    fn different_files(&self, settings: &Settings) -> Result<BTreeSet<String>, ClusterError> {
        let seat = self.first();
        let mut different = BTreeSet::new();
        for (name, text) in &settings.files {
            let path = self.folder.file(&format!("settings/{name}"));
            let found = std::fs::read(path).map_err(ClusterError::Folder)?;
            if found != self.here(&seat, text).into_bytes() {
                different.insert(name.clone());
            }
        }
        Ok(different)
    }

    fn audit_log_in(&self, seat: &Seat) -> PathBuf {
        self.folder.file(&format!("{}/logs/audit.log", seat.folder))
    }

    /// The API server's own certificate for etcd.
    fn etcd_keys(&self) -> EtcdKeys {
        EtcdKeys {
            ca: self.keys.etcd_ca.clone(),
            certificate: self.keys.etcd_client.certificate.clone(),
            key: self.keys.etcd_client.key.clone(),
        }
    }
}

/// A log from its beginning, and on while it grows.
fn follow(log: &Path) -> Result<Group, ClusterError> {
    Ok(Outside::new("tail", &["-c", "+1", "-F", &log.to_string_lossy()]).start()?)
}

/// Whether an API server may be given objects.
async fn takes_objects(client: &Client) -> Result<bool, ClusterError> {
    if !is_ready(client, SERVES).await? {
        return Ok(false);
    }
    let namespaces = Api::<Namespace>::all(client.clone());
    let made = namespaces.list_metadata(&ListParams::default()).await?;
    let made: Vec<String> = made.items.iter().map(ResourceExt::name_any).collect();
    Ok(NAMESPACES.iter().all(|name| made.iter().any(|it| it == name)))
}

/// Waits until an API server is ready.
async fn until_ready(
    client: &Client,
    programs: &Mutex<Vec<Supervised>>,
) -> Result<(), ClusterError> {
    until(programs, async || is_ready(client, READY).await).await
}

/// Waits until it is so of an API server among these programs.
async fn until(
    programs: &Mutex<Vec<Supervised>>,
    is_so: impl AsyncFn() -> Result<bool, ClusterError>,
) -> Result<(), ClusterError> {
    let so = poll::until(SERVING, async || {
        let ended = lock(programs).iter().find_map(|program| program.check().err());
        match (ended, is_so().await) {
            (Some(error), _) | (None, Err(error)) => Ok(Err(error)),
            (None, Ok(true)) => Ok(Ok(())),
            (None, Ok(false)) => Err(()),
        }
    });
    so.await.unwrap_or_else(|_| Err(late(&lock(programs))))
}

impl Own for Embedded {
    fn create<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<Created, ClusterError>> {
        self.make(settings).boxed_local()
    }

    fn complete(&self) -> LocalBoxFuture<'_, Result<(), ClusterError>> {
        self.complete().boxed_local()
    }

    /// Waits until one of the cluster's own programs has ended by itself.
    fn ended(&self) -> BoxFuture<'static, ClusterError> {
        let endings: Vec<_> =
            lock(&self.programs).iter().map(|program| Box::pin(program.ended())).collect();
        async move {
            if endings.is_empty() {
                return std::future::pending().await;
            }
            futures::future::select_all(endings).await.0
        }
        .boxed()
    }

    fn log(&self) -> Result<Group, ClusterError> {
        follow(&self.audit_log_in(&self.first()))
    }

    /// We started the API server with its flags ourselves, and it takes no flag that it does not know.
    fn read_back<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<ReadBack, ClusterError>> {
        let different = self.different_files(settings);
        let flags = settings.flags.clone();
        async move { Ok(ReadBack { flags, different: different? }) }.boxed_local()
    }

    fn start_second<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<Second, ClusterError>> {
        self.second_server(settings).boxed_local()
    }

    /// No part runs as a pod.
    fn see_parts<'a>(
        &'a self,
        _admin: &'a Client,
        _needed: Needed,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        async { Ok(()) }.boxed_local()
    }

    fn see_servers(&self) -> LocalBoxFuture<'_, Result<(), ClusterError>> {
        self.until_served().boxed_local()
    }

    fn kubelet(&self) -> Option<&dyn Kubelet> {
        None
    }

    fn stand_in(
        self: Arc<Self>,
        servers: WebhookServers,
    ) -> Result<Option<Arc<dyn StandIn>>, ClusterError> {
        self.seat(servers)?;
        Ok(Some(self))
    }
}

/// The probe in this process: all ports of the cluster are on loopback, so that it needs no container beside the node.
struct Here;

impl Probe for Here {
    fn ask<'a>(
        &'a self,
        asked: Asked,
        order: &'a [u8],
    ) -> LocalBoxFuture<'a, Result<String, ClusterError>> {
        async move {
            let verb = match asked {
                Asked::Request => Verb::Request,
                Asked::Etcd => Verb::Etcd,
            };
            let mut answer = Vec::new();
            verb.run(order, &mut answer).await.map_err(|error| ClusterError::ProbeAnswer {
                verb: asked.verb().to_owned(),
                answer: crate::text::cut(&error.to_string(), 200),
            })?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        }
        .boxed_local()
    }
}

fn late(programs: &[Supervised]) -> ClusterError {
    let state = format!("made no API server ready within {SERVING:?}");
    let api_server = programs.iter().find(|program| program.is("kube-apiserver"));
    api_server.map_or(ClusterError::NoApiServer, |program| program.failure(&state))
}

impl Drop for Embedded {
    fn drop(&mut self) {
        lock(&self.tasks).abort_all();
        let mut programs = lock(&self.programs);
        programs.extend(self.stop_programs());
        supervisor::end(&mut programs);
    }
}

impl Ports {
    /// Ports that nobody listens on, all held until all are found, so that no two are the same. The listeners of the
    /// kubelet and of the controllers' door are ours and are kept.
    fn find(
        open: impl Fn() -> io::Result<TcpListener>,
    ) -> io::Result<(Self, TcpListener, TcpListener)> {
        let (etcd, api_server, second) = (open()?, open()?, open()?);
        let (kubelet, guard, door) = (open()?, open()?, open()?);
        let port = |listener: &TcpListener| Ok::<_, io::Error>(listener.local_addr()?.port());
        let ports = Ports {
            etcd: port(&etcd)?,
            api_server: port(&api_server)?,
            second: port(&second)?,
            kubelet: port(&kubelet)?,
            guard: port(&guard)?,
            door: port(&door)?,
        };
        Ok((ports, kubelet, door))
    }
}
