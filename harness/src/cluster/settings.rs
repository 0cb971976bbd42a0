//! What a cluster is made with, whichever it is.

use std::collections::BTreeMap;

use serde_json::Value;

/// The folder that holds the settings' files, as flags name it.
pub const SETTINGS: &str = "/etc/brinell";

/// The folder that holds the audit log, as flags name it.
pub const LOGS: &str = "/var/log/brinell";

/// What the API server and the kubelet are started with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The API server's flags, without dashes.
    pub flags: BTreeMap<String, String>,
    /// Files below [`SETTINGS`], by name.
    pub files: BTreeMap<String, String>,
    /// What is laid over the KubeletConfiguration.
    pub kubelet: Value,
}

/// How etcd is reached from beside the node.
pub struct EtcdAccess {
    /// The port for clients.
    pub port: u16,
    /// The certificate authority, PEM.
    pub ca: String,
    /// The client certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
}
