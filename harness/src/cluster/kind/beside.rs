//! Weakening a node without touching its API server: a second one beside it, and the kubelet's settings.
//!
//! Restarting the API server takes half a minute and upsets the control plane; a second one is ready in three
//! seconds, and ending it is all that there is to restore (measured).

use kube::{Client, Config};
use serde_json::Value;

use super::{BESIDE_PORT, Kind};
use crate::catalog::documents;
use crate::cluster::engine::NodeFile;
use crate::cluster::process::{Group, last_lines};
use crate::cluster::settings::{LOGS, SETTINGS, Settings};
use crate::cluster::{ClusterError, STARTING};
use crate::poll;

/// The unit of the node's systemd that the second API server is.
const UNIT: &str = "brinell-beside";

/// Where its settings lie in the node.
const BESIDE_SETTINGS: &str = "/etc/brinell-beside";

/// Where its audit log lies in the node.
const BESIDE_LOGS: &str = "/var/log/brinell-beside";

/// The kubelet's configuration, as kubeadm wrote it.
const KUBELET: &str = "/var/lib/kubelet/config.yaml";

impl Kind {
    /// Starts a second API server on the same etcd, and waits until it is ready. Returns the admin's way in to it.
    pub(in crate::cluster) async fn start_beside(
        &self,
        settings: &Settings,
    ) -> Result<Config, ClusterError> {
        let node = self.node();
        let files = settings.files.iter().map(|(name, content)| NodeFile {
            path: format!("{BESIDE_SETTINGS}/{name}"),
            content: beside(content).into_bytes(),
        });
        let files: Vec<NodeFile> = files.collect();
        self.engine.execute(&node, &["rm", "-rf", BESIDE_SETTINGS, BESIDE_LOGS], &[]).await?;
        self.engine.execute(&node, &["mkdir", "-p", BESIDE_SETTINGS, BESIDE_LOGS], &[]).await?;
        self.engine.copy(&node, &files).await?;
        let pid = self.engine.execute(&node, &["pidof", "-s", "kube-apiserver"], &[]).await?;
        let pid = String::from_utf8_lossy(&pid).trim().to_owned();
        let program = format!("/proc/{pid}/root/usr/local/bin/kube-apiserver");
        let flags = self.beside_flags(settings).await?;
        let unit = format!("--unit={UNIT}");
        let mut command = vec!["systemd-run", &unit, "--collect", "--property=KillSignal=SIGKILL"];
        command.push(&program);
        command.extend(flags.iter().map(String::as_str));
        self.engine.execute(&node, &command, &[]).await?;
        let mut config = self.admin().await?;
        let port = self.engine.port(&node, BESIDE_PORT).await?;
        config.cluster_url = port.parse().map_err(|_| ClusterError::NoPort {
            node,
            port: BESIDE_PORT,
            answer: port,
        })?;
        self.until_beside_ready(config.clone()).await?;
        Ok(config)
    }

    /// The flags of the first API server, with other settings and in another place.
    async fn beside_flags(&self, settings: &Settings) -> Result<Vec<String>, ClusterError> {
        let mut flags = self.api_server_flags().await?;
        if let Some(first) = self.settings.get() {
            flags.retain(|flag, _| !first.flags.contains_key(flag));
        }
        for (flag, value) in &settings.flags {
            flags.insert(flag.clone(), beside(value));
        }
        flags.insert("secure-port".to_owned(), BESIDE_PORT.to_string());
        // It is no endpoint of the Service: the cluster's own parts keep to the first.
        flags.insert("endpoint-reconciler-type".to_owned(), "none".to_owned());
        Ok(flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect())
    }

    async fn until_beside_ready(&self, config: Config) -> Result<(), ClusterError> {
        let client = Client::try_from(config)?;
        let ready = poll::until(STARTING, async || match crate::cluster::is_ready(&client).await {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Err(()),
            Err(error) => Ok(Err(error)),
        });
        match ready.await {
            Ok(ready) => ready,
            Err(_) => Err(self.beside_failure(&format!("was not ready within {STARTING:?}")).await),
        }
    }

    async fn beside_failure(&self, state: &str) -> ClusterError {
        let journal = ["journalctl", "--unit", UNIT, "--lines=8", "--output=cat"];
        let words = self.engine.execute(&self.node(), &journal, &[]).await.unwrap_or_default();
        ClusterError::NotRunning {
            program: "the second kube-apiserver".to_owned(),
            state: state.to_owned(),
            words: last_lines(&String::from_utf8_lossy(&words), 8),
        }
    }

    /// Ends the second API server.
    pub(in crate::cluster) async fn end_beside(&self) -> Result<(), ClusterError> {
        let stop = ["systemctl", "stop", UNIT];
        match self.engine.execute(&self.node(), &stop, &[]).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.beside_failure("had ended by itself").await),
        }
    }

    /// The second API server's audit log from its beginning, and on while it grows.
    pub(in crate::cluster) fn beside_log(&self) -> Result<Group, ClusterError> {
        Ok(self.follow(&format!("{BESIDE_LOGS}/audit.log"))?)
    }

    /// Whether it has written any.
    pub(in crate::cluster) async fn has_beside_log(&self) -> Result<bool, ClusterError> {
        let list = ["ls", "-A", BESIDE_LOGS];
        Ok(!self.engine.execute(&self.node(), &list, &[]).await?.is_empty())
    }

    /// Lays settings over the kubelet's own, or nothing, which restores them; and restarts it.
    pub(in crate::cluster) async fn set_kubelet(
        &self,
        settings: Option<&Value>,
    ) -> Result<(), ClusterError> {
        let node = self.node();
        let read = || self.engine.execute(&node, &["cat", KUBELET], &[]);
        let original = self.kubelet.get_or_try_init(read).await?;
        let content = match settings {
            None => original.clone(),
            Some(over) => {
                let text = String::from_utf8_lossy(original);
                let mut configuration = documents(&text)
                    .ok()
                    .and_then(|documents| documents.into_iter().next())
                    .ok_or(ClusterError::NoKubelet)?;
                crate::merge::patch(&mut configuration, over);
                // JSON is YAML, and the kubelet reads either.
                configuration.to_string().into_bytes()
            }
        };
        self.engine.execute(&node, &["tee", KUBELET], &content).await?;
        let restart = ["systemctl", "restart", "kubelet"];
        Ok(self.engine.execute(&node, &restart, &[]).await.map(drop)?)
    }
}

/// A flag's value or a file's text, with everything that it names where the second API server has it.
fn beside(text: &str) -> String {
    text.replace(&format!("{SETTINGS}/"), &format!("{BESIDE_SETTINGS}/"))
        .replace(&format!("{LOGS}/"), &format!("{BESIDE_LOGS}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_names_is_the_second_servers_own_as_well() {
        let own = beside("kubeConfigFile: /etc/brinell/webhooks.yaml");
        assert_eq!(own, "kubeConfigFile: /etc/brinell-beside/webhooks.yaml");
        assert_eq!(beside("/var/log/brinell/audit.log"), "/var/log/brinell-beside/audit.log");
    }

    #[test]
    fn the_second_server_shares_no_folder_with_the_first() {
        assert!(!BESIDE_SETTINGS.starts_with(&format!("{SETTINGS}/")));
        assert!(!BESIDE_LOGS.starts_with(&format!("{LOGS}/")));
    }
}
