//! A DNS look-up of its own: a static executable has no C library's resolver. Only what a pod needs:
//! IPv4 addresses by UDP from the name servers and search list of `/etc/resolv.conf`.

mod message;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use self::message::{Reply, encode, parse, query};
use super::{NoAnswer, ProbeError};

/// How long the whole look-up may take.
const TIME: Duration = Duration::from_secs(2);

/// After how long a question is asked again: datagrams get lost.
const AGAIN: Duration = Duration::from_millis(500);

/// How much of `/etc/resolv.conf` is read.
const SETTINGS_LIMIT: u64 = 64 * 1024;

/// The name's addresses; empty if the name servers say that there is no such name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// IPv4.
    pub addresses: Vec<Ipv4Addr>,
}

/// `/etc/resolv.conf`, as far as it matters here (resolv.conf(5)).
#[derive(Debug, PartialEq)]
struct Settings {
    server: SocketAddr,
    search: Vec<String>,
    ndots: usize,
}

pub(super) async fn resolve(name: &str) -> Result<Result<Resolved, NoAnswer>, ProbeError> {
    if encode(name).is_none() {
        return Err(ProbeError::Order("expected a domain name".into()));
    }
    Ok(resolve_by(Path::new("/etc/resolv.conf"), name).await)
}

async fn resolve_by(settings: &Path, name: &str) -> Result<Resolved, NoAnswer> {
    let settings = Settings::read(settings).await?;
    match timeout(TIME, settings.look_up(name)).await {
        Ok(resolved) => resolved,
        Err(_) => Err(NoAnswer::timed_out(TIME)),
    }
}

impl Settings {
    async fn read(path: &Path) -> Result<Self, NoAnswer> {
        let named = |error| NoAnswer::broken(format!("cannot read {}: {error}", path.display()));
        let file = tokio::fs::File::open(path).await.map_err(named)?;
        let mut text = Vec::new();
        file.take(SETTINGS_LIMIT).read_to_end(&mut text).await.map_err(named)?;
        Settings::parse(&String::from_utf8_lossy(&text))
            .ok_or_else(|| NoAnswer::broken(format!("{} names no name server", path.display())))
    }

    /// The first name server counts, and the last search list.
    fn parse(text: &str) -> Option<Self> {
        let mut server: Option<IpAddr> = None;
        let mut search = Vec::new();
        let mut ndots = 1;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    server = server.or_else(|| words.next().and_then(|word| word.parse().ok()));
                }
                Some("search" | "domain") => search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let given = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    ndots = given.unwrap_or(ndots);
                }
                _ => {}
            }
        }
        Some(Settings { server: SocketAddr::new(server?, 53), search, ndots })
    }

    /// The names to ask for, in order: a name with few dots is tried below the search list first.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let mut names: Vec<_> =
            self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let few_dots = name.matches('.').count() < self.ndots;
        names.insert(if few_dots { names.len() } else { 0 }, name.to_owned());
        names
    }

    async fn look_up(&self, name: &str) -> Result<Resolved, NoAnswer> {
        // A name that a long search domain makes too long is left out.
        for encoded in self.candidates(name).iter().filter_map(|name| encode(name)) {
            let addresses = self.ask(&encoded).await?;
            if !addresses.is_empty() {
                return Ok(Resolved { addresses });
            }
        }
        Ok(Resolved { addresses: Vec::new() })
    }

    async fn ask(&self, name: &[u8]) -> Result<Vec<Ipv4Addr>, NoAnswer> {
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        // Only a connected socket learns that the port is closed.
        socket.connect(self.server).await?;
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|error| NoAnswer::broken(error.to_string()))?;
        loop {
            socket.send(&query(id, name)).await?;
            if let Ok(reply) = timeout(AGAIN, hear(&socket, id)).await {
                return match reply? {
                    Reply::Addresses(addresses) => Ok(addresses),
                    Reply::Failed(code) => Err(NoAnswer::broken(format!(
                        "the name server {} answered with the error code {code}",
                        self.server
                    ))),
                };
            }
        }
    }
}

/// Waits for the reply to our question, past any other.
async fn hear(socket: &UdpSocket, id: [u8; 2]) -> Result<Reply, NoAnswer> {
    let mut datagram = [0; 4096];
    loop {
        let length = socket.recv(&mut datagram).await?;
        let reply = &datagram[..length];
        if reply.starts_with(&id) {
            return parse(reply)
                .ok_or_else(|| NoAnswer::broken("the name server's reply is not understood"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SilenceKind;

    const POD: &str = "search shop.svc.cluster.local svc.cluster.local cluster.local\n\
                       nameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn a_pods_settings_are_read() {
        let settings = Settings::parse(POD).expect("settings");
        assert_eq!(settings.server, "10.96.0.10:53".parse().expect("an address"));
        assert_eq!(settings.ndots, 5);
        assert_eq!(
            settings.candidates("backend.shop"),
            [
                "backend.shop.shop.svc.cluster.local",
                "backend.shop.svc.cluster.local",
                "backend.shop.cluster.local",
                "backend.shop"
            ]
        );
        assert_eq!(settings.candidates("a.b.c.d.e.f")[0], "a.b.c.d.e.f");
        assert_eq!(settings.candidates("example.org."), ["example.org."]);
    }

    #[test]
    fn settings_without_a_name_server_are_none() {
        assert_eq!(Settings::parse(""), None);
        assert_eq!(Settings::parse("nameserver\nnameserver here\noptions ndots:many"), None);
    }

    /// A name server that answers each question by its index with these codes and addresses.
    async fn name_server(answers: Vec<(u8, Vec<[u8; 4]>)>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let address = socket.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut datagram = [0; 512];
            for (code, addresses) in answers {
                let (length, from) = socket.recv_from(&mut datagram).await.expect("a question");
                let foreign = [!datagram[0], datagram[1], 0x81];
                socket.send_to(&foreign, from).await.expect("sent");
                let reply = message::tests::reply(&datagram[..length], code, &addresses);
                socket.send_to(&reply, from).await.expect("sent");
            }
        });
        address
    }

    fn settings(server: SocketAddr) -> Settings {
        Settings { server, search: vec!["svc.cluster.local".to_owned()], ndots: 5 }
    }

    #[tokio::test]
    async fn the_search_list_is_followed_until_a_name_exists() {
        let server = name_server(vec![(3, vec![]), (0, vec![[10, 0, 0, 7], [10, 0, 0, 8]])]).await;
        let resolved = settings(server).look_up("database").await.expect("resolved");
        assert_eq!(resolved.addresses, [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 8)]);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_has_no_addresses() {
        let server = name_server(vec![(3, vec![]), (0, vec![])]).await;
        let resolved = settings(server).look_up("nowhere").await.expect("an answer");
        assert!(resolved.addresses.is_empty(), "{resolved:?}");
    }

    #[tokio::test]
    async fn a_failing_name_server_is_no_answer() {
        let server = name_server(vec![(2, vec![])]).await;
        let silence = settings(server).look_up("database").await.expect_err("broken");
        assert_eq!(silence.silence, SilenceKind::Broken);
        let closed = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let server = closed.local_addr().expect("an address");
        drop(closed);
        let silence = settings(server).look_up("database").await.expect_err("refused");
        assert_eq!(silence.silence, SilenceKind::Refused);
    }

    #[tokio::test]
    async fn missing_settings_are_named() {
        let silence = resolve_by(Path::new("/nowhere"), "a").await.expect_err("broken");
        assert!(silence.text.contains("/nowhere"), "{silence:?}");
        assert_eq!(resolve("a..b").await.expect_err("no name").code(), 2);
    }
}
