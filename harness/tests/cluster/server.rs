//! Real servers between brinell and a cluster, in containers that end with their test. They use this machine's network,
//! so that they reach what listens on its loopback, and listen nowhere else, or that of a node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Trial};
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, GenericImage, ImageExt};

use crate::kind::engine::{missing, works};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(30);

/// The label by which `.ci/run` finds what a test left.
const LABEL: &str = "brinell.dev/test";

/// A program that serves, in an image.
pub struct Program {
    /// The executable, as the official image and ours call it.
    name: &'static str,
    /// The official image, and the variable that names another.
    image: (&'static str, &'static str),
    variable: &'static str,
}

/// HAProxy, a load balancer and front end.
pub const HAPROXY: Program =
    Program { name: "haproxy", image: ("haproxy", "3.2"), variable: "BRINELL_HAPROXY_IMAGE" };

/// Squid, a forward proxy.
pub const SQUID: Program =
    Program { name: "squid", image: ("ubuntu/squid", "latest"), variable: "BRINELL_SQUID_IMAGE" };

/// A registry of images.
pub const REGISTRY: Program =
    Program { name: "registry", image: ("registry", "3"), variable: "BRINELL_REGISTRY_IMAGE" };

impl Program {
    /// The name and the tag of its image.
    fn image(&self) -> (String, String) {
        let (name, tag) = self.image;
        let named = std::env::var(self.variable).ok().filter(|image| !image.is_empty());
        let named = named.unwrap_or_else(|| format!("{name}:{tag}"));
        let (name, tag) = named.rsplit_once(':').unwrap_or((named.as_str(), "latest"));
        (name.to_owned(), tag.to_owned())
    }

    /// The command that provides its image, if that is not here.
    fn missing(&self) -> Option<String> {
        let (name, tag) = self.image();
        let image = format!("{name}:{tag}");
        let hint = format!(
            "{}'s image is not here: `docker pull {image}`, or `ci/test-images` makes one for {}",
            self.name, self.variable
        );
        (!works("docker", &["image", "inspect", &image])).then_some(hint)
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    container: Container<GenericImage>,
}

impl Server {
    /// What Squid was asked for until now, a line each.
    pub fn asked(&self) -> String {
        let mut log = Vec::new();
        self.container.copy_file_from(SQUID_LOG, &mut log).expect("a log");
        String::from_utf8(log).expect("text in UTF-8")
    }
}

/// HAProxy with a configuration for the address that it gets, and with files that the configuration names.
pub fn haproxy(files: &[(&str, String)], config: impl FnOnce(SocketAddr) -> String) -> Server {
    let address = free(Ipv4Addr::LOCALHOST.into());
    let file = ("/tmp/haproxy.cfg", config(address));
    start(
        &HAPROXY,
        "host",
        address,
        &["-db", "-f", file.0],
        &[std::slice::from_ref(&file), files].concat(),
    )
}

/// Squid, which leads anywhere whoever has the password. What it was asked for is in its log.
pub fn squid(passwords: &str) -> Server {
    let address = free(Ipv4Addr::LOCALHOST.into());
    let config = format!(
        "http_port {address}\npid_filename none\ncache deny all\ncache_log /tmp/cache.log\n\
         access_log stdio:{SQUID_LOG}\n\
         auth_param basic program /usr/lib/squid/basic_ncsa_auth /tmp/passwords\n\
         acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n"
    );
    let files = [("/tmp/squid.conf", config), ("/tmp/passwords", passwords.to_owned())];
    start(&SQUID, "host", address, &["-NYC", "-f", "/tmp/squid.conf"], &files)
}

/// A registry in the network of a node's container, where it is at `localhost` and needs no TLS. It lets in whoever has the
/// password.
pub fn registry(node: &str, address: SocketAddr, passwords: &str) -> Server {
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: /tmp/registry}}}}\n\
         http: {{addr: \":{}\"}}\nauth: {{htpasswd: {{realm: brinell, path: /tmp/passwords}}}}\n",
        address.port()
    );
    let files = [("/tmp/registry.yaml", config), ("/tmp/passwords", passwords.to_owned())];
    let network = format!("container:{node}");
    start(&REGISTRY, &network, address, &["serve", "/tmp/registry.yaml"], &files)
}

/// Where Squid writes down what it was asked for.
const SQUID_LOG: &str = "/tmp/access.log";

/// An address on which nothing listens.
fn free(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    listener.local_addr().expect("bound")
}

fn start(
    program: &Program,
    network: &str,
    address: SocketAddr,
    arguments: &[&str],
    files: &[(&str, String)],
) -> Server {
    let (name, tag) = program.image();
    let image = GenericImage::new(name, tag).with_entrypoint(program.name);
    let mut container = image
        .with_cmd(arguments.iter().copied())
        .with_network(network)
        .with_label(LABEL, program.name);
    for (path, text) in files {
        container = container.with_copy_to(*path, text.clone().into_bytes());
    }
    let container = container.start().unwrap_or_else(|error| panic!("{}: {error}", program.name));
    let since = Instant::now();
    // Another process begins to listen without an event.
    while TcpStream::connect(address).is_err() {
        let is_up = container.is_running().expect("the engine answers") && since.elapsed() < START;
        let said = || {
            let said = [container.stdout_to_vec(), container.stderr_to_vec()];
            let said = said.map(Result::unwrap_or_default);
            String::from_utf8_lossy(&said.concat()).into_owned()
        };
        assert!(is_up, "{} does not listen on {address}: {}", program.name, said());
        std::thread::sleep(Duration::from_millis(20));
    }
    Server { address, container }
}

/// A test on kind clusters that needs these servers too. It panics where something is not as it should be, and is
/// ignored where one is missing, but in CI.
pub fn trial(
    name: &str,
    programs: &'static [Program],
    test: impl FnOnce() + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        match missing().or_else(|| programs.iter().find_map(Program::missing)) {
            Some(missing) if std::env::var_os("CI").is_some() => Err(missing.into()),
            Some(missing) => Ok(Completion::ignored_with(missing)),
            None => {
                test();
                Ok(Completion::Completed)
            }
        }
    })
}
