//! A second API server on the same etcd, with settings of its own: the first is never touched.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;

use super::parts::Seat;
use super::{Embedded, follow, until_ready};
use crate::cluster::own::Settings;
use crate::cluster::own::second::{Second, Server};
use crate::cluster::supervisor::{self, Supervised};
use crate::cluster::{ClusterError, Group};
use crate::lock::lock;

/// The folder below the run's own that holds what it reads and writes.
const FOLDER: &str = "beside";

/// The second API server, which ends with this value.
struct Process {
    /// The API server; empty once it was ended.
    programs: Mutex<Vec<Supervised>>,
    log: PathBuf,
}

impl Embedded {
    /// Starts a second API server and waits until it is ready.
    pub(super) async fn second_server(&self, settings: &Settings) -> Result<Second, ClusterError> {
        let seat = Seat { folder: FOLDER, port: self.ports.second };
        self.clear()
            .and_then(|()| self.write_settings(&seat, settings))
            .map_err(ClusterError::Folder)?;
        let mut config = self.admin().await?;
        let url = format!("https://{}:{}", super::keys::LOOPBACK, seat.port);
        config.cluster_url = url.parse().map_err(|_| ClusterError::NoApiServer)?;
        let program = self.start(&self.api_server(&seat, settings), &seat)?;
        let process = Arc::new(Process {
            programs: Mutex::new(vec![program]),
            log: self.audit_log_in(&seat),
        });
        let second = Second::new(config.clone(), Arc::clone(&process) as Arc<dyn Server>);
        until_ready(&Client::try_from(config)?, &process.programs).await?;
        Ok(second)
    }

    /// What an earlier one wrote must not be read as this one's.
    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.file(FOLDER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Server for Process {
    fn log(&self) -> Result<Group, ClusterError> {
        follow(&self.log)
    }

    fn has_log(&self) -> BoxFuture<'_, Result<bool, ClusterError>> {
        async { Ok(self.log.exists()) }.boxed()
    }

    fn end(self: Arc<Self>) -> BoxFuture<'static, Result<(), ClusterError>> {
        async move {
            supervisor::end(&mut lock(&self.programs));
            Ok(())
        }
        .boxed()
    }
}
