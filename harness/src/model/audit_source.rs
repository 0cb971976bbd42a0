//! Where the audit log of a cluster comes from that is not ours, as a profile says it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::json;

use super::{LogFormat, Span};

/// Where the audit log of a cluster comes from: exactly one of `file`, `command`, `stdin`, `listen` and `none`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written")]
pub struct AuditSource {
    /// Where lines come from.
    pub from: AuditFrom,
    /// In which envelope they come; `None` is found out from the first of them.
    pub format: Option<LogFormat>,
    /// How late an event may be there. What is not there by then does not come.
    pub delay: Duration,
}

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditFrom {
    /// A file on this machine that an API server writes.
    File(PathBuf),
    /// A command that prints what a vendor has kept.
    Command(AuditCommand),
    /// Standard input.
    Stdin,
    /// The API server's audit webhook backend posts them to us.
    Listen(AuditListen),
    /// There is no log.
    None,
}

/// A command that prints audit events and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCommand {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// How long it may take, each time.
    pub deadline: Duration,
}

/// How we serve the audit webhook backend, which is a client with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuditListen {
    /// The address and the port to listen on: `0.0.0.0:8443`.
    #[serde(deserialize_with = "address")]
    pub address: SocketAddr,
    /// A file with our certificate and those that it rests on, PEM.
    pub certificate: PathBuf,
    /// A file with its private key, PEM.
    pub key: PathBuf,
    /// A file with the authorities of which one must have signed the API server's certificate, PEM.
    pub client_ca: PathBuf,
}

fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        let expected = "expected an IP address and a port, such as 0.0.0.0:8443 or [::]:8443";
        serde::de::Error::custom(format_args!("`address`: {expected}, not `{text}`"))
    })
}

/// Whether a source gives the events of one API server in the order in which it wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It does. What an API server answered before a fence is there when the fence is: absence can be proved.
    Kept,
    /// Several API servers write it. It keeps the order of each, so that a fence proves something of the one that answered
    /// it, and nothing of the others.
    OfEach,
    /// It does not, and this is why. What is not there when the delay is over is not there as far as anybody knows.
    Lost(&'static str),
}

/// What it means when a source ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// It was meant to: what it held was read.
    Complete,
    /// It never should: the log can no longer be read.
    Gone,
}

impl AuditSource {
    /// Whether there is a log at all.
    pub fn is_there(&self) -> bool {
        self.from != AuditFrom::None
    }

    /// Whether a fence proves absence.
    pub fn order(&self) -> Order {
        match self.from {
            // A format that is found out says it then (`AuditLog::disorder`).
            AuditFrom::File(_) | AuditFrom::Stdin => {
                self.format.and_then(LogFormat::disorder).map_or(Order::Kept, Order::Lost)
            }
            AuditFrom::Command(_) => Order::Lost(
                "what a command prints may come from several API servers, and in the order in which it was kept",
            ),
            AuditFrom::Listen(_) => Order::Lost(
                "the audit webhook backend sends batches side by side, and drops events when its buffer is full",
            ),
            AuditFrom::None => Order::Lost("there is no audit log"),
        }
    }

    /// What its end means.
    pub fn at_end(&self) -> AtEnd {
        match self.from {
            AuditFrom::Stdin | AuditFrom::Command(_) | AuditFrom::None => AtEnd::Complete,
            AuditFrom::File(_) | AuditFrom::Listen(_) => AtEnd::Gone,
        }
    }
}

/// How long a command may take unless the profile says it.
const DEADLINE: Duration = Duration::from_secs(60);

impl AuditFrom {
    /// The files of ours that it names. What a command is given is the command's.
    pub(super) fn files(&mut self) -> Vec<&mut PathBuf> {
        match self {
            AuditFrom::File(path) => vec![path],
            AuditFrom::Listen(AuditListen { certificate, key, client_ca, .. }) => {
                vec![certificate, key, client_ca]
            }
            AuditFrom::Command(_) | AuditFrom::Stdin | AuditFrom::None => Vec::new(),
        }
    }

    /// How late an event may be unless the profile says it. The webhook backend keeps a batch for 30 s until it is full
    /// (`--audit-webhook-batch-max-wait`); vendors promise minutes, by whichever way their events come.
    fn usual_delay(&self, format: Option<LogFormat>) -> Duration {
        let is_kept_elsewhere = format.and_then(LogFormat::disorder).is_some();
        Duration::from_secs(match self {
            AuditFrom::None => 0,
            AuditFrom::File(_) | AuditFrom::Stdin if is_kept_elsewhere => 5 * 60,
            AuditFrom::File(_) | AuditFrom::Stdin => 5,
            AuditFrom::Listen(_) => 60,
            AuditFrom::Command(_) => 5 * 60,
        })
    }
}

/// A source, in the keys of its file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "AuditSource")]
#[schemars(transform = exactly_one)]
struct Written {
    /// A file on this machine that an API server writes. It is read from its end on, through its rotations.
    #[serde(default)]
    file: Option<PathBuf>,
    /// A program and its arguments, which prints events. `${since}` stands for the run's start in RFC 3339,
    /// `${since-ms}` for the same in milliseconds since 1970, `${run}` for the run's id.
    #[serde(default)]
    command: Option<Vec<String>>,
    /// `true`: standard input is the log.
    #[serde(default)]
    stdin: Option<bool>,
    /// The API server's audit webhook backend posts events to us.
    #[serde(default)]
    listen: Option<AuditListen>,
    /// `true`: there is no log, and what needs evidence is skipped.
    #[serde(default)]
    none: Option<bool>,
    /// The envelope that events come in. Without it, it is found out.
    #[serde(default)]
    format: Option<LogFormat>,
    /// How late an event may be there: `5s` for a file and standard input, `60s` for `listen`, `5m` for a command and where
    /// `format` is one of a vendor's.
    #[serde(default)]
    delay: Option<Span>,
    /// How long the command may take each time: `60s` unless it is said.
    #[serde(default)]
    deadline: Option<Span>,
}

/// What is wrong with a source as it is written.
#[derive(Debug, thiserror::Error)]
pub enum NoAuditSource {
    /// None of the keys is there, or more than one.
    #[error("expected exactly one of `file`, `command`, `stdin`, `listen` and `none`, not {0}")]
    NotOne(String),
    /// A key is there that says nothing.
    #[error("`{0}`: expected `true`; leave the key out where it is not so")]
    False(&'static str),
    /// The command has no program.
    #[error(
        "`command`: expected a program and its arguments, such as [aws, logs, filter-log-events]"
    )]
    NoProgram,
    /// A path is empty.
    #[error("`file`: expected the path of the log on this machine, not an empty text")]
    NoPath,
    /// A key is there that means nothing beside the source.
    #[error("`{key}` means nothing beside `{source_key}`: leave it out")]
    Beside {
        /// The key.
        key: &'static str,
        /// The source's.
        source_key: &'static str,
    },
    /// The API server posts its own format alone.
    #[error(
        "`format`: expected `kubernetes` or nothing beside `listen`: the API server posts no other"
    )]
    Posted,
    /// A command without time.
    #[error("`deadline`: expected more than 0s: the command must have time to answer")]
    NoTime,
}

impl TryFrom<Written> for AuditSource {
    type Error = NoAuditSource;

    fn try_from(written: Written) -> Result<AuditSource, NoAuditSource> {
        let (format, delay, deadline) = (written.format, written.delay, written.deadline);
        let (key, from) = written.from()?;
        let is_command = matches!(from, AuditFrom::Command(_));
        let stray = [
            ("format", format.is_some() && from == AuditFrom::None),
            ("delay", delay.is_some() && from == AuditFrom::None),
            ("deadline", deadline.is_some() && !is_command),
        ];
        if let Some((stray, _)) = stray.into_iter().find(|(_, is_there)| *is_there) {
            return Err(NoAuditSource::Beside { key: stray, source_key: key });
        }
        if key == "listen" && format.is_some_and(|format| format != LogFormat::Kubernetes) {
            return Err(NoAuditSource::Posted);
        }
        let delay = delay.map_or_else(|| from.usual_delay(format), |delay| delay.0);
        Ok(AuditSource { from, format, delay })
    }
}

impl Written {
    /// The one source that is written, and its key.
    fn from(self) -> Result<(&'static str, AuditFrom), NoAuditSource> {
        let deadline = self.deadline.map_or(DEADLINE, |deadline| deadline.0);
        let command = |arguments| AuditFrom::Command(AuditCommand { arguments, deadline });
        let is_false = [("stdin", self.stdin), ("none", self.none)];
        if let Some((key, _)) = is_false.into_iter().find(|(_, said)| *said == Some(false)) {
            return Err(NoAuditSource::False(key));
        }
        let mut written: Vec<(&'static str, AuditFrom)> = Vec::new();
        written.extend(self.file.map(|path| ("file", AuditFrom::File(path))));
        written.extend(self.command.map(|arguments| ("command", command(arguments))));
        written.extend(self.stdin.map(|_| ("stdin", AuditFrom::Stdin)));
        written.extend(self.listen.map(|listen| ("listen", AuditFrom::Listen(listen))));
        written.extend(self.none.map(|_| ("none", AuditFrom::None)));
        let keys: Vec<String> = written.iter().map(|(key, _)| format!("`{key}`")).collect();
        let (1, Some((key, from))) = (written.len(), written.pop()) else {
            let found =
                if keys.is_empty() { "none of them".to_owned() } else { keys.join(" and ") };
            return Err(NoAuditSource::NotOne(found));
        };
        match &from {
            AuditFrom::File(path) if path.as_os_str().is_empty() => Err(NoAuditSource::NoPath),
            AuditFrom::Command(command)
                if command.arguments.first().is_none_or(String::is_empty) =>
            {
                Err(NoAuditSource::NoProgram)
            }
            AuditFrom::Command(command) if command.deadline.is_zero() => Err(NoAuditSource::NoTime),
            _ => Ok((key, from)),
        }
    }
}

/// Tells an editor which keys go together.
fn exactly_one(schema: &mut Schema) {
    schema.insert(
        "oneOf".to_owned(),
        json!([
            {"required": ["file"], "not": {"required": ["deadline"]}},
            {"required": ["command"]},
            {"required": ["stdin"], "not": {"required": ["deadline"]}},
            {"required": ["listen"], "not": {"required": ["deadline"]}},
            {"required": ["none"], "properties": {"format": false, "delay": false, "deadline": false}},
        ]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AuditSource, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_source_is_read_with_its_delay() {
        let seconds = Duration::from_secs;
        let file = read("{file: /var/log/audit.log, delay: 7s}").expect("a file");
        assert_eq!(file.from, AuditFrom::File("/var/log/audit.log".into()));
        assert_eq!(
            (file.delay, file.order(), file.at_end()),
            (seconds(7), Order::Kept, AtEnd::Gone)
        );
        let command = read("{command: [aws, logs], format: eks, delay: 10m, deadline: 30s}")
            .expect("a command");
        let arguments = vec!["aws".to_owned(), "logs".to_owned()];
        assert_eq!(
            command.from,
            AuditFrom::Command(AuditCommand { arguments, deadline: seconds(30) })
        );
        assert_eq!((command.format, command.delay), (Some(LogFormat::Eks), seconds(600)));
        assert!(matches!(command.order(), Order::Lost(_)));
        let stdin = read("{stdin: true, format: openshift}").expect("standard input");
        assert_eq!((stdin.from.clone(), stdin.at_end()), (AuditFrom::Stdin, AtEnd::Complete));
        assert_eq!((stdin.delay, stdin.order()), (seconds(5), Order::Kept));
        let listen =
            "{listen: {address: '[::1]:8443', certificate: a.crt, key: a.key, client-ca: ca.crt}}";
        let listen = read(listen).expect("a listener");
        let AuditFrom::Listen(served) = &listen.from else { panic!("{listen:?}") };
        assert_eq!((served.address.port(), listen.delay), (8443, seconds(60)));
        assert!(matches!(listen.order(), Order::Lost(_)));
        assert_eq!(read("{none: true}").expect("none").from, AuditFrom::None);
    }

    #[test]
    fn what_a_vendor_keeps_is_late_and_in_no_order_whichever_way_it_comes() {
        for format in LogFormat::ALL {
            let is_vendors = ![LogFormat::Kubernetes, LogFormat::OpenShift].contains(&format);
            for from in ["file: a.log", "stdin: true"] {
                let source = read(&format!("{{{from}, format: {}}}", format.label())).expect(from);
                assert_eq!(matches!(source.order(), Order::Lost(_)), is_vendors, "{source:?}");
                let delay = Duration::from_secs(if is_vendors { 300 } else { 5 });
                assert_eq!(source.delay, delay, "{source:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field_and_what_was_expected() {
        for (text, words) in [
            (
                "{}",
                "exactly one of `file`, `command`, `stdin`, `listen` and `none`, not none of them",
            ),
            ("{file: a, stdin: true}", "not `file` and `stdin`"),
            ("{stdin: false}", "`stdin`: expected `true`"),
            ("{none: false}", "`none`: expected `true`"),
            ("{none: true, delay: 5s}", "`delay` means nothing beside `none`"),
            ("{file: a, deadline: 5s}", "`deadline` means nothing beside `file`"),
            ("{file: ''}", "`file`: expected the path"),
            ("{command: []}", "`command`: expected a program"),
            ("{command: [aws], deadline: 0s}", "`deadline`: expected more than 0s"),
            ("{file: a, delay: 5}", "such as 500ms, 5s, 5m or 1h30m, not `5`"),
            ("{file: a, format: splunk}", "kubernetes"),
            ("{file: a, path: b}", "unknown field `path`"),
            (
                "{listen: {address: 'localhost', certificate: a, key: b, client-ca: c}}",
                "`address`: expected an IP address and a port, such as 0.0.0.0:8443 or [::]:8443, not `localhost`",
            ),
            ("{listen: {address: '[::]:1', certificate: a, key: b}}", "client-ca"),
            (
                "{listen: {address: '[::]:1', certificate: a, key: b, client-ca: c}, format: gke}",
                "`format`: expected",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
