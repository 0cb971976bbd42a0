//! A second API server on the same etcd, with settings of its own: the first is never touched.

use std::fs;
use std::io::{self, ErrorKind};

use kube::{Client, Config};

use super::parts::Place;
use super::{Embedded, lock};
use crate::cluster::ClusterError;
use crate::cluster::process::Group;
use crate::cluster::settings::Settings;
use crate::cluster::supervisor;

/// The folder below the run's own that holds what it reads and writes.
const FOLDER: &str = "beside";

impl Embedded {
    /// Starts it and waits until it is ready. Returns the admin's way in to it.
    pub(in crate::cluster) async fn start_beside(
        &self,
        settings: &Settings,
    ) -> Result<Config, ClusterError> {
        let place = self.second();
        self.clear()
            .and_then(|()| self.write_settings(&place, settings))
            .map_err(ClusterError::Folder)?;
        self.start(&self.api_server(&place, settings), &place, &self.beside)?;
        let mut config = self.admin().await?;
        let url = format!("https://{}:{}", super::keys::LOOPBACK, place.port);
        config.cluster_url = url.parse().map_err(|_| ClusterError::NoApiServer)?;
        self.until_ready(&Client::try_from(config.clone())?, &self.beside).await?;
        Ok(config)
    }

    /// What an earlier one wrote must not be read as this one's.
    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.file(FOLDER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends it.
    pub(in crate::cluster) fn end_beside(&self) {
        supervisor::end(&mut lock(&self.beside));
    }

    /// Its audit log from its beginning, and on while it grows.
    pub(in crate::cluster) fn beside_log(&self) -> Result<Group, ClusterError> {
        self.follow(&self.second())
    }

    /// Whether it has written any.
    pub(in crate::cluster) fn has_beside_log(&self) -> bool {
        self.audit_log_in(&self.second()).exists()
    }

    fn second(&self) -> Place {
        Place { folder: FOLDER, port: self.ports.beside }
    }
}
