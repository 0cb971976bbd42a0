//! Which connections reach exec-guard: those with the API server's certificate. Others cannot keep them waiting.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::lock::lock;

/// How long a handshake may take. The API server's takes some milliseconds.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(3);

/// How many handshakes may be under way.
pub(super) const HANDSHAKES: usize = 64;

/// Bounds what a stranger can hold: connections that have not shown a certificate yet. Where there are too many the
/// oldest gives way, so that the API server gets in, whose handshake is over before it is the oldest. Those that have
/// shown it are the API server's, and are as many as it likes.
#[derive(Clone)]
pub(crate) struct Doorway {
    tls: RustlsAcceptor,
    // To drop a sender ends its handshake. A sender that is closed is that of a handshake which is over.
    waiting: Arc<Mutex<VecDeque<oneshot::Sender<Infallible>>>>,
}

impl Doorway {
    pub(crate) fn new(tls: RustlsAcceptor) -> Self {
        Doorway { tls: tls.handshake_timeout(HANDSHAKE), waiting: Arc::default() }
    }

    /// Joins the waiting handshakes. The receiver ends when this one must give way.
    fn enter(&self) -> oneshot::Receiver<Infallible> {
        let (place, displaced) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        waiting.retain(|place| !place.is_closed());
        if waiting.len() == HANDSHAKES {
            waiting.pop_front();
        }
        waiting.push_back(place);
        displaced
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Doorway {
    type Stream = <RustlsAcceptor as Accept<TcpStream, S>>::Stream;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let handshake = self.tls.accept(stream, service);
        let displaced = self.enter();
        async move {
            tokio::select! {
                done = handshake => done,
                _ = displaced => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        .boxed()
    }
}
