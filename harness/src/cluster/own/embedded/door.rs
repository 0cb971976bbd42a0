//! The controllers' way to the API server. Who comes too early waits at the door: the controller manager asks whether
//! the API server is ready as soon as it has started itself, and where it is not, only a second later again
//! (`WaitForAPIServer` in `k8s.io/controller-manager/app`).

use std::io;
use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::poll;

/// Passes on to a port on loopback whoever has come or comes.
pub(super) async fn open(listener: TcpListener, port: u16) {
    let mut passing = JoinSet::new();
    loop {
        match listener.accept().await {
            // A connection that breaks is closed at both ends, as one without a door would be.
            Ok((caller, _)) => drop(passing.spawn(pass(caller, port))),
            Err(_) => tokio::time::sleep(poll::PAUSE).await,
        }
    }
}

async fn pass(mut caller: TcpStream, port: u16) -> io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    caller.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut caller, &mut server).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_comes_before_it_opens_is_passed_on_then() {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (door, server) = (bind().await.expect("bound"), bind().await.expect("bound"));
        let port = server.local_addr().expect("an address").port();
        let mut early =
            TcpStream::connect(door.local_addr().expect("an address")).await.expect("connected");
        early.write_all(b"ready?").await.expect("written");
        let _opened = tokio::spawn(open(door, port));
        let passed = tokio::time::timeout(Duration::from_secs(5), server.accept());
        let (mut passed, _) = passed.await.expect("in time").expect("passed on");
        let mut asked = [0; 6];
        passed.read_exact(&mut asked).await.expect("asked");
        assert_eq!(&asked, b"ready?");
        passed.write_all(b"ok").await.expect("answered");
        drop(passed);
        let mut answer = String::new();
        early.read_to_string(&mut answer).await.expect("read");
        assert_eq!(answer, "ok");
    }
}
