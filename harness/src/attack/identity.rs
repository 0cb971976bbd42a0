//! A persona with its credentials: what requests are sent with. One connection pool an identity, no retries:
//! what was sent once must be in the log once.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use crate::cluster::{Access, Connections, Pace, client, who_am_i};
use crate::model::{Impersonated, Persona, User};
use crate::text::encode;

/// How long a token may be used: longer than any run, and then it is worthless.
const TOKEN_SECONDS: i64 = 3600;

/// Who acts, ready to act.
#[derive(Clone)]
pub struct Identity {
    /// The persona's name.
    pub name: String,
    /// The user name that the API server should see.
    pub user: Option<String>,
    /// Whom this identity asks to be.
    pub impersonated: Option<User>,
    /// Sends as this identity.
    pub client: Client,
    token: Option<String>,
    config: Config,
    connections: Arc<OnceCell<Connections>>,
}

/// An identity could not be made.
#[derive(Debug, thiserror::Error)]
#[error("persona {name} could not be given an identity: {}", crate::text::api_words(source))]
pub struct IdentityError {
    name: String,
    source: kube::Error,
}

impl Identity {
    /// Gives a persona its credentials: for a ServiceAccount a token of an hour, by the admin's TokenRequest.
    pub async fn of(name: &str, persona: &Persona, access: &Access) -> Result<Self, IdentityError> {
        let Access { admin, config, .. } = access;
        let failed = |source| IdentityError { name: name.to_owned(), source };
        let token = match persona {
            Persona::ServiceAccount(account)
            | Persona::Impersonated(Impersonated { by: Some(account), .. }) => {
                let accounts = Api::<ServiceAccount>::namespaced(admin.clone(), &account.namespace);
                Some(request_token(&accounts, &account.name).await.map_err(failed)?)
            }
            Persona::BadToken => Some(format!("brinell-{}", crate::text::random_hex(16))),
            Persona::Impersonated(_) | Persona::Anonymous | Persona::Admin => None,
        };
        let is_admin = matches!(
            persona,
            Persona::Admin | Persona::Impersonated(Impersonated { by: None, .. })
        );
        let (user, mut asking) = match is_admin {
            true => (who_am_i(admin).await.map_err(failed)?.username, config.clone()),
            false => (persona.user(), bare(config, token.as_deref())),
        };
        let impersonated = persona.impersonated();
        if let Some(user) = &impersonated {
            asking.auth_info.impersonate = Some(user.username.clone());
            asking.auth_info.impersonate_groups = Some(user.groups.clone());
        }
        if let Persona::Impersonated(impersonated) = persona {
            asking.headers.extend(
                headers(impersonated).map_err(|error| failed(kube::Error::HttpError(error)))?,
            );
        }
        Ok(Identity {
            name: name.to_owned(),
            user,
            impersonated,
            client: client(asking.clone(), &access.pace).map_err(failed)?,
            token,
            config: asking,
            connections: Arc::default(),
        })
    }

    /// Opens connections of which each is used by itself.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub async fn connections(&self, pace: &Pace) -> Result<&Connections, kube::Error> {
        self.connections.get_or_try_init(async || Connections::of(&self.config, pace)).await
    }

    /// The bearer token, for what asks another server than the API server. Never printed.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// The headers of impersonation that kube has no fields for. A key is encoded, because it may hold a slash.
fn headers(impersonated: &Impersonated) -> Result<Vec<(HeaderName, HeaderValue)>, http::Error> {
    let uid = impersonated.uid.iter().map(|uid| ("Impersonate-Uid".to_owned(), uid));
    let extra = impersonated.extra.iter().flat_map(|(key, values)| {
        let name = format!("Impersonate-Extra-{}", encode(key));
        values.iter().map(move |value| (name.clone(), value))
    });
    let header = |(name, value): (String, &String)| Ok((name.parse()?, value.parse()?));
    uid.chain(extra).map(header).collect()
}

async fn request_token(accounts: &Api<ServiceAccount>, name: &str) -> Result<String, kube::Error> {
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..Default::default() },
        ..Default::default()
    };
    let granted = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(granted.status.map(|status| status.token).unwrap_or_default())
}

/// The same server without the admin's credentials.
fn bare(config: &Config, token: Option<&str>) -> Config {
    let mut bare = config.clone();
    bare.auth_info = kube::config::AuthInfo::default();
    bare.auth_info.token = token.map(|token| token.to_owned().into());
    bare
}
