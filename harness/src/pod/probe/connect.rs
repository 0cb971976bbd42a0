//! A TCP connection, opened and closed.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::NoAnswer;

/// The connection was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Always true.
    pub connected: bool,
}

pub(super) async fn connect(address: SocketAddr, time: Duration) -> Result<Connected, NoAnswer> {
    match timeout(time, TcpStream::connect(address)).await {
        Ok(connection) => Ok(connection.map(|_| Connected { connected: true })?),
        Err(_) => Err(NoAnswer::timed_out(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SilenceKind;

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let silence = connect(address, Duration::from_secs(2)).await.expect_err("refused");
        assert_eq!(silence.silence, SilenceKind::Refused);
    }

    #[tokio::test]
    async fn a_full_listener_lets_wait() {
        let listener = tokio::net::TcpSocket::new_v4().expect("a socket");
        listener.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let address = listener.local_addr().expect("an address");
        let _listener = listener.listen(1).expect("listening");
        let time = Duration::from_millis(100);
        // Nobody accepts: the queue is full after a few connections, and the kernel drops the rest.
        let mut waiting = Vec::new();
        let silence = loop {
            match timeout(time, TcpStream::connect(address)).await {
                Ok(connection) => waiting.push(connection.expect("queued")),
                Err(_) => break connect(address, time).await.expect_err("dropped"),
            }
        };
        assert_eq!(silence, NoAnswer::timed_out(time));
    }
}
