//! A TCP connection, opened and closed, and whether a listener of ours is at its end.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::NoAnswer;
use super::target::GREETING;

/// The connection was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Always true.
    pub connected: bool,
}

/// Connects, and waits for the greeting of a listener of ours where it must be one: who stands between may take a connection
/// that leads nowhere.
pub(super) async fn connect(
    address: SocketAddr,
    time: Duration,
    greeted: bool,
) -> Result<Connected, NoAnswer> {
    let Ok(connection) = timeout(time, TcpStream::connect(address)).await else {
        return Err(NoAnswer::timed_out(time));
    };
    let mut connection = connection?;
    if greeted {
        let mut heard = [0; GREETING.len()];
        let greeting = async {
            // What stands between may wait for the first words of who connects, to see what it is.
            connection.write_all(&GREETING).await?;
            connection.read_exact(&mut heard).await
        };
        if !matches!(timeout(time, greeting).await, Ok(Ok(_))) || heard != GREETING {
            return Err(NoAnswer::cut(
                "the connection was taken, and who listens did not greet: somebody else between may have taken it",
            ));
        }
    }
    Ok(Connected { connected: true })
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
        let silence = connect(address, Duration::from_secs(2), true).await.expect_err("refused");
        assert_eq!(silence.silence, SilenceKind::Refused);
    }

    /// As the proxy of a mesh does it, which takes everything.
    #[tokio::test]
    async fn who_takes_a_connection_is_known_by_the_greeting() {
        for (said, is_ours) in
            [(&GREETING[..], true), (b"brinell", false), (b"SSH-2.0-x\r\n", false), (b"", false)]
        {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async move {
                while let Ok((mut connection, _)) = listener.accept().await {
                    // It looks at the first words before it lets anything through.
                    let mut first = [0; 1];
                    connection.read_exact(&mut first).await.ok();
                    connection.write_all(said).await.ok();
                }
            });
            let time = Duration::from_secs(2);
            let greeted = connect(address, time, true).await;
            // It is neither closed nor silent: nothing says that anybody refused.
            let silence = greeted.err().map(|none| none.silence);
            assert_eq!(silence, (!is_ours).then_some(SilenceKind::Cut));
            assert!(connect(address, time, false).await.is_ok());
        }
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
                Err(_) => break connect(address, time, true).await.expect_err("dropped"),
            }
        };
        assert_eq!(silence, NoAnswer::timed_out(time));
    }
}
