//! The programs of an embedded cluster and what they are started with: what kubeadm gives a control plane
//! (<https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/>), on loopback, and the
//! profile's settings over it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::keys::{LOOPBACK, Pair};
use super::{Embedded, guard};
use crate::cluster::own::{LOGS, SETTINGS, Settings};

/// The controllers that make pods of workloads, and namespaces habitable and empty again. The others would only
/// delay these, and one of them would take the simulated node, which sends no heartbeats, for dead.
const CONTROLLERS: [&str; 13] = [
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "replicationcontroller-controller",
    "replicaset-controller",
    "deployment-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
];

/// Where an API server reads, writes and listens.
pub(super) struct Seat {
    /// A folder below the run's own.
    pub(super) folder: &'static str,
    /// A port on loopback.
    pub(super) port: u16,
}

/// One program.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

impl Embedded {
    /// Everything that the programs read, for the owner's eyes only.
    pub(super) fn write_files(&self, settings: &Settings) -> io::Result<()> {
        let keys = &self.keys;
        for (name, content) in [
            ("ca.crt", keys.ca.as_str()),
            ("etcd-ca.crt", &keys.etcd_ca),
            ("tokens.key", &keys.tokens.serialize_pem()),
            ("tokens.pub", &keys.tokens.public_key_pem()),
            ("kubeconfig", &self.kubeconfig(&keys.admin, self.ports.api_server)),
            (
                "controller-manager.kubeconfig",
                &self.kubeconfig(&keys.controller_manager, self.ports.door),
            ),
        ] {
            self.folder.write(name, content.as_bytes())?;
        }
        for (name, pair) in [
            ("api-server", &keys.api_server),
            ("kubelet-client", &keys.kubelet_client),
            ("etcd", &keys.etcd),
            ("etcd-client", &keys.etcd_client),
        ] {
            self.folder.write(&format!("{name}.crt"), pair.certificate.as_bytes())?;
            self.folder.write(&format!("{name}.key"), pair.key.as_bytes())?;
        }
        self.write_settings(&self.first(), settings)
    }

    /// Where the first API server reads, writes and listens.
    pub(super) fn first(&self) -> Seat {
        Seat { folder: ".", port: self.ports.api_server }
    }

    /// The files that the settings' flags name.
    pub(super) fn write_settings(&self, seat: &Seat, settings: &Settings) -> io::Result<()> {
        self.folder.make(&format!("{}/settings", seat.folder))?;
        self.folder.make(&format!("{}/logs", seat.folder))?;
        for (name, content) in &settings.files {
            let content = self.here(seat, content);
            self.folder.write(&format!("{}/settings/{name}", seat.folder), content.as_bytes())?;
        }
        Ok(())
    }

    /// A flag's value or a file's text, with the folders of this run in the place of the node's.
    pub(super) fn here(&self, seat: &Seat, text: &str) -> String {
        let folder = |name: &str| self.file(&format!("{}/{name}/", seat.folder));
        let text = text
            .replace(&format!("{SETTINGS}/"), &folder("settings"))
            .replace(&format!("{LOGS}/"), &folder("logs"));
        guard::called_here(&text, self.ports.guard)
    }

    /// A kubeconfig that leads to a port, as JSON, which is YAML.
    fn kubeconfig(&self, pair: &Pair, port: u16) -> String {
        let base64 = |text: &str| crate::text::base64(text.as_bytes());
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "brinell",
            "clusters": [{"name": "brinell", "cluster": {
                "server": format!("https://{LOOPBACK}:{port}"),
                "certificate-authority-data": base64(&self.keys.ca),
            }}],
            "users": [{"name": "brinell", "user": {
                "client-certificate-data": base64(&pair.certificate),
                "client-key-data": base64(&pair.key),
            }}],
            "contexts": [{"name": "brinell", "context": {"cluster": "brinell", "user": "brinell"}}],
        })
        .to_string()
    }

    /// etcd and the API server. They start together: each waits for the other.
    pub(super) fn servers(&self, settings: &Settings) -> [Part; 2] {
        [
            part("etcd", &self.assets.etcd.path, self.etcd_flags()),
            self.api_server(&self.first(), settings),
        ]
    }

    /// An API server in its seat.
    pub(super) fn api_server(&self, seat: &Seat, settings: &Settings) -> Part {
        let flags = self.all_flags(seat, settings);
        part("kube-apiserver", &self.assets.api_server.path, flags)
    }

    /// The controller manager. It comes to the API server by the door.
    pub(super) fn controller_manager(&self) -> Part {
        let program = &self.assets.controller_manager.path;
        part("kube-controller-manager", program, self.controller_manager_flags())
    }

    fn file(&self, name: &str) -> String {
        self.folder.file(name).to_string_lossy().into_owned()
    }

    /// Both ports demand certificates; the one for other members is any, because there are none.
    fn etcd_flags(&self) -> BTreeMap<String, String> {
        let url = format!("https://{LOOPBACK}:{}", self.ports.etcd);
        flags([
            ("data-dir", self.file("etcd")),
            ("listen-client-urls", url.clone()),
            ("advertise-client-urls", url),
            ("listen-peer-urls", format!("https://{LOOPBACK}:0")),
            ("cert-file", self.file("etcd.crt")),
            ("key-file", self.file("etcd.key")),
            ("trusted-ca-file", self.file("etcd-ca.crt")),
            ("client-cert-auth", "true".to_owned()),
            ("peer-cert-file", self.file("etcd.crt")),
            ("peer-key-file", self.file("etcd.key")),
            ("peer-trusted-ca-file", self.file("etcd-ca.crt")),
            ("peer-client-cert-auth", "true".to_owned()),
            // A single member elects itself. With the default it would wait a second for others, and the user with it.
            ("heartbeat-interval", "10".to_owned()),
            ("election-timeout", "100".to_owned()),
            // What is thrown away need not survive a power failure.
            ("unsafe-no-fsync", "true".to_owned()),
        ])
    }

    /// kubeadm's flags, without those that the profile takes away, with its own laid over them and with the folders of
    /// this run. What makes the cluster one by itself nobody changes.
    fn all_flags(&self, seat: &Seat, settings: &Settings) -> BTreeMap<String, String> {
        let mut flags = default_flags();
        flags.retain(|name, _| !settings.removed.contains(name));
        for (name, value) in &settings.flags {
            flags.insert(name.clone(), self.here(seat, value));
        }
        flags.extend(own_flags(seat.port, self.ports.etcd, |name| self.file(name)));
        flags
    }

    fn controller_manager_flags(&self) -> BTreeMap<String, String> {
        flags([
            ("kubeconfig", self.file("controller-manager.kubeconfig")),
            ("root-ca-file", self.file("ca.crt")),
            ("service-account-private-key-file", self.file("tokens.key")),
            ("use-service-account-credentials", "true".to_owned()),
            ("leader-elect", "false".to_owned()),
            // Nobody asks it anything, and it need not listen.
            ("secure-port", "0".to_owned()),
            ("controllers", CONTROLLERS.join(",")),
            // Each controller makes its own ServiceAccount first, one after the other.
            ("kube-api-qps", "1000".to_owned()),
            ("kube-api-burst", "1000".to_owned()),
        ])
    }
}

/// What an API server at a port is by itself: its address, its etcd, its keys. Files lie where the run has its own.
fn own_flags(
    port: u16,
    etcd: u16,
    file: impl Fn(&'static str) -> String,
) -> BTreeMap<String, String> {
    flags([
        ("bind-address", LOOPBACK.to_owned()),
        ("advertise-address", LOOPBACK.to_owned()),
        ("secure-port", port.to_string()),
        // An address on loopback is no endpoint of a Service.
        ("endpoint-reconciler-type", "none".to_owned()),
        ("client-ca-file", file("ca.crt")),
        ("tls-cert-file", file("api-server.crt")),
        ("tls-private-key-file", file("api-server.key")),
        ("etcd-servers", format!("https://{LOOPBACK}:{etcd}")),
        ("etcd-cafile", file("etcd-ca.crt")),
        ("etcd-certfile", file("etcd-client.crt")),
        ("etcd-keyfile", file("etcd-client.key")),
        ("kubelet-certificate-authority", file("ca.crt")),
        ("kubelet-client-certificate", file("kubelet-client.crt")),
        ("kubelet-client-key", file("kubelet-client.key")),
        ("service-account-key-file", file("tokens.pub")),
        ("service-account-signing-key-file", file("tokens.key")),
    ])
}

/// What kubeadm gives an API server, and a profile may change.
fn default_flags() -> BTreeMap<String, String> {
    flags([
        ("allow-privileged", "true".to_owned()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("enable-bootstrap-token-auth", "true".to_owned()),
        ("kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
    ])
}

fn part(name: &'static str, program: &Path, flags: BTreeMap<String, String>) -> Part {
    let arguments = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    Part { name, program: program.to_owned(), arguments }
}

fn flags<const COUNT: usize>(flags: [(&str, String); COUNT]) -> BTreeMap<String, String> {
    flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::is_own_flag;

    #[test]
    fn nobody_may_set_what_a_cluster_is_by_itself() {
        let own = own_flags(1, 2, str::to_owned);
        let settable = own.keys().find(|flag| !is_own_flag(flag));
        assert_eq!(settable, None, "it belongs into catalog/own_flags.rs");
        assert!(!default_flags().keys().any(|flag| is_own_flag(flag)));
    }
}
