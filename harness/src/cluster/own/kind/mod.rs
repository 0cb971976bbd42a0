//! A kind cluster of one node, made with the profile's settings and removed at the end.

mod engine;
mod error;
mod found;
mod kubelet;
mod parts;
mod removal;
mod second;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, LocalBoxFuture, try_join_all};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{
    Created, Kubelet, LOGS, Needed, Own, ReadBack, SETTINGS, Second, Settings, WebhookServers,
    image_name,
};
use crate::cluster::image::Image;
use crate::cluster::process::{
    ANSWERING, CHANGING, Group, MAKING, Outside, ProcessError, last_lines,
};
use crate::cluster::{
    Asked, ClusterError, Etcd, EtcdKeys, NodePorts, Probe, Pulse, RunFolder, Servers, Sight,
    StandIn, way_in,
};
use crate::model::RUN_LABEL;
use crate::text::without_credentials;
pub(in crate::cluster) use engine::Engine;
use engine::NodeFile;
pub use error::KindError;
pub use found::NoCluster;
pub(super) use found::found;
pub(in crate::cluster) use removal::remove;

/// Where the API server's audit log lies, as the control audit-policy writes it.
const AUDIT_LOG: &str = "/var/log/brinell/audit.log";

/// etcd's port for clients.
const ETCD_PORT: u16 = 2379;

/// What is offered for exec and attach: the API server answers v5 itself.
const STREAM_PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";

/// The port in the node of a second API server, which the engine shows on loopback.
const SECOND_PORT: u16 = 6444;

/// What the kubelet itself has written, without systemd's words on it.
const KUBELETS_WORDS: [&str; 6] = [
    "journalctl",
    "--unit=kubelet",
    "--identifier=kubelet",
    "--lines=8",
    "--output=cat",
    "--no-pager",
];

/// The node images that kind 0.33 was released with; each is named by its content.
const NODE_IMAGES: [(&str, &str); 4] = [
    (
        "1.34",
        "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d",
    ),
    (
        "1.35",
        "kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0",
    ),
    (
        "1.36",
        "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed",
    ),
    (
        "1.37",
        "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
    ),
];

/// The node image of a Kubernetes minor version, such as `1.36`.
pub fn node_image(version: &str) -> Option<&'static str> {
    NODE_IMAGES.iter().find(|(minor, _)| *minor == version).map(|(_, image)| *image)
}

/// The Kubernetes minor versions that have a node image.
pub fn versions() -> Vec<&'static str> {
    NODE_IMAGES.iter().map(|(minor, _)| *minor).collect()
}

/// kind's version, which shows that it is there.
pub async fn version() -> Result<String, ProcessError> {
    let text = Outside::new("kind", &["version", "--quiet"]).output(ANSWERING).await?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// A cluster of this run.
pub struct Kind {
    run: String,
    node_image: String,
    engine: Engine,
    folder: Arc<RunFolder>,
    settings: OnceLock<Settings>,
    kubelet: OnceCell<Vec<u8>>,
}

impl Kind {
    /// A cluster that is not made yet.
    pub fn new(run: &str, node_image: &str, folder: Arc<RunFolder>) -> Self {
        Kind {
            run: run.to_owned(),
            node_image: node_image.to_owned(),
            engine: Engine::new(run),
            folder,
            settings: OnceLock::new(),
            kubelet: OnceCell::new(),
        }
    }

    fn name(&self) -> String {
        format!("brinell-{}", self.run)
    }

    /// The node's container.
    fn node(&self) -> String {
        format!("{}-control-plane", self.name())
    }

    /// Makes the cluster and gives it our image.
    async fn make(&self, settings: &Settings) -> Result<Created, ClusterError> {
        self.settings.get_or_init(|| settings.clone());
        let (took, ()) = tokio::try_join!(self.create_node(settings), self.make_image())?;
        let (keys, ()) = tokio::try_join!(self.etcd_keys(), self.load_image())?;
        let (access, node) =
            super::access(&self.run, self.admin().await?, STREAM_PROTOCOLS).await?;
        let probe: Arc<dyn Probe> = Arc::new(self.attacker());
        let sight = Sight {
            node: Some(NodePorts::new(node, Arc::clone(&probe))),
            etcd: Some(Etcd::new(SocketAddr::new(node, ETCD_PORT), keys, probe)),
            settings: Some(settings.of_server()),
            ..Sight::of(Servers::One(Pulse::of(access.admin.clone())))
        };
        Ok(Created { took, words: "created, 1 node", access, sight })
    }

    async fn create_node(&self, settings: &Settings) -> Result<Duration, ClusterError> {
        let node_image = &self.node_image;
        self.engine
            .have_image(node_image)
            .await
            .map_err(|engine| KindError::NoNodeImage { image: node_image.clone(), engine })?;
        let tag = format!("brinell.dev/node:{}", self.run);
        let files = settings.files.iter().map(|(name, content)| NodeFile {
            path: format!("{SETTINGS}/{name}"),
            content: content.clone().into_bytes(),
        });
        let files: Vec<NodeFile> = files.collect();
        let network = self.name();
        tokio::try_join!(
            self.engine.make_image(&self.node_image, &tag, &files),
            self.engine.make_network(&network),
        )?;
        let config = serde_json::to_vec(&configuration(settings)).expect("a configuration is JSON");
        let kubeconfig = self.folder.write("kubeconfig", b"").map_err(ClusterError::Folder)?;
        let kubeconfig = kubeconfig.to_string_lossy();
        let name = self.name();
        let arguments = [
            "create",
            "cluster",
            "--name",
            &name,
            "--image",
            &tag,
            "--config",
            "-",
            "--kubeconfig",
            &kubeconfig,
            "--retain",
        ];
        // A network of the run's own: no other cluster is on it, and it goes with the run.
        let network = [("KIND_EXPERIMENTAL_DOCKER_NETWORK", network)];
        let started = Instant::now();
        match self.kind(&arguments).await.with(network).input(&config).output(MAKING).await {
            Ok(_) => Ok(started.elapsed()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// kind, for this run. It would hand variables that name proxies on to the node, where nothing needs one, and it
    /// takes another engine where a variable says so.
    async fn kind<'a>(&self, arguments: &'a [&'a str]) -> Outside<'a> {
        Outside::new("kind", arguments)
            .with(self.engine.environment().await)
            .with([("KIND_EXPERIMENTAL_PROVIDER", "docker")])
            .without_proxies()
    }

    /// Adds to kind's words those of what did not start: the API server where it has a log, since a wrong setting
    /// shows only there, or else the kubelet.
    async fn explain(&self, kind: ProcessError) -> ClusterError {
        let look = async |command: &[&str]| {
            let found = self.engine.execute(&self.node(), command, &[]).await.unwrap_or_default();
            without_credentials(&String::from_utf8_lossy(&found))
        };
        let logs = look(&["find", "/var/log/pods", "-path", "*kube-apiserver/*.log"]).await;
        let (program, words) = match logs.lines().max() {
            Some(log) => ("API server", look(&["tail", "-n", "8", log]).await),
            None => ("kubelet", last_lines(&look(&KUBELETS_WORDS).await, 8)),
        };
        let words = match words.trim_end() {
            "" => String::new(),
            words => format!("\nthe {program}'s last words:\n{words}"),
        };
        KindError::NotCreated { kind, words }.into()
    }

    /// Makes the image of our own executable and gives it to the engine, for the attacker's container.
    async fn make_image(&self) -> Result<(), ClusterError> {
        let archive = self.folder.write("image.tar", b"").map_err(ClusterError::Folder)?;
        // In place, so that an interrupt cannot leave it writing into a folder that is being removed.
        tokio::task::block_in_place(|| {
            let labels = BTreeMap::from([(RUN_LABEL.to_owned(), self.run.clone())]);
            Image::of_this_executable(image_name(&self.run), labels)?.write(&archive).map(drop)
        })?;
        Ok(self.engine.load(&archive).await?)
    }

    /// Gives the image to the node, for pods.
    async fn load_image(&self) -> Result<(), ClusterError> {
        let archive = self.folder.file("image.tar");
        let name = self.name();
        let arguments = ["load", "image-archive", &archive.to_string_lossy(), "--name", &name];
        self.kind(&arguments).await.output(CHANGING).await?;
        Ok(())
    }

    /// Gives images of the engine's to the node.
    async fn load_images(&self, images: &BTreeSet<&str>) -> Result<(), ClusterError> {
        for image in images {
            let name = self.name();
            let arguments = ["load", "docker-image", image, "--name", &name];
            self.kind(&arguments).await.output(CHANGING).await?;
        }
        Ok(())
    }

    /// The admin's way in.
    async fn admin(&self) -> Result<kube::Config, ClusterError> {
        way_in(&self.folder.file("kubeconfig")).await
    }

    /// The flags with which the API server really runs.
    async fn api_server_flags(&self) -> Result<BTreeMap<String, String>, ClusterError> {
        let processes = self.engine.processes(&self.node()).await?;
        let line = processes
            .iter()
            .find(|line| {
                line.split(' ').next().is_some_and(|program| program.ends_with("kube-apiserver"))
            })
            .ok_or(ClusterError::NoApiServer)?;
        Ok(line
            .split(' ')
            .filter_map(|argument| argument.strip_prefix("--")?.split_once('='))
            .map(|(flag, value)| (flag.to_owned(), value.to_owned()))
            .collect())
    }

    /// The settings' files whose content in the node is another.
    async fn different_files(&self, settings: &Settings) -> Result<BTreeSet<String>, ClusterError> {
        let looking = settings.files.iter().map(async |(name, text)| {
            let path = format!("{SETTINGS}/{name}");
            let found = self.engine.execute(&self.node(), &["cat", &path], &[]).await?;
            Ok::<_, ClusterError>((found != text.as_bytes()).then(|| name.clone()))
        });
        Ok(try_join_all(looking).await?.into_iter().flatten().collect())
    }

    /// The container beside the node from which attacks are sent.
    fn attacker(&self) -> Attacker {
        Attacker {
            engine: self.engine.clone(),
            name: format!("{}-attacker", self.name()),
            network: self.name(),
            image: image_name(&self.run),
            started: OnceCell::new(),
        }
    }

    /// The API server's own certificate for etcd.
    async fn etcd_keys(&self) -> Result<EtcdKeys, ClusterError> {
        let read = async |name: &str| {
            let path = format!("/etc/kubernetes/pki/{name}");
            let bytes = self.engine.execute(&self.node(), &["cat", &path], &[]).await?;
            Ok::<_, ClusterError>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (ca, certificate, key) = tokio::try_join!(
            read("etcd/ca.crt"),
            read("apiserver-etcd-client.crt"),
            read("apiserver-etcd-client.key"),
        )?;
        Ok(EtcdKeys { ca, certificate, key })
    }
}

/// A log in the node from its beginning, and on while it grows.
fn follow(engine: &Engine, node: &str, log: &str) -> Result<Group, ClusterError> {
    let command = ["tail", "--bytes=+1", "--follow=name", "--retry", log];
    Ok(engine.follow(node, &command)?)
}

impl Own for Kind {
    fn create<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<Created, ClusterError>> {
        self.make(settings).boxed_local()
    }

    /// kind waits for it.
    fn complete(&self) -> LocalBoxFuture<'_, Result<(), ClusterError>> {
        async { Ok(()) }.boxed_local()
    }

    /// Waits until the node's container has ended.
    fn ended(&self) -> BoxFuture<'static, ClusterError> {
        let (engine, node) = (self.engine.clone(), self.node());
        async move {
            match engine.wait(&node).await {
                Ok(()) => KindError::NodeEnded.into(),
                Err(error) => error.into(),
            }
        }
        .boxed()
    }

    fn log(&self) -> Result<Group, ClusterError> {
        follow(&self.engine, &self.node(), AUDIT_LOG)
    }

    /// The flags of the process and the files in the node: kind drops a wrong form of either without a word.
    fn read_back<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<ReadBack, ClusterError>> {
        async move {
            let (flags, different) =
                tokio::try_join!(self.api_server_flags(), self.different_files(settings))?;
            Ok(ReadBack { flags, different })
        }
        .boxed_local()
    }

    fn start_second<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> LocalBoxFuture<'a, Result<Second, ClusterError>> {
        self.second(settings).boxed_local()
    }

    /// kind says that a cluster is ready before its own pods are: Pod Security may be refusing them.
    fn see_parts<'a>(
        &'a self,
        admin: &'a Client,
        needed: Needed,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        parts::see(admin, needed).boxed_local()
    }

    fn kubelet(&self) -> Option<&dyn Kubelet> {
        Some(self)
    }

    fn brings(&self) -> &'static [(&'static str, &'static str)] {
        &[("StorageClass", "standard"), ("Namespace", "local-path-storage")]
    }

    fn bring_images<'a>(
        &'a self,
        images: &'a BTreeSet<&str>,
    ) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        self.load_images(images).boxed_local()
    }

    fn stand_in(
        self: Arc<Self>,
        _servers: WebhookServers,
    ) -> Result<Option<Arc<dyn StandIn>>, ClusterError> {
        Ok(None)
    }
}

/// The container beside the node from which attacks are sent. It has no identity and no rights, and is started when the
/// first one is.
struct Attacker {
    engine: Engine,
    name: String,
    network: String,
    image: String,
    started: OnceCell<()>,
}

impl Attacker {
    async fn start(&self) -> Result<(), ClusterError> {
        Ok(self.engine.start(&self.name, &self.network, &self.image).await?)
    }
}

impl Probe for Attacker {
    fn ask<'a>(
        &'a self,
        asked: Asked,
        order: &'a [u8],
    ) -> LocalBoxFuture<'a, Result<String, ClusterError>> {
        async move {
            self.started.get_or_try_init(|| self.start()).await?;
            let answer =
                self.engine.execute(&self.name, &["/bin/probe", asked.verb()], order).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        }
        .boxed_local()
    }
}

/// kind's configuration. The API server's settings are written in both forms of kubeadm's configuration: kind
/// takes the one that its kubeadm speaks and drops the other without a word, so they are read back afterwards.
/// From 1.35 on a kubelet does not start on cgroup v1 unless it is told to (KEP-5573), whatever the machine's is.
fn configuration(settings: &Settings) -> Value {
    let volumes = json!([
        {"name": "brinell-settings", "hostPath": SETTINGS, "mountPath": SETTINGS, "readOnly": true, "pathType": "DirectoryOrCreate"},
        {"name": "brinell-logs", "hostPath": LOGS, "mountPath": LOGS, "pathType": "DirectoryOrCreate"},
    ]);
    let list: Vec<Value> =
        settings.flags.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let older = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta3", "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": settings.flags, "extraVolumes": volumes},
    });
    let newer = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": list, "extraVolumes": volumes},
    });
    let mut kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "failCgroupV1": false,
    });
    crate::merge::lay_over(&mut kubelet, &settings.kubelet);
    json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": [
            {"containerPort": SECOND_PORT, "listenAddress": "127.0.0.1", "protocol": "TCP"},
        ]}],
        "kubeadmConfigPatches": [older.to_string(), newer.to_string(), kubelet.to_string()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelets_start_on_cgroup_v1_too() {
        let kubelet = json!({"anonymous": {"enabled": false}});
        let configuration = configuration(&Settings { kubelet, ..Settings::default() });
        let patch = configuration["kubeadmConfigPatches"][2].as_str().unwrap();
        let kubelet: Value = serde_json::from_str(patch).unwrap();
        assert_eq!(kubelet["failCgroupV1"], json!(false));
        assert_eq!(kubelet["anonymous"]["enabled"], json!(false));
    }
}
