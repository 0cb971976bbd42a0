//! What every cluster gives to those who act on it, one of ours or not.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, PostParams};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ClientBuilder, ConfigExt, RustlsTlsError};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tower::timeout::TimeoutLayer;
use tower::util::{BoxService, MapErrLayer, MapFutureLayer, MapResponseLayer};
use tower::{BoxError, Service, ServiceBuilder};

use super::plug_in::without_command;
use super::proxy::dial;
use super::{AUDIT_ID, ClusterError, Pace, exchange, is_without_id};

/// The ways in to a cluster.
#[derive(Clone)]
pub struct Access {
    /// The admin's way in, for other identities to be made from.
    pub config: Config,
    /// The admin, who looks but never attacks.
    pub admin: Client,
    /// The node's name.
    pub node_name: String,
    /// The image of our own executable, as pods name it.
    pub image: String,
    /// The WebSocket protocols that are offered for exec and attach.
    pub stream_protocols: &'static str,
    /// How fast it is asked.
    pub pace: Pace,
    /// Who holds one of these may ask a question: how fast thousands of them may be asked is the cluster's to say.
    pub questions: Arc<Semaphore>,
    /// As whom the API server takes the admin.
    pub user: Option<String>,
    /// Tells that whoever acts by the admin's credentials was answered 401.
    pub refused: Refused,
}

/// Tells that credentials were answered 401. Its copies share it.
#[derive(Clone, Default)]
pub struct Refused(Arc<Notify>);

impl Refused {
    /// Waits until they were.
    pub async fn told(&self) {
        self.0.notified().await;
    }

    /// What tells it of each answer.
    pub(super) fn telling<B>(
        &self,
    ) -> MapResponseLayer<impl Fn(Response<B>) -> Response<B> + Clone + use<B>> {
        let refused = Arc::clone(&self.0);
        MapResponseLayer::new(move |answer: Response<B>| {
            if answer.status() == http::StatusCode::UNAUTHORIZED {
                refused.notify_one();
            }
            answer
        })
    }
}

#[cfg(test)]
impl Access {
    /// The ways in to a cluster that this client stands for. Nobody else is let in there.
    pub(crate) fn of(admin: Client) -> Access {
        Access {
            config: Config::new("http://127.0.0.1:1".parse().expect("a URL")),
            admin,
            node_name: String::new(),
            image: String::new(),
            stream_protocols: "",
            pace: Pace::free(),
            questions: Arc::new(Semaphore::new(1)),
            user: None,
            refused: Refused::default(),
        }
    }
}

impl Access {
    /// The way in without the admin's credentials, with this token if any.
    pub(crate) fn bare(&self, token: Option<&str>) -> Config {
        let mut bare = self.config.clone();
        bare.auth_info = AuthInfo::default();
        bare.auth_info.token = token.map(|token| token.to_owned().into());
        bare
    }

    /// Whether the way to the API server keeps our Audit-ID, by which requests are found in an audit log; `None` where
    /// no answer tells.
    pub async fn keeps_id(&self, run: &str) -> Option<bool> {
        let asking = Request::get("/version").header(AUDIT_ID, format!("{run}-way"));
        let response = exchange(&self.admin, asking.body(Vec::new()).ok()?).await.ok()?;
        match is_without_id(&response) {
            false => Some(true),
            // What answers in the place of the API server may do so for a moment.
            true => response.status().is_success().then_some(false),
        }
    }

    /// The kubelet's configuration, as the running kubelet tells it.
    ///
    /// # Errors
    /// When the API server or the kubelet does not answer, or the answer holds no configuration.
    pub async fn kubelet_configuration(&self) -> Result<Value, ClusterError> {
        self.kubelet_configuration_of(&self.node_name).await
    }

    /// The configuration of this node's kubelet.
    ///
    /// # Errors
    /// As [`Access::kubelet_configuration`].
    pub async fn kubelet_configuration_of(&self, node: &str) -> Result<Value, ClusterError> {
        match self.ask_kubelet_of(node, "configz").await?["kubeletconfig"].take() {
            Value::Null => Err(ClusterError::NoKubeletConfiguration),
            configuration => Ok(configuration),
        }
    }

    /// Asks the kubelet by way of the API server.
    ///
    /// # Errors
    /// When either does not answer.
    pub async fn ask_kubelet(&self, what: &str) -> Result<Value, ClusterError> {
        self.ask_kubelet_of(&self.node_name, what).await
    }

    async fn ask_kubelet_of(&self, node: &str, what: &str) -> Result<Value, ClusterError> {
        let path = format!("/api/v1/nodes/{node}/proxy/{what}");
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        Ok(self.admin.request(request).await?)
    }
}

/// How many questions a cluster of our own is asked at a time: enough to keep its API server busy.
pub(super) const AT_A_TIME: usize = 16;

/// The name and the address of a cluster's first node that has an address.
pub(super) async fn first_node(admin: &Client) -> Result<(String, IpAddr), ClusterError> {
    let nodes = Api::<Node>::all(admin.clone()).list(&ListParams::default()).await?;
    let mut reachable = nodes.items.into_iter().filter_map(|node| {
        let addresses = node.status?.addresses?;
        let internal = addresses.into_iter().find(|address| address.type_ == "InternalIP")?;
        Some((node.metadata.name?, internal.address.parse().ok()?))
    });
    reachable.next().ok_or_else(|| ClusterError::NotReady {
        what: "the node".to_owned(),
        state: "it has no address".to_owned(),
    })
}

/// As whom the API server takes a client.
pub(crate) async fn who_am_i(client: &Client) -> Result<UserInfo, kube::Error> {
    let reviews = Api::<SelfSubjectReview>::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    Ok(review.status.and_then(|status| status.user_info).unwrap_or_default())
}

/// How long an answer may take to begin. A watch is answered at once, and then goes on.
const ANSWER: Duration = Duration::from_secs(60);

/// How long a connection may take.
pub(super) const CONNECTING: Duration = Duration::from_secs(5);

/// A client that sends each request once, when its turn comes, and waits for a connection and for an answer only so
/// long. Each request has this time to itself. A time that also runs while a connection is idle, as kube's
/// `read_timeout` does, would cut the next request short (measured).
///
/// # Errors
/// When no client can be made of the configuration.
pub async fn client(config: Config, pace: &Pace) -> Result<Client, kube::Error> {
    telling_client(config, pace, &Refused::default()).await
}

/// A client as [`client`] makes it, which tells each time that it is answered 401.
///
/// # Errors
/// When no client can be made of the configuration.
pub(crate) async fn telling_client(
    config: Config,
    pace: &Pace,
    refused: &Refused,
) -> Result<Client, kube::Error> {
    let (pace, refused) = (pace.clone(), refused.clone());
    beside(move || made(config, &pace, &refused)).await
}

fn made(config: Config, pace: &Pace, refused: &Refused) -> Result<Client, kube::Error> {
    let dial = dial(config.proxy_url.as_ref())?;
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(dial)?);
    connector.set_connect_timeout(Some(CONNECTING));
    let auth = auth_layer(&config)?;
    let sending = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(|error: legacy::Error| BoxError::from(error))
        .service(legacy::Client::builder(TokioExecutor::new()).build(connector));
    let sending = ClientBuilder::new(BoxService::new(sending), config.default_namespace);
    Ok(in_turn(sending.with_layer(&refused.telling()), pace))
}

/// Makes something for which kube runs a plug-in for credentials and waits, beside the thread that hears signals. What
/// an error of kube's shows of credentials is left out.
pub(super) async fn beside<T: Send + 'static>(
    making: impl FnOnce() -> Result<T, kube::Error> + Send + 'static,
) -> Result<T, kube::Error> {
    let made = spawn_blocking(making).await;
    let made = made.unwrap_or_else(|panicked| Err(kube::Error::Service(panicked.into())));
    made.map_err(|error| match error {
        kube::Error::Auth(cause) => kube::Error::Service(without_command(cause.into())),
        // Of a key whose line breaks are lost it shows every byte.
        kube::Error::RustlsTls(RustlsTlsError::InvalidIdentityPem(_)) => {
            kube::Error::Service("the client's certificate or its key is no PEM".into())
        }
        other => other,
    })
}

/// What gives requests the credentials of a configuration.
pub(super) fn auth_layer(config: &Config) -> Result<Option<AuthLayer>, kube::Error> {
    match has_bearer(&config.auth_info) {
        true => config.auth_layer(),
        false => Err(kube::Error::Service("the token does not fit into a header".into())),
    }
}

/// Whether a bearer token fits into a header. At one that does not, such as one that ends in a line break, kube panics.
pub(super) fn is_bearer(token: &str) -> bool {
    HeaderValue::try_from(format!("Bearer {token}")).is_ok()
}

/// Whether each bearer token that stands among credentials fits into a header.
pub(super) fn has_bearer(auth: &AuthInfo) -> bool {
    // kube tells its own token in no other way.
    let written = serde_json::to_value(auth).unwrap_or_default();
    let tokens = [&written["token"], &written["auth-provider"]["config"]["id-token"]];
    tokens.into_iter().filter_map(Value::as_str).all(is_bearer)
}

/// A client that sends when its turn comes and waits only so long for an answer. Its errors show nothing of a plug-in.
pub(super) fn in_turn<S, B>(builder: ClientBuilder<S>, pace: &Pace) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let pace = pace.clone();
    // A request is sent when its answer is first waited for.
    let in_turn = MapFutureLayer::new(move |answer| {
        let pace = pace.clone();
        async move {
            pace.turn().await;
            answer.await
        }
    });
    let without_command = MapErrLayer::new(|error: S::Error| without_command(error.into()));
    let builder = builder.with_layer(&without_command).with_layer(&TimeoutLayer::new(ANSWER));
    builder.with_layer(&in_turn).build()
}
