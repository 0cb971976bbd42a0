//! The probe: one executable, many small verbs. It is the main process of target pods, what an
//! attacker runs in them, and the legitimate commands beside the attacks.

mod answer;
mod connect;
mod etcd;
pub(crate) mod http;
mod request;
mod resolve;
mod target;

pub use answer::{NoAnswer, read};
pub use connect::Connected;
pub use etcd::{EtcdAnswer, EtcdOrder};
pub use request::{RequestAnswer, RequestOrder, Scheme};
pub use resolve::Resolved;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use clap::Parser;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader};

use super::tls::TlsError;

/// How long an order on standard input may be.
const ORDER_LIMIT: u64 = 1024 * 1024;

/// The hidden subcommand `brinell in-cluster probe`, and the executable `/bin/probe` of the image.
#[derive(Debug, clap::Parser)]
#[command(name = "probe")]
pub struct Probe {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What a probe can do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Print the words.
    #[command(disable_help_flag = true)]
    Echo {
        /// The words.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Print what comes on standard input: what is typed into this shell comes back.
    Cat,
    /// Print a line every 200 ms for ever: something to attach to.
    Tick,
    /// Do nothing for ever: something to exec into.
    Wait,
    /// Answer every connection with `brinell` and close it, for ever.
    Listen {
        /// The TCP ports.
        #[arg(required = true)]
        ports: Vec<u16>,
    },
    /// Open a TCP connection and close it.
    Connect {
        /// The IP address.
        address: IpAddr,
        /// The TCP port.
        port: u16,
        /// How long to wait for it.
        #[arg(long, default_value_t = 2000)]
        timeout_ms: u32,
        /// Whether what listens must greet, as `listen` does.
        #[arg(long)]
        greeted: bool,
    },
    /// Look up the IPv4 addresses of a name, as a pod would.
    Resolve {
        /// The name.
        name: String,
    },
    /// Send the HTTP request that a line of standard input orders, as JSON.
    Request,
    /// Read all of etcd as a line of standard input orders, as JSON.
    Etcd,
}

/// The verb could not be done. That nothing came back is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The order cannot be understood. The words never hold any part of it: it may be secret.
    #[error("the order cannot be understood: {0}")]
    Order(String),
    /// Standard input or output broke.
    #[error("cannot read standard input or write standard output: {0}")]
    Stream(#[from] io::Error),
    /// A port could not be opened.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },
}

impl From<TlsError> for ProbeError {
    fn from(error: TlsError) -> Self {
        ProbeError::Order(error.to_string())
    }
}

impl ProbeError {
    /// The exit code: 2 when the caller is wrong, else 1.
    pub(super) fn code(&self) -> u8 {
        match self {
            ProbeError::Order(_) => 2,
            ProbeError::Stream(_) | ProbeError::Listen { .. } => 1,
        }
    }
}

impl Verb {
    /// Does it. Verbs without an end of their own run until this is dropped. What reaches out prints
    /// one line of JSON, to be read by [`read`].
    ///
    /// # Errors
    /// When the order, the streams or a port are of no use.
    pub async fn run(
        self,
        mut input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin,
    ) -> Result<(), ProbeError> {
        match self {
            Verb::Echo { words } => target::echo(&words, output).await,
            Verb::Cat => target::cat(input, output).await,
            Verb::Tick => target::tick(output).await,
            Verb::Wait => std::future::pending().await,
            Verb::Listen { ports } => target::listen(&ports).await,
            Verb::Connect { address, port, timeout_ms, greeted } => {
                let time = Duration::from_millis(timeout_ms.into());
                let connected = connect::connect((address, port).into(), time, greeted).await;
                answer::print(connected, output).await
            }
            Verb::Resolve { name } => answer::print(resolve::resolve(&name).await?, output).await,
            Verb::Request => {
                let order = order(&mut input).await?;
                answer::print(request::request(&order).await?, output).await
            }
            Verb::Etcd => {
                let order = order(&mut input).await?;
                answer::print(etcd::etcd(&order).await?, output).await
            }
        }
    }
}

/// The verb of a command that a simulated node may do, in this very process: it reaches nothing but its own input and
/// output. `None` for every other command.
pub fn harmless(command: &[String]) -> Option<Verb> {
    let program = command.first()?;
    if !matches!(program.as_str(), "probe" | "/bin/probe") {
        return None;
    }
    match Probe::try_parse_from(command).ok()?.verb {
        verb @ (Verb::Echo { .. } | Verb::Cat | Verb::Tick | Verb::Wait) => Some(verb),
        Verb::Listen { .. }
        | Verb::Connect { .. }
        | Verb::Resolve { .. }
        | Verb::Request
        | Verb::Etcd => None,
    }
}

async fn order<T: DeserializeOwned>(input: &mut (impl AsyncRead + Unpin)) -> Result<T, ProbeError> {
    let mut text = Vec::new();
    // Not every way into a pod can close its standard input: the line's end is the order's.
    BufReader::new(input.take(ORDER_LIMIT)).read_until(b'\n', &mut text).await?;
    serde_json::from_slice(&text).map_err(|error| {
        // The error's own words may quote a token or a key.
        let place = format!("line {}, column {}", error.line(), error.column());
        let limit = ORDER_LIMIT / 1024;
        ProbeError::Order(format!(
            "expected one JSON object of at most {limit} KiB in a line of standard input, with the documented \
             fields and no others; it stops making sense at {place}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(words: &[&str], input: &str) -> Result<String, ProbeError> {
        let probe = Probe::try_parse_from([&["probe"], words].concat()).expect("arguments");
        let mut output = Vec::new();
        probe.verb.run(input.as_bytes(), &mut output).await?;
        Ok(String::from_utf8(output).expect("UTF-8"))
    }

    #[tokio::test]
    async fn echo_prints_its_words_whatever_they_look_like() {
        assert_eq!(run(&["echo", "foo"], "").await.expect("echoed"), "foo\n");
        let words = ["echo", "--help", "-n", "a b"];
        assert_eq!(run(&words, "").await.expect("echoed"), "--help -n a b\n");
        assert_eq!(run(&["echo"], "").await.expect("echoed"), "\n");
    }

    #[test]
    fn of_all_commands_four_verbs_are_harmless() {
        // What a simulated node refuses must not be planned for it, so that the two agree.
        let is_harmless = |line: &str| {
            let command: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let is_run = harmless(&command).is_some();
            let (pod, container, stdin, tty) = (None, None, false, false);
            let exec = crate::model::Exec { namespace: None, pod, container, command, stdin, tty };
            assert_eq!(exec.is_harmless(), is_run, "{line}");
            is_run
        };
        for line in
            ["probe echo", "probe echo --x -h", "/bin/probe cat", "probe tick", "probe wait"]
        {
            assert!(is_harmless(line), "{line}");
        }
        for line in [
            "touch /tmp/x",
            "sh -c probe",
            "probe",
            "probe touch",
            "probe listen 80",
            "probe connect 127.0.0.1 80",
            "probe etcd",
            "probe cat /etc/passwd",
            "probe tick --help",
            "./probe echo",
            "",
        ] {
            assert!(!is_harmless(line), "{line}");
        }
    }

    #[tokio::test]
    async fn cat_gives_back_what_is_typed() {
        assert_eq!(run(&["cat"], "typed\n").await.expect("read"), "typed\n");
    }

    #[tokio::test]
    async fn an_order_that_cannot_be_understood_is_not_repeated() {
        let marker = "MARKER-4711";
        for order in [
            format!("\"{marker}\""),
            format!("{{\"{marker}\": 1}}"),
            format!("{{\"headers\": \"{marker}\"}}"),
            format!("{{\"scheme\": \"{marker}\"}}"),
            format!("{marker}{}", " ".repeat(2 << 20)),
        ] {
            for verb in ["request", "etcd"] {
                let error = run(&[verb], &order).await.expect_err("not understood");
                assert_eq!(error.code(), 2);
                assert!(!format!("{error} {error:?}").contains(marker));
            }
        }
    }

    #[tokio::test]
    async fn a_connection_is_one_line_of_json() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port().to_string();
        let line = run(&["connect", "127.0.0.1", &port], "").await.expect("done");
        assert_eq!(line, "{\"connected\":true}\n");
    }
}
