//! Credentials of somebody's own: before anything is made they are seen to lead to the cluster of the run, and to be
//! taken there.

use kube::Config;

use super::files::{self, FileError};
use super::way::{ReachError, Way};
use super::{Existing, uid};
use crate::cluster::{Access, client, who_am_i};
use crate::model::{Context, Credentials, Somebody};
use crate::text::{api_words, without_credentials};

/// The user name of whoever sends no credentials.
const NOBODY: &str = "system:anonymous";

/// Credentials that the API server takes.
pub struct Taken {
    /// The way in with them.
    pub config: Config,
    /// As whom.
    pub user: String,
    /// The bearer token, where they are one in a file.
    pub token: Option<String>,
    /// Whether they lead to the cluster by another address than the admin's.
    pub elsewhere: bool,
}

/// Somebody's own credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The kubeconfig, or its context.
    #[error(transparent)]
    Reach(#[from] Box<ReachError>),
    /// The file of a token.
    #[error(transparent)]
    File(#[from] FileError),
    /// They are for another cluster.
    #[error(
        "{way} leads to {server}, which is not shown to be the cluster of this run: neither is it the same server with \
         the same authorities, nor could the UID of its kube-system be read and is the same"
    )]
    OtherCluster {
        /// How they were found.
        way: Way,
        /// Where they lead.
        server: String,
    },
    /// The API server does not take them, or they cannot be had.
    #[error("the credentials of {whose} cannot be used: {}", api_words(cause))]
    Refused {
        /// Whose.
        whose: String,
        /// Why not.
        cause: kube::Error,
    },
    /// There are none.
    #[error("{0} has no credentials: the API server takes it for {NOBODY}")]
    Nobody(String),
}

/// Sees that credentials lead to this cluster and are taken there.
///
/// # Errors
/// When they do not, or are not.
pub async fn take(credentials: &Credentials, access: &Access) -> Result<Taken, CredentialsError> {
    let (whose, config, token) = match credentials {
        Credentials::Context(context) => {
            let way = Way::Context(context.clone());
            (way.to_string(), way_there(&way, access).await?, None)
        }
        Credentials::TokenFile(path) => {
            let (token, _) = files::token(path)?;
            let whose = format!("the token file {}", path.display());
            (whose, access.bare(Some(&token)), Some(token))
        }
    };
    let refused = |cause| CredentialsError::Refused { whose: whose.clone(), cause };
    let asking = client(config.clone(), &access.pace).await.map_err(refused)?;
    match who_am_i(&asking).await.map_err(refused)?.username {
        Some(user) if user != NOBODY => {
            let elsewhere = !is_same_server(&config, &access.config);
            Ok(Taken { config, user, token, elsewhere })
        }
        _ => Err(CredentialsError::Nobody(whose)),
    }
}

impl Existing {
    /// As whom the API server takes credentials, so that somebody can act as them.
    ///
    /// # Errors
    /// When they do not lead here, or are not taken.
    pub async fn somebody(&self, credentials: &Credentials) -> Result<Somebody, CredentialsError> {
        let mut credentials = credentials.clone();
        if let Credentials::Context(Context { kubeconfig: it @ None, .. }) = &mut credentials {
            *it = self.way.kubeconfig().cloned();
        }
        let Taken { config, user, .. } = take(&credentials, &self.access).await?;
        let refused = |cause| CredentialsError::Refused { whose: user.clone(), cause };
        let asking = client(config, &self.access.pace).await.map_err(refused)?;
        let groups = who_am_i(&asking).await.map_err(refused)?.groups.unwrap_or_default();
        let groups = groups.into_iter().filter(|group| group != "system:authenticated").collect();
        Ok(Somebody { user, groups, roles: Vec::new() })
    }
}

/// The configuration of a context that leads to this cluster.
async fn way_there(way: &Way, access: &Access) -> Result<Config, CredentialsError> {
    let config = way.config_allowed().await.map_err(Box::new)?;
    if is_same_server(&config, &access.config) {
        return Ok(config);
    }
    // Another server is asked, which must not be production's.
    way.config(None).await.map_err(Box::new)?;
    let refused = |cause| CredentialsError::Refused { whose: way.to_string(), cause };
    let asking = client(config.clone(), &access.pace).await.map_err(refused)?;
    let there = uid(&asking).await.map_err(refused)?;
    // Where the admin's own is not to be read, nothing is shown.
    let here = uid(&access.admin).await.ok().flatten();
    match there.is_some() && there == here {
        true => Ok(config),
        false => Err(CredentialsError::OtherCluster {
            way: way.clone(),
            server: without_credentials(&config.cluster_url.to_string()),
        }),
    }
}

/// Whether both are one address that is trusted by the same authorities.
fn is_same_server(one: &Config, other: &Config) -> bool {
    one.cluster_url == other.cluster_url
        && one.root_cert == other.root_cert
        && one.tls_server_name == other.tls_server_name
        && one.accept_invalid_certs == other.accept_invalid_certs
}
