//! How an attempt is sent where there are several API servers: by a connection of its own, so that one of them answers
//! all of it. The connection is opened when something is sent, and that one is asked first whether it is ready.

use kube::Client;
use tokio::sync::OnceCell;

use super::{ActionError, Identity, World};
use crate::cluster::{Access, Connection, Connections, Greeting, Servers, silence};
use crate::model::{Silence, SilenceKind};
use crate::text::api_words;

const ELSEWHERE: &str = "it is reached by another address than the admin's, and nothing shows whether one API server \
                         answers all of a connection there";

/// An attempt's own connection.
pub struct Wire {
    connections: Connections,
    opened: OnceCell<Result<(Connection, Greeting), String>>,
    /// Whether it leads to the cluster by another address than the admin's: where TLS ends on that way is not known.
    elsewhere: bool,
}

impl Wire {
    /// The client that sends by it.
    pub(super) async fn client(&self) -> Result<&Client, Silence> {
        match self.opened.get_or_init(|| self.open()).await {
            Ok((connection, _)) => Ok(&connection.client),
            Err(why) => Err(silence(SilenceKind::Broken, why)),
        }
    }

    async fn open(&self) -> Result<(Connection, Greeting), String> {
        self.connections.open().await.map_err(|error| api_words(&error))
    }

    /// Why it is not known that the API server that answered was awake; `None` where it was seen, or where nothing was
    /// sent.
    pub fn unseen(&self) -> Option<String> {
        match self.opened.get() {
            Some(Ok(_)) if self.elsewhere => Some(ELSEWHERE.to_owned()),
            Some(Ok((_, Greeting::Untold(words)))) => Some(words.clone()),
            _ => None,
        }
    }

    /// Sends a marked request after all that was sent. `None` where nothing was.
    ///
    /// # Errors
    /// Why it could not be sent.
    pub async fn mark(&self, path: &str, audit_id: &str) -> Option<Result<(), String>> {
        let (connection, _) = self.opened.get()?.as_ref().ok()?;
        if self.elsewhere {
            return Some(Err(ELSEWHERE.to_owned()));
        }
        Some(connection.mark(path, audit_id).await.map_err(|error| api_words(&error)))
    }
}

impl World {
    /// How an attempt of this identity is sent; `None` where any connection will do.
    ///
    /// # Errors
    /// When its credentials cannot be used.
    pub async fn wire(&self, identity: &Identity) -> Result<Option<Wire>, kube::Error> {
        if !matches!(self.sight.servers, Servers::OneAConnection(_)) {
            return Ok(None);
        }
        let connections = identity.connections(&self.access.pace).await?.clone();
        let elsewhere = identity.elsewhere;
        Ok(Some(Wire { connections, opened: OnceCell::new(), elsewhere }))
    }

    /// This world, whose admin asks one API server that was seen awake.
    ///
    /// # Errors
    /// When there are several and the one that answers was not.
    pub(super) async fn of_one_server(&self) -> Result<World, ActionError> {
        let Servers::OneAConnection(admin) = &self.sight.servers else {
            return Ok(self.clone());
        };
        let (connection, greeting) = admin.open().await?;
        if let Greeting::Untold(words) = greeting {
            return Err(ActionError::Missing(format!(
                "the API server that answers was not seen awake, and one that starts refuses everybody: {words}"
            )));
        }
        let access = Access { admin: connection.client, ..self.access.clone() };
        Ok(World { access, ..self.clone() })
    }
}
