//! exec-guard as a pod: where its certificate, its run and its API server come from.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use kube::{Client, Config};

use super::Faults;
use super::server::{Guard, serve};
use crate::pod::tls::{TlsError, server_config_for};

/// The port that the pod serves on.
const PORT: u16 = 8443;

/// The server's certificate, from a Secret mounted there.
const CERTIFICATE: &str = "/etc/guard/tls.crt";

/// The certificate's private key.
const KEY: &str = "/etc/guard/tls.key";

/// The certificate that the API server shows, from the same Secret.
const CLIENT: &str = "/etc/guard/client.crt";

/// How long a connection to the API server may take.
const CONNECT: Duration = Duration::from_secs(2);

/// exec-guard in its pod.
#[derive(Debug, clap::Args)]
pub struct GuardPod {
    /// The run that the guard belongs to.
    #[arg(long, env = "BRINELL_RUN")]
    run: String,
    #[command(flatten)]
    faults: Faults,
}

/// The guard could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A mounted file is missing.
    #[error(
        "cannot read {path}: {source}. Mount the Secret with tls.crt, tls.key and client.crt there"
    )]
    Read {
        /// The file.
        path: &'static str,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The certificate or its key is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The pod has no ServiceAccount token.
    #[error("cannot find the API server: {0}. The guard runs in a pod with a ServiceAccount")]
    InCluster(#[from] kube::config::InClusterError),
    /// The client for the API server could not be made.
    #[error("cannot make a client for the API server: {0}")]
    Client(#[from] kube::Error),
    /// The port could not be opened or served.
    #[error("cannot serve on port {PORT}: {0}")]
    Serve(#[from] io::Error),
}

impl GuardPod {
    /// Serves until `stop` ends.
    ///
    /// # Errors
    /// When the pod lacks what the guard needs, named in the error.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), GuardError> {
        let tls = server_config_for(&read(CLIENT)?, &read(CERTIFICATE)?, &read(KEY)?)?;
        let guard = Guard::new(self.run, client()?, self.faults);
        Ok(serve(listener()?, tls, guard, stop).await?)
    }
}

fn read(path: &'static str) -> Result<Vec<u8>, GuardError> {
    std::fs::read(path).map_err(|source| GuardError::Read { path, source })
}

fn client() -> Result<Client, GuardError> {
    let mut config = Config::incluster()?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    Ok(Client::try_from(config)?)
}

/// Both families: a cluster may give pods addresses of either.
fn listener() -> io::Result<TcpListener> {
    let any = [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
    ];
    TcpListener::bind(&any[..])
}
