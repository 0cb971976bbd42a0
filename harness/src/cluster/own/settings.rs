//! What a cluster of our own is made with, whichever kind it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::ServerSettings;

/// The folder that holds the settings' files, as flags name it.
pub const SETTINGS: &str = "/etc/brinell";

/// The folder that holds the audit log, as flags name it.
pub const LOGS: &str = "/var/log/brinell";

/// What the API server and the kubelet are started with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The API server's flags, without dashes.
    pub flags: BTreeMap<String, String>,
    /// Flags that the cluster has by itself and that are taken away.
    pub removed: BTreeSet<String>,
    /// Files below [`SETTINGS`], by name.
    pub files: BTreeMap<String, String>,
    /// What is laid over the KubeletConfiguration.
    pub kubelet: Value,
}

impl Settings {
    /// The part of them that is the API server's.
    pub fn of_server(&self) -> ServerSettings {
        let path = |name: &String| format!("{SETTINGS}/{name}");
        ServerSettings {
            flags: self.flags.clone(),
            files: self.files.iter().map(|(name, text)| (path(name), text.clone())).collect(),
        }
    }
}
