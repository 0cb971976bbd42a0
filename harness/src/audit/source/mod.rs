//! Where the lines of a log come from on a cluster that is not ours. A file, standard input and the audit webhook
//! backend give one stream each; a command is asked again and again, and each answer is a stream of its own.

mod command;
mod file;
mod listen;
mod stdin;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use k8s_openapi::jiff::Timestamp;

use crate::input::Unreadable;
use crate::model::{AuditFrom, AuditSource};
use crate::pod::TlsError;

pub use command::{Command, NotCome};
pub use listen::{Listening, listen};
pub use stream::{Losses, Stream};

/// The run that events are read for.
#[derive(Debug, Clone)]
pub struct RunStart {
    /// Its id.
    pub id: String,
    /// When it began, before its first request.
    pub at: Timestamp,
}

/// A source that can be read from now on.
pub enum Opened {
    /// One stream.
    Stream(Stream),
    /// A command that is asked.
    Command(Command),
    /// There is no log.
    None,
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The log is not there, not readable or no file.
    #[error(
        "the audit log {} {source}; `audit.file` is the path of the API server's `--audit-log-path` on this machine",
        path.display()
    )]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: Unreadable,
    },
    /// Nobody can type an audit log.
    #[error("`audit.stdin`: standard input is a terminal; give the log to it by a pipe")]
    Terminal,
    /// An argument has a substitution that nobody knows.
    #[error(
        "`audit.command`: nothing stands for `${{{0}}}`; there are ${{since}}, ${{since-ms}} and ${{run}}"
    )]
    Substitution(String),
    /// A certificate or a key is not there.
    #[error("`audit.listen.{field}`: {} {source}", path.display())]
    Pem {
        /// Which of them.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Unreadable,
    },
    /// The certificates or the key cannot be used.
    #[error("`audit.listen`: {0}")]
    Tls(#[from] TlsError),
    /// Nobody can listen there.
    #[error("`audit.listen.address`: {address} cannot be listened on: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Opens a source. What was logged before is not ours and is left out where the source tells it apart.
///
/// # Errors
/// When it cannot be read.
pub async fn open(source: &AuditSource, run: &RunStart) -> Result<Opened, SourceError> {
    Ok(match &source.from {
        AuditFrom::File(path) => Opened::Stream(file::open(path).await?),
        AuditFrom::Command(command) => Opened::Command(Command::new(command, source.delay, run)?),
        AuditFrom::Stdin => Opened::Stream(stdin::open()?),
        AuditFrom::Listen(served) => Opened::Stream(listen(served).await?.stream),
        AuditFrom::None => Opened::None,
    })
}
