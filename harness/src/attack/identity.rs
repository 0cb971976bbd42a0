//! A persona with its credentials: what requests are sent with. One connection pool an identity, no retries:
//! what was sent once must be in the log once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, HeaderValue};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use super::{ActionError, Observation};
use crate::cluster::{
    Access, Connections, CredentialsError, Pace, Refused, Taken, take, telling_client,
};
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
    /// Whether the API server has taken its credentials; `None` where there are none that it should take.
    taken: Option<Arc<AtomicBool>>,
    /// Whether it leads to the cluster by another address than the admin's.
    pub elsewhere: bool,
    config: Config,
    connections: Arc<OnceCell<Connections>>,
    refused: Refused,
}

/// What requests are sent with.
struct Pass {
    config: Config,
    user: Option<String>,
    token: Option<String>,
    elsewhere: bool,
    /// Tells that its credentials were answered 401: of the admin's somebody waits for it.
    refused: Refused,
}

/// An identity could not be made.
#[derive(Debug, thiserror::Error)]
#[error("persona {name} could not be given an identity: {source}")]
pub struct IdentityError {
    name: String,
    source: NoIdentity,
}

/// Why an identity could not be made.
#[derive(Debug, thiserror::Error)]
enum NoIdentity {
    /// The API server gives none.
    #[error("{}", crate::text::api_words(.0))]
    Api(#[from] kube::Error),
    /// Somebody's own credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Identity {
    /// Gives a persona its credentials: for a ServiceAccount a token of an hour, by the admin's TokenRequest.
    pub async fn of(name: &str, persona: &Persona, access: &Access) -> Result<Self, IdentityError> {
        let made = Identity::made(name, persona, access).await;
        made.map_err(|source| IdentityError { name: name.to_owned(), source })
    }

    async fn made(name: &str, persona: &Persona, access: &Access) -> Result<Self, NoIdentity> {
        let Pass { mut config, user, token, elsewhere, refused } = pass(persona, access).await?;
        let impersonated = persona.impersonated();
        if let Some(user) = &impersonated {
            config.auth_info.impersonate = Some(user.username.clone());
            config.auth_info.impersonate_groups = Some(user.groups.clone());
        }
        if let Persona::Impersonated(impersonated) = persona {
            config.headers.extend(headers(impersonated).map_err(kube::Error::HttpError)?);
        }
        let taken = match persona {
            Persona::Anonymous | Persona::BadToken => None,
            // It was asked who they are.
            Persona::Admin
            | Persona::Credentials(_)
            | Persona::Impersonated(Impersonated { by: None, .. }) => {
                Some(Arc::new(AtomicBool::new(true)))
            }
            Persona::ServiceAccount(_) | Persona::Impersonated(_) => Some(Arc::default()),
        };
        Ok(Identity {
            name: name.to_owned(),
            user,
            impersonated,
            client: telling_client(config.clone(), &access.pace, &refused).await?,
            token,
            taken,
            elsewhere,
            config,
            connections: Arc::default(),
            refused,
        })
    }

    /// Whether the API server has taken its credentials up to now.
    pub fn was_taken(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.load(Ordering::Relaxed))
    }

    /// Notes by an answer of the API server that it takes the credentials.
    pub fn note(&self, observation: &Observation) {
        // What a front end answers in the API server's place tells nothing of what that takes.
        let is_its_own = observation.sent.audit_id.is_some() && !observation.answer.is_without_id();
        let code = observation.answer.code().filter(|_| is_its_own);
        if let (Some(taken), Some(code)) = (&self.taken, code)
            && code != 401
        {
            taken.store(true, Ordering::Relaxed);
        }
    }

    /// Opens connections of which each is used by itself.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub async fn connections(&self, pace: &Pace) -> Result<&Connections, kube::Error> {
        let open = || Connections::of(&self.config, pace, &self.refused);
        self.connections.get_or_try_init(open).await
    }

    /// What shows to another server than the API server who acts: the bearer token, never printed; none for whoever has
    /// no credentials at all.
    ///
    /// # Errors
    /// When only the API server can be shown it: by a certificate, or by asking to impersonate.
    pub fn token(&self) -> Result<Option<&str>, ActionError> {
        let is_shown = self.token.is_some() || self.taken.is_none();
        if self.impersonated.is_some() || !is_shown {
            return Err(ActionError::Missing(format!(
                "{} has no token by which a kubelet knows who asks",
                self.name
            )));
        }
        Ok(self.token.as_deref())
    }
}

/// What a persona sends, before any impersonation.
async fn pass(persona: &Persona, access: &Access) -> Result<Pass, NoIdentity> {
    let Access { admin, config, user, .. } = access;
    let refused = Refused::default();
    let token = match persona {
        Persona::Credentials(credentials) => {
            let Taken { config, user, token, elsewhere } = take(credentials, access).await?;
            return Ok(Pass { config, user: Some(user), token, elsewhere, refused });
        }
        Persona::Admin | Persona::Impersonated(Impersonated { by: None, .. }) => {
            let (config, user, refused) = (config.clone(), user.clone(), access.refused.clone());
            return Ok(Pass { config, user, token: None, elsewhere: false, refused });
        }
        Persona::ServiceAccount(account)
        | Persona::Impersonated(Impersonated { by: Some(account), .. }) => {
            let accounts = Api::<ServiceAccount>::namespaced(admin.clone(), &account.namespace);
            Some(request_token(&accounts, &account.name).await?)
        }
        Persona::BadToken => Some(format!("brinell-{}", crate::text::random_hex(16))),
        Persona::Anonymous => None,
    };
    let (config, user) = (access.bare(token.as_deref()), persona.user());
    Ok(Pass { config, user, token, elsewhere: false, refused })
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The way in to what answers 401 to everything.
    async fn refusing() -> Access {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer =
                    "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let config = Config::new(format!("http://{address}").parse().expect("a URL"));
        let pace = Pace::free();
        let admin = crate::cluster::client(config.clone(), &pace).await.expect("no credentials");
        Access { config, pace, user: Some("admin".to_owned()), ..Access::of(admin) }
    }

    #[tokio::test]
    async fn that_the_admins_credentials_ended_is_told_by_whoever_acts_by_them() {
        for (persona, is_told) in [
            (json!("admin"), true),
            (json!({"impersonated": {"user": "jane", "groups": ["developers"]}}), true),
            (json!("anonymous"), false),
            (json!("bad-token"), false),
        ] {
            let access = refusing().await;
            let who: Persona = serde_json::from_value(persona.clone()).expect("a persona");
            let identity = Identity::of("somebody", &who, &access).await.expect("made");
            let request = http::Request::get("/api").body(Vec::new()).expect("built");
            identity.client.request_text(request).await.expect_err("it is refused");
            assert_eq!(access.refused.told().now_or_never().is_some(), is_told, "{persona}");
            let connections = identity.connections(&access.pace).await.expect("no credentials");
            connections.open().await.expect("opened");
            assert_eq!(access.refused.told().now_or_never().is_some(), is_told, "{persona}");
        }
    }
}
