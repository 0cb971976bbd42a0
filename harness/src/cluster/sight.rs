//! What can be seen of a cluster past its API server. What is missing is a need that is not met: what needs it is
//! skipped.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClusterError, Connections, Pulse};
use crate::audit::AuditLog;
use crate::audit::source::Command;
use crate::pod::probe::{self, EtcdAnswer, EtcdOrder, NoAnswer, RequestAnswer, RequestOrder};

/// What can be seen of a cluster.
#[derive(Clone)]
pub struct Sight {
    /// The API server's audit log; `None` if it writes none.
    pub log: Option<AuditLog>,
    /// The user's command that prints the log; `None` where the log comes by itself.
    pub command: Option<Arc<Command>>,
    /// The path of the marked request whose event shows that whatever was answered before is in the log.
    pub fence: &'static str,
    /// The node's own ports; `None` if the node is simulated.
    pub node: Option<NodePorts>,
    /// What is stored; `None` if etcd cannot be read.
    pub etcd: Option<Etcd>,
    /// The API servers that answer.
    pub servers: Servers,
    /// How the API server was started; `None` if it is not known.
    pub settings: Option<ServerSettings>,
    /// Whether controllers use this API server. What they do through another one does not show what this one decides.
    pub controllers: bool,
}

/// The API servers that answer, and how it is known that one was awake when it refused: one that is starting refuses
/// everybody.
#[derive(Clone)]
pub enum Servers {
    /// One. Which process of it answers is watched.
    One(Pulse),
    /// Several, and each connection leads to one of them. The admin opens these.
    OneAConnection(Connections),
    /// It cannot be told which of several answers. No refusal by authorization counts.
    Unknown,
}

impl Servers {
    /// Which process of the only API server answers; `None` if there are more.
    pub fn pulse(&self) -> Option<&Pulse> {
        match self {
            Servers::One(pulse) => Some(pulse),
            Servers::OneAConnection(_) | Servers::Unknown => None,
        }
    }
}

impl Sight {
    /// What is seen of every cluster: which API servers answer.
    pub(crate) fn of(servers: Servers) -> Sight {
        Sight {
            log: None,
            command: None,
            fence: FENCE,
            node: None,
            etcd: None,
            servers,
            settings: None,
            controllers: true,
        }
    }

    /// Why what is not in the log is not proved to be absent; `None` while a marked request proves it.
    pub fn disorder(&self) -> Option<String> {
        self.log.as_ref()?.disorder().or_else(|| self.is_joined().then(|| JOINED.to_owned()))
    }

    /// Whether another API server has joined the only one.
    pub fn is_joined(&self) -> bool {
        self.servers.pulse().is_some_and(Pulse::is_joined)
    }
}

/// Why a marked request proves nothing once there are more API servers than at the beginning.
const JOINED: &str = "another API server has joined since the run began, each writes a log of its own, and which of them answered is not known";

/// A path that is nothing, which every audit policy logs that has a rule for all.
pub const FENCE: &str = "/apis/brinell.dev/fence";

/// What an API server was started with, as far as it is known. On a cluster that is not ours it may come from files
/// that the user hands in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerSettings {
    /// Its flags, without dashes. One that is not here is not set.
    pub flags: BTreeMap<String, String>,
    /// The texts of the files that they name, by the path that stands in the flag. They may hold keys.
    pub files: BTreeMap<String, String>,
}

/// What our probe is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To send a request.
    Request,
    /// To read etcd.
    Etcd,
}

impl Asked {
    /// The probe's own word for it.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Asked::Request => "request",
            Asked::Etcd => "etcd",
        }
    }
}

/// Our probe beside the node, without any identity in the cluster.
pub trait Probe: Send + Sync {
    /// Gives it an order, as JSON, and returns what it printed.
    fn ask<'a>(
        &'a self,
        asked: Asked,
        order: &'a [u8],
    ) -> LocalBoxFuture<'a, Result<String, ClusterError>>;
}

/// The node's ports, from beside it.
#[derive(Clone)]
pub struct NodePorts {
    address: IpAddr,
    probe: Arc<dyn Probe>,
}

impl NodePorts {
    /// The ports of the node with this address.
    pub(super) fn new(address: IpAddr, probe: Arc<dyn Probe>) -> Self {
        NodePorts { address, probe }
    }

    /// Where a port is.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the probe does not answer.
    pub async fn request(
        &self,
        order: &RequestOrder,
    ) -> Result<Result<RequestAnswer, NoAnswer>, ClusterError> {
        ask(&*self.probe, Asked::Request, order).await
    }
}

/// What the API server itself uses to reach etcd.
#[derive(Clone)]
pub struct EtcdKeys {
    /// The certificate authority, PEM.
    pub ca: String,
    /// The client certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
}

/// etcd, past the API server.
#[derive(Clone)]
pub struct Etcd {
    address: SocketAddr,
    keys: EtcdKeys,
    probe: Arc<dyn Probe>,
}

impl Etcd {
    /// etcd at this address.
    pub(super) fn new(address: SocketAddr, keys: EtcdKeys, probe: Arc<dyn Probe>) -> Self {
        Etcd { address, keys, probe }
    }

    /// Reads everything: how many keys there are, which below `prefix` are not encrypted, and which hold `canary`.
    ///
    /// # Errors
    /// When the probe does not answer.
    pub async fn read(
        &self,
        prefix: &str,
        canary: &str,
    ) -> Result<Result<EtcdAnswer, NoAnswer>, ClusterError> {
        let EtcdKeys { ca, certificate, key } = self.keys.clone();
        let order = EtcdOrder {
            address: self.address,
            server_name: self.address.ip().to_string(),
            ca,
            client_cert: certificate,
            client_key: key,
            prefix: prefix.to_owned(),
            canary: canary.to_owned(),
        };
        ask(&*self.probe, Asked::Etcd, &order).await
    }
}

/// Gives the probe an order, and reads its answer.
async fn ask<T: DeserializeOwned>(
    probe: &dyn Probe,
    asked: Asked,
    order: &impl Serialize,
) -> Result<Result<T, NoAnswer>, ClusterError> {
    let order = serde_json::to_vec(order).expect("an order is JSON");
    let answer = probe.ask(asked, &order).await?;
    probe::read(&answer).map_err(|_| ClusterError::ProbeAnswer {
        verb: asked.verb().to_owned(),
        answer: crate::text::cut(&answer, 200),
    })
}
