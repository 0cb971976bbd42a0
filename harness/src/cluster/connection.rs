//! Connections of which each is used by itself. TLS ends at one API server, so that whatever is sent by one of them is
//! answered by one process, until it ends with that process. kube's own client has a pool, and may send each request by
//! another.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use kube::client::middleware::ExtraHeadersLayer;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tower::util::option_layer;
use tower::{BoxError, ServiceExt, service_fn};

use super::access::{CONNECTING, auth_layer, beside, in_turn};
use super::proxy::dial;
use super::{AUDIT_ID, Pace, READY, Refused};

/// Of what a marked request is answered no more is read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Opens connections as one identity. Its copies share what a plug-in for credentials gave.
#[derive(Clone)]
pub struct Connections(
    Arc<dyn Fn() -> BoxFuture<'static, Result<Connection, BoxError>> + Send + Sync>,
);

/// A connection to one API server.
pub struct Connection {
    /// Sends as the identity itself.
    own: Client,
    /// Sends as whom the identity asks to be.
    pub client: Client,
}

/// What an API server says of itself when a connection to it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// It is awake: its authorizers have their rules.
    Awake,
    /// It does not tell this identity, in these words.
    Untold(String),
}

impl Connections {
    /// As the identity of this configuration. Each answer of 401 is told.
    ///
    /// # Errors
    /// When its credentials cannot be used.
    pub async fn of(
        config: &Config,
        pace: &Pace,
        refused: &Refused,
    ) -> Result<Connections, kube::Error> {
        let (config, pace, refused) = (config.clone(), pace.clone(), refused.clone());
        beside(move || Connections::made(&config, pace, refused)).await
    }

    fn made(config: &Config, pace: Pace, refused: Refused) -> Result<Connections, kube::Error> {
        let dial = dial(config.proxy_url.as_ref())?;
        let connector = config.rustls_https_connector_with_connector(dial)?;
        let (base, auth) = (config.base_uri_layer(), Arc::new(auth_layer(config)?));
        let (headers, server) = (config.extra_headers_layer()?, config.cluster_url.clone());
        Ok(Connections(Arc::new(move || {
            let stream = connector.clone().oneshot(server.clone()).boxed();
            let (base, auth) = (base.clone(), Arc::clone(&auth));
            let (headers, pace, refused) = (headers.clone(), pace.clone(), refused.clone());
            async move {
                let stream = tokio::time::timeout(CONNECTING, stream).await??;
                let (sender, connection) = handshake(stream).await?;
                tokio::spawn(connection.with_upgrades());
                let sender = Arc::new(Mutex::new(sender));
                let sending = service_fn(move |request| send(Arc::clone(&sender), request));
                let client = |headers: Option<&ExtraHeadersLayer>| {
                    let builder = ClientBuilder::new(sending.clone(), "default")
                        .with_layer(&refused.telling())
                        .with_layer(&option_layer(auth.as_ref().as_ref()))
                        .with_layer(&option_layer(headers))
                        .with_layer(&base);
                    in_turn(builder, &pace)
                };
                Ok(Connection { own: client(None), client: client(Some(&headers)) })
            }
            .boxed()
        })))
    }

    /// Opens one and asks the API server at its other end whether it is ready, before anything else is sent: one that
    /// is starting refuses everybody, and whether it was is not to be told afterwards.
    ///
    /// # Errors
    /// When none can be opened, or the API server is not ready.
    pub async fn open(&self) -> Result<(Connection, Greeting), kube::Error> {
        let connection = (self.0)().await.map_err(kube::Error::Service)?;
        let (code, words) = connection.ask(READY, None).await?;
        let greeting = greeting(code, &words).map_err(|why| kube::Error::Service(why.into()))?;
        Ok((connection, greeting))
    }
}

impl Connection {
    /// Sends a marked request after all others, and returns when it is answered, whatever the answer is.
    ///
    /// # Errors
    /// When it is not answered: the connection has ended, or a stream took it.
    pub async fn mark(&self, path: &str, audit_id: &str) -> Result<(), kube::Error> {
        self.ask(path, Some(audit_id)).await.map(drop)
    }

    /// Asks as the identity itself. The answer is read to its end: until then nothing else can be sent.
    async fn ask(
        &self,
        path: &str,
        audit_id: Option<&str>,
    ) -> Result<(StatusCode, String), kube::Error> {
        let mut request = Request::get(path);
        if let Some(id) = audit_id {
            request = request.header(AUDIT_ID, id);
        }
        let request = request.body(Body::empty()).map_err(kube::Error::HttpError)?;
        let response = self.own.send(request).await?;
        let code = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(kube::Error::Service)?;
        Ok((code, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

/// What the answer to [`READY`] says; or why the API server is not ready, by the checks that fail.
fn greeting(code: StatusCode, words: &str) -> Result<Greeting, String> {
    let said = format!("{READY} is answered {}", code.as_u16());
    match code {
        StatusCode::OK => Ok(Greeting::Awake),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(Greeting::Untold(said)),
        _ => {
            let failing: Vec<&str> =
                words.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
            let failing = crate::text::first_of(&failing, 3);
            Err(format!("the API server that answers is not ready: {said}; {failing}"))
        }
    }
}

/// Sends by a connection, when its answers so far are read.
async fn send(
    sender: Arc<Mutex<SendRequest<Body>>>,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, BoxError> {
    let host = host(request.uri())?;
    request.headers_mut().entry(header::HOST).or_insert(host);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;
    let mut sender = sender.lock().await;
    if sender.ready().await.is_err() {
        return Err("its connection has ended".into());
    }
    Ok(sender.send_request(request).await?)
}

/// The host of a URI, as its header names it.
fn host(uri: &Uri) -> Result<HeaderValue, BoxError> {
    let host = uri.host().unwrap_or_default();
    Ok(match uri.port() {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}"))?,
        None => HeaderValue::try_from(host)?,
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::service::service_fn as answering;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers by which of its connections it was asked, and says on each first that it is what is told.
    async fn serve(readiness: StatusCode) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let connections = AtomicUsize::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let answer = answering(move |request: Request<Incoming>| async move {
                    let is_ready = request.uri().path() == READY;
                    let code = if is_ready { readiness } else { StatusCode::OK };
                    let host = request.headers()[header::HOST].to_str().expect("text").to_owned();
                    let whom = request.headers().get("Impersonate-User").is_some();
                    let body = format!("{number} {} {host} {whom}", request.uri());
                    Ok::<_, Infallible>(Response::builder().status(code).body(body).expect("built"))
                });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), answer));
            }
        });
        address
    }

    async fn connections(readiness: StatusCode) -> (Connections, SocketAddr) {
        let address = serve(readiness).await;
        let mut config = Config::new(format!("http://{address}").parse().expect("a URL"));
        config.auth_info.impersonate = Some("jane".to_owned());
        let connections = Connections::of(&config, &Pace::free(), &Refused::default()).await;
        (connections.expect("no credentials"), address)
    }

    #[tokio::test]
    async fn all_of_it_goes_by_one_connection_and_each_has_its_own() {
        let (connections, address) = connections(StatusCode::OK).await;
        for number in 0..3 {
            let (connection, greeting) = connections.open().await.expect("opened");
            assert_eq!(greeting, Greeting::Awake);
            let request = Request::get("/api?x=y").body(Vec::new()).expect("built");
            let said = connection.client.request_text(request).await.expect("answered");
            assert_eq!(said, format!("{number} /api?x=y {address} true"));
            let (code, said) = connection.ask("/fence", Some("k7f3-1")).await.expect("answered");
            assert_eq!((code, said), (StatusCode::OK, format!("{number} /fence {address} false")));
        }
    }

    #[tokio::test]
    async fn what_a_server_says_of_itself_tells_whether_it_is_awake() {
        let (unready, _) = connections(StatusCode::INTERNAL_SERVER_ERROR).await;
        let refused = unready.open().await.err().expect("it is starting").to_string();
        assert!(refused.contains("is not ready: /readyz is answered 500; "), "{refused}");
        let words = "[+]ping ok\n[-]informer-sync failed: reason withheld\nreadyz check failed\n";
        let refused =
            greeting(StatusCode::INTERNAL_SERVER_ERROR, words).expect_err("it is starting");
        assert!(refused.ends_with("500; informer-sync failed: reason withheld"), "{refused}");
        for code in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            let (connections, _) = connections(code).await;
            let (_, greeting) = connections.open().await.expect("opened");
            let words = format!("/readyz is answered {}", code.as_u16());
            assert_eq!(greeting, Greeting::Untold(words));
        }
    }
}
