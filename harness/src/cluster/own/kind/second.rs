//! A second API server in the node, beside the first and on the same etcd.
//!
//! Restarting the API server takes half a minute and upsets the control plane; a second one is ready in three
//! seconds, and ending it is all that there is to restore (measured).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::{Client, Config};

use super::engine::{Engine, NodeFile};
use super::{Kind, KindError, SECOND_PORT, follow};
use crate::cluster::own::second::{Second, Server};
use crate::cluster::own::{LOGS, SETTINGS, Settings};
use crate::cluster::process::{Group, last_lines};
use crate::cluster::{ClusterError, READY, SERVING, is_ready};
use crate::poll;

/// The unit of the node's systemd that the second API server is.
const UNIT: &str = "brinell-beside";

/// Where its settings lie in the node.
const ITS_SETTINGS: &str = "/etc/brinell-beside";

/// Where its audit log lies in the node.
const ITS_LOGS: &str = "/var/log/brinell-beside";

/// The second API server of a node.
struct Unit {
    engine: Engine,
    node: String,
}

impl Kind {
    /// Starts a second API server and waits until it is ready.
    pub(super) async fn second(&self, settings: &Settings) -> Result<Second, ClusterError> {
        let unit = Arc::new(Unit { engine: self.engine.clone(), node: self.node() });
        unit.lay_files(settings).await?;
        let flags = self.second_flags(settings).await?;
        let config = self.way_to_second().await?;
        unit.run(&flags).await?;
        let second = Second::new(config.clone(), Arc::clone(&unit) as Arc<dyn Server>);
        unit.until_ready(config).await?;
        Ok(second)
    }

    /// The flags of the first API server, with other settings and in another place.
    async fn second_flags(&self, settings: &Settings) -> Result<Vec<String>, ClusterError> {
        let mut flags = self.api_server_flags().await?;
        if let Some(first) = self.settings.get() {
            flags.retain(|flag, _| !first.flags.contains_key(flag));
        }
        flags.retain(|flag, _| !settings.removed.contains(flag));
        for (flag, value) in &settings.flags {
            flags.insert(flag.clone(), moved(value));
        }
        flags.insert("secure-port".to_owned(), SECOND_PORT.to_string());
        // It is no endpoint of the Service: the cluster's own parts keep to the first.
        flags.insert("endpoint-reconciler-type".to_owned(), "none".to_owned());
        Ok(flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect())
    }

    /// The admin's way in to it, by the port that the engine shows.
    async fn way_to_second(&self) -> Result<Config, ClusterError> {
        let mut config = self.admin().await?;
        let port = self.engine.port(&self.node(), SECOND_PORT).await?;
        config.cluster_url = port.parse().map_err(|_| KindError::NoPort {
            node: self.node(),
            port: SECOND_PORT,
            answer: port,
        })?;
        Ok(config)
    }
}

impl Unit {
    /// Lays its files in the node. What an earlier one wrote goes.
    async fn lay_files(&self, settings: &Settings) -> Result<(), ClusterError> {
        let files = settings.files.iter().map(|(name, content)| NodeFile {
            path: format!("{ITS_SETTINGS}/{name}"),
            content: moved(content).into_bytes(),
        });
        let files: Vec<NodeFile> = files.collect();
        self.execute(&["rm", "-rf", ITS_SETTINGS, ITS_LOGS]).await?;
        self.execute(&["mkdir", "-p", ITS_SETTINGS, ITS_LOGS]).await?;
        Ok(self.engine.copy(&self.node, &files).await?)
    }

    /// Starts it, by the program of the first.
    async fn run(&self, flags: &[String]) -> Result<(), ClusterError> {
        let pid = self.execute(&["pidof", "-s", "kube-apiserver"]).await?;
        let program = format!("/proc/{}/root/usr/local/bin/kube-apiserver", pid.trim());
        let unit = format!("--unit={UNIT}");
        let mut command = vec!["systemd-run", &unit, "--collect", "--property=KillSignal=SIGKILL"];
        command.push(&program);
        command.extend(flags.iter().map(String::as_str));
        self.execute(&command).await.map(drop)
    }

    async fn until_ready(&self, config: Config) -> Result<(), ClusterError> {
        let client = Client::try_from(config)?;
        let ready = poll::until(SERVING, async || match is_ready(&client, READY).await {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Err(()),
            Err(error) => Ok(Err(error)),
        });
        match ready.await {
            Ok(ready) => ready,
            Err(_) => Err(self.failure(&format!("was not ready within {SERVING:?}")).await),
        }
    }

    async fn failure(&self, state: &str) -> ClusterError {
        let journal = ["journalctl", "--unit", UNIT, "--lines=8", "--output=cat"];
        let words = self.execute(&journal).await.unwrap_or_default();
        ClusterError::NotRunning {
            program: "the second kube-apiserver".to_owned(),
            state: state.to_owned(),
            words: last_lines(&words, 8),
        }
    }

    /// Runs a command in the node and returns what it printed.
    async fn execute(&self, command: &[&str]) -> Result<String, ClusterError> {
        let printed = self.engine.execute(&self.node, command, &[]).await?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }
}

impl Server for Unit {
    fn log(&self) -> Result<Group, ClusterError> {
        follow(&self.engine, &self.node, &format!("{ITS_LOGS}/audit.log"))
    }

    fn has_log(&self) -> BoxFuture<'_, Result<bool, ClusterError>> {
        async { Ok(!self.execute(&["ls", "-A", ITS_LOGS]).await?.is_empty()) }.boxed()
    }

    fn end(self: Arc<Self>) -> BoxFuture<'static, Result<(), ClusterError>> {
        async move {
            match self.execute(&["systemctl", "stop", UNIT]).await {
                Ok(_) => Ok(()),
                Err(_) => Err(self.failure("had ended by itself").await),
            }
        }
        .boxed()
    }
}

/// A flag's value or a file's text, with the folders of the second API server in the place of the first one's.
fn moved(text: &str) -> String {
    text.replace(&format!("{SETTINGS}/"), &format!("{ITS_SETTINGS}/"))
        .replace(&format!("{LOGS}/"), &format!("{ITS_LOGS}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_names_is_the_second_servers_own_as_well() {
        let own = moved("kubeConfigFile: /etc/brinell/webhooks.yaml");
        assert_eq!(own, "kubeConfigFile: /etc/brinell-beside/webhooks.yaml");
        assert_eq!(moved("/var/log/brinell/audit.log"), "/var/log/brinell-beside/audit.log");
    }

    #[test]
    fn the_second_server_shares_no_folder_with_the_first() {
        assert!(!ITS_SETTINGS.starts_with(&format!("{SETTINGS}/")));
        assert!(!ITS_LOGS.starts_with(&format!("{LOGS}/")));
    }
}
