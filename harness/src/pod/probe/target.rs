//! What target pods do: print, wait and listen.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::ProbeError;

/// How often a target prints, so that an attach sees something at once.
const TICK: Duration = Duration::from_millis(200);

/// What a listener says to whoever connects.
pub(super) const GREETING: [u8; 8] = *b"brinell\n";

/// How long somebody who is greeted is heard.
const HEARING: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn echo(
    words: &[String],
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), ProbeError> {
    output.write_all(format!("{}\n", words.join(" ")).as_bytes()).await?;
    Ok(output.flush().await?)
}

pub(super) async fn cat(
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), ProbeError> {
    tokio::io::copy(&mut input, &mut output).await?;
    Ok(output.flush().await?)
}

pub(super) async fn tick(mut output: impl AsyncWrite + Unpin) -> Result<(), ProbeError> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1u64.. {
        ticks.tick().await;
        output.write_all(format!("tick {number}\n").as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

pub(super) async fn listen(ports: &[u16]) -> Result<(), ProbeError> {
    let mut listeners = Vec::new();
    for &port in ports {
        let bound = bind(port).await.map_err(|source| ProbeError::Listen { port, source });
        listeners.push(bound?);
    }
    join_all(listeners.into_iter().map(greet)).await;
    Ok(())
}

/// Both families: a cluster may give pods addresses of either.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    let any = [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ];
    TcpListener::bind(&any[..]).await
}

async fn greet(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => drop(tokio::spawn(welcome(connection))),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Greets whoever connects, and hears what he says before the connection is closed: what is not read resets it, and the
/// greeting may be lost.
async fn welcome(mut connection: TcpStream) {
    // A caller who is gone already misses nothing.
    connection.write_all(&GREETING).await.ok();
    connection.shutdown().await.ok();
    let _ = timeout(HEARING, tokio::io::copy(&mut connection, &mut sink())).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, duplex};

    use super::*;

    #[tokio::test]
    async fn ticks_are_counted() {
        let (ours, theirs) = duplex(64);
        tokio::select! {
            result = tick(theirs) => panic!("it has no end, but {result:?}"),
            () = async {
                let mut lines = BufReader::new(ours).lines();
                for expected in ["tick 1", "tick 2"] {
                    let line = lines.next_line().await.expect("read").expect("a line");
                    assert_eq!(line, expected);
                }
            } => {}
        }
    }

    #[tokio::test]
    async fn ticks_end_when_nobody_can_read_them() {
        let (ours, theirs) = duplex(64);
        drop(ours);
        assert_eq!(tick(theirs).await.expect_err("a broken pipe").code(), 1);
    }

    #[tokio::test]
    async fn every_connection_is_greeted() {
        let listener = bind(0).await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(greet(listener));
        for words in ["", "brinell\n", "GET / HTTP/1.1\r\n\r\n"] {
            let mut connection = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
            connection.write_all(words.as_bytes()).await.expect("heard");
            let mut greeting = String::new();
            connection.read_to_string(&mut greeting).await.expect("read");
            assert_eq!(greeting, "brinell\n");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = bind(0).await.expect("bound");
        let port = taken.local_addr().expect("an address").port();
        let error = listen(&[port]).await.expect_err("in use");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
