//! The forward proxy on the way to a cluster: which one leads there, and a connection by way of it. kube 5 would match
//! `NO_PROXY` against the proxy's own address and end on an entry that it cannot read, so it decides nothing here.

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use kube::config::Cluster;
use tokio::net::TcpStream;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

use super::is_on_loopback;
use crate::text::without_credentials;

/// Makes connections to an address.
pub(super) type Dial = BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>;

/// What a kubeconfig's cluster names so that kube reads none of the environment's variables.
pub(super) const NONE: &str = "http://none";

/// A proxy that is named and cannot be used. Its password is not told.
#[derive(Debug, thiserror::Error)]
#[error(
    "{named_by} names the proxy {} which cannot be used: http:// and socks5:// can, as in http://proxy.example.com:3128",
    without_credentials(.proxy)
)]
pub struct ProxyError {
    named_by: &'static str,
    proxy: String,
}

/// The proxy that leads to a cluster, as kubectl finds it: the cluster's own `proxy-url`, or else the one of
/// `HTTPS_PROXY` where `NO_PROXY` does not name the cluster. Of the two, the environment's never leads to this machine
/// itself, as with Go. kube is kept from looking itself.
pub(super) fn take(
    cluster: &mut Cluster,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, ProxyError> {
    let named = cluster.proxy_url.replace(NONE.to_owned()).filter(|proxy| !proxy.is_empty());
    let server = cluster.server.as_deref().and_then(|server| server.parse::<Uri>().ok());
    let Some(server) = server else { return Ok(None) };
    // What is set to nothing is not set, as in Go's `httpproxy`.
    let set = |names: [&str; 2]| names.into_iter().filter_map(&variable).find(|it| !it.is_empty());
    let (named_by, proxy) = match named {
        Some(proxy) => ("`proxy-url` in the kubeconfig", proxy),
        None => match set(["HTTPS_PROXY", "https_proxy"]) {
            Some(proxy)
                if !is_on_loopback(&server)
                    && !is_spared(&server, set(["NO_PROXY", "no_proxy"])) =>
            {
                ("HTTPS_PROXY in the environment", proxy)
            }
            _ => return Ok(None),
        },
    };
    let usable = proxy.parse().ok().filter(|proxy| intercept(proxy).is_some());
    usable.map(Some).ok_or(ProxyError { named_by, proxy })
}

/// Whether the value of `NO_PROXY` names a server. An entry with a port means that port alone.
fn is_spared(server: &Uri, no_proxy: Option<String>) -> bool {
    let port = server.port_u16().unwrap_or(443);
    let entry = |entry: &str| match entry.trim().rsplit_once(':') {
        Some((host, written)) if !host.contains(':') => {
            (written.parse() == Ok(port)).then(|| host.to_owned())
        }
        _ => Some(entry.to_owned()),
    };
    let entries: Vec<String> = no_proxy.unwrap_or_default().split(',').filter_map(entry).collect();
    let matcher = Matcher::builder().all("http://proxy").no(entries.join(",")).build();
    matcher.intercept(server).is_none()
}

/// A proxy with its credentials apart; `None` if no connection can be made by way of it.
fn intercept(proxy: &Uri) -> Option<Intercept> {
    let somewhere = Uri::from_static("https://cluster");
    let found = Matcher::builder().all(proxy.to_string()).build().intercept(&somewhere)?;
    let scheme = found.uri().scheme_str();
    matches!(scheme, Some("http" | "socks5" | "socks5h")).then_some(found)
}

/// Connections to a server, by way of the proxy where there is one. Names are looked up by the proxy.
pub(super) fn dial(proxy: Option<&Uri>) -> Result<Dial, kube::Error> {
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    let Some(proxy) = proxy else { return Ok(boxed(direct)) };
    let unusable = || {
        let error = ProxyError { named_by: "the configuration", proxy: proxy.to_string() };
        kube::Error::Service(error.into())
    };
    let found = intercept(proxy).ok_or_else(unusable)?;
    let at = found.uri().clone();
    if at.scheme_str() == Some("http") {
        let tunnel = Tunnel::new(at, direct);
        return Ok(match found.basic_auth() {
            Some(credentials) => boxed(tunnel.with_auth(credentials.clone())),
            None => boxed(tunnel),
        });
    }
    let socks = SocksV5::new(at, direct);
    Ok(match found.raw_auth() {
        Some((user, password)) => boxed(socks.with_auth(user.to_owned(), password.to_owned())),
        None => boxed(socks),
    })
}

fn boxed<C>(connector: C) -> Dial
where
    C: tower::Service<Uri, Response = TokioIo<TcpStream>> + Clone + Send + Sync + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(ServiceBuilder::new().map_err(Into::into).service(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLE: &str = "HTTPS_PROXY";

    /// The proxy for a cluster at an address, whose kubeconfig and environment name these.
    fn found(server: &str, named: Option<&str>, set: &[(&str, &str)]) -> Option<String> {
        let mut cluster = Cluster {
            server: Some(server.to_owned()),
            proxy_url: named.map(str::to_owned),
            ..Cluster::default()
        };
        let variable = |name: &str| {
            let value = set.iter().find(|(it, _)| *it == name);
            value.map(|(_, value)| (*value).to_owned())
        };
        let proxy = take(&mut cluster, variable).expect("usable");
        assert_eq!(cluster.proxy_url.as_deref(), Some(NONE), "kube looks itself");
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn a_proxy_is_found_as_kubectl_finds_it() {
        let (server, a, b) = ("https://k8s.example.com:6443", "http://a:3128/", "http://b:3128/");
        assert_eq!(found(server, None, &[]), None);
        assert_eq!(found(server, Some(a), &[]).as_deref(), Some(a));
        assert_eq!(found(server, None, &[("https_proxy", b)]).as_deref(), Some(b));
        let empty = [(VARIABLE, ""), ("https_proxy", b), ("NO_PROXY", "")];
        assert_eq!(found(server, None, &empty).as_deref(), Some(b));
        assert_eq!(found(server, None, &[&empty[..], &[("no_proxy", "*")]].concat()), None);
        assert_eq!(found(server, Some(a), &[(VARIABLE, b)]).as_deref(), Some(a));
        // What the kubeconfig names is meant for this cluster.
        assert_eq!(found(server, Some(a), &[("NO_PROXY", "*")]).as_deref(), Some(a));
    }

    #[test]
    fn no_proxy_names_clusters_and_no_proxies() {
        let set = |no| [(VARIABLE, "http://proxy.corp:3128/"), ("NO_PROXY", no)];
        for (server, no, spared) in [
            ("https://k8s.example.com", "example.com,", true),
            ("https://k8s.example.com", "other, .example.com", true),
            ("https://k8s.example.com", "k8s.example.com:443", true),
            ("https://k8s.example.com:6443", "k8s.example.com:443", false),
            ("https://172.18.0.2:6443", "10.0.0.1,172.16.0.0/12", true),
            ("https://[fd00::2]:6443", "fd00::/8", true),
            ("https://k8s.example.com", "*", true),
            ("https://k8s.example.com", "proxy.corp", false),
            ("https://k8s.example.com", "not an entry,,", false),
        ] {
            assert_eq!(found(server, None, &set(no)).is_none(), spared, "{server} {no}");
        }
    }

    #[test]
    fn to_this_machine_leads_the_proxy_that_a_kubeconfig_names_and_no_other() {
        for server in ["https://127.0.0.1:6443", "https://[::1]:6443", "https://localhost"] {
            let set = [(VARIABLE, "ftp://b"), ("NO_PROXY", "a b")];
            assert_eq!(found(server, None, &set), None);
            let tunnel = "socks5://127.0.0.1:1080/";
            assert_eq!(found(server, Some(tunnel), &set).as_deref(), Some(tunnel));
        }
    }

    #[test]
    fn of_a_proxy_that_cannot_be_used_no_password_is_told() {
        for proxy in ["ftp://ann:hunter2@proxy", "https://ann:hunter2@proxy", "http://ann:hunter2@"]
        {
            let mut cluster = Cluster {
                server: Some("https://k8s.example.com".to_owned()),
                proxy_url: Some(proxy.to_owned()),
                ..Cluster::default()
            };
            let error = take(&mut cluster, |_| None).expect_err("unusable").to_string();
            assert!(error.contains("http://proxy.example.com:3128"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
