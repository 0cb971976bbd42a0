//! A kind cluster of one node, made with the profile's settings and removed at the end.

mod beside;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::engine::{Engine, NodeFile, RUN_LABEL};
use crate::cluster::image::Image;
use crate::cluster::process::{
    ANSWERING, CHANGING, Group, MAKING, Outside, ProcessError, last_lines,
};
use crate::cluster::settings::{EtcdAccess, LOGS, SETTINGS, Settings};
use crate::cluster::{ClusterError, RunFolder, image_name, way_in};
use crate::pod::probe::{self, NoAnswer};
use crate::text::without_credentials;

/// Where the API server's audit log lies, as the control audit-policy writes it.
const AUDIT_LOG: &str = "/var/log/brinell/audit.log";

/// etcd's port for clients.
const ETCD_PORT: u16 = 2379;

/// The port in the node of a second API server, which the engine shows on loopback.
const BESIDE_PORT: u16 = 6444;

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

/// The version that is tested when none is asked for.
pub const DEFAULT_VERSION: &str = "1.36";

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
    attacker: OnceCell<String>,
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
            attacker: OnceCell::new(),
            settings: OnceLock::new(),
            kubelet: OnceCell::new(),
        }
    }

    /// The run that it belongs to.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    fn name(&self) -> String {
        format!("brinell-{}", self.run)
    }

    /// The node's container.
    pub fn node(&self) -> String {
        format!("{}-control-plane", self.name())
    }

    /// Makes the cluster with the given settings, and gives it our image. Returns how long kind itself took.
    pub async fn create(&self, settings: &Settings) -> Result<Duration, ClusterError> {
        self.settings.get_or_init(|| settings.clone());
        let (made_in, ()) = tokio::try_join!(self.create_node(settings), self.make_image())?;
        self.load_image().await?;
        Ok(made_in)
    }

    async fn create_node(&self, settings: &Settings) -> Result<Duration, ClusterError> {
        let node_image = &self.node_image;
        self.engine
            .have_image(node_image)
            .await
            .map_err(|engine| ClusterError::NoNodeImage { image: node_image.clone(), engine })?;
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
        ClusterError::NotCreated { kind, words }
    }

    /// Waits until the node's container has ended.
    pub(super) fn ended(&self) -> impl Future<Output = ClusterError> + Send + use<> {
        let (engine, node) = (self.engine.clone(), self.node());
        async move {
            match engine.wait(&node).await {
                Ok(()) => ClusterError::NodeEnded,
                Err(error) => error.into(),
            }
        }
    }

    /// Makes the image of our own executable and gives it to the engine, for the attacker's container.
    async fn make_image(&self) -> Result<(), ClusterError> {
        let archive = self.folder.write("image.tar", b"").map_err(ClusterError::Folder)?;
        // In place, so that an interrupt cannot leave it writing into a folder that is being removed.
        tokio::task::block_in_place(|| {
            let labels = BTreeMap::from([(RUN_LABEL.to_owned(), self.run.clone())]);
            Image::of_this_executable(image_name(&self.run), labels)?.write(&archive)
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

    /// The admin's way in.
    pub async fn admin(&self) -> Result<kube::Config, ClusterError> {
        way_in(&self.folder.file("kubeconfig")).await
    }

    /// The flags with which the API server really runs.
    pub async fn api_server_flags(&self) -> Result<BTreeMap<String, String>, ClusterError> {
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

    /// Whether a settings' file lies in the node as settings have it.
    pub(super) async fn has_settings_file(
        &self,
        name: &str,
        text: &str,
    ) -> Result<bool, ClusterError> {
        let path = format!("{SETTINGS}/{name}");
        Ok(self.engine.execute(&self.node(), &["cat", &path], &[]).await? == text.as_bytes())
    }

    /// The audit log from its beginning, and on while it grows.
    pub fn audit_log(&self) -> Result<Group, ClusterError> {
        Ok(self.follow(AUDIT_LOG)?)
    }

    fn follow(&self, log: &str) -> Result<Group, ProcessError> {
        let command = ["tail", "--bytes=+1", "--follow=name", "--retry", log];
        self.engine.follow(&self.node(), &command)
    }

    /// Gives our probe an order in a container beside the node, which has no identity and no rights.
    pub async fn probe<T: DeserializeOwned>(
        &self,
        verb: &str,
        order: &impl Serialize,
    ) -> Result<Result<T, NoAnswer>, ClusterError> {
        let attacker = self.attacker.get_or_try_init(|| self.start_attacker()).await?;
        let order = serde_json::to_vec(order).expect("an order is JSON");
        let answer = self.engine.execute(attacker, &["/bin/probe", verb], &order).await?;
        let answer = String::from_utf8_lossy(&answer);
        probe::read(&answer).map_err(|_| ClusterError::ProbeAnswer {
            verb: verb.to_owned(),
            answer: crate::text::cut(&answer, 200),
        })
    }

    async fn start_attacker(&self) -> Result<String, ClusterError> {
        let name = format!("{}-attacker", self.name());
        self.engine.start(&name, &self.name(), &image_name(&self.run)).await?;
        Ok(name)
    }

    /// The API server's own certificate for etcd.
    pub async fn etcd_access(&self) -> Result<EtcdAccess, ClusterError> {
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
        Ok(EtcdAccess { port: ETCD_PORT, ca, certificate, key })
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
    crate::merge::patch(&mut kubelet, &settings.kubelet);
    json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": [
            {"containerPort": BESIDE_PORT, "listenAddress": "127.0.0.1", "protocol": "TCP"},
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
