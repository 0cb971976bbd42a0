//! What a verb that reaches out prints: what came back, or how nothing did.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::ProbeError;
use crate::model::SilenceKind;

/// Nothing came back, in one of these ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoAnswer {
    /// How.
    pub silence: SilenceKind,
    /// The error's own words.
    pub text: String,
}

/// Reads the line that a verb printed.
///
/// # Errors
/// When the line is neither what came back nor a [`NoAnswer`].
pub fn read<T: DeserializeOwned>(line: &str) -> serde_json::Result<Result<T, NoAnswer>> {
    let value: Value = serde_json::from_str(line)?;
    if value.get("silence").is_some() {
        serde_json::from_value(value).map(Err)
    } else {
        serde_json::from_value(value).map(Ok)
    }
}

pub(super) async fn print<T: Serialize>(
    answer: Result<T, NoAnswer>,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), ProbeError> {
    let json = match &answer {
        Ok(answer) => serde_json::to_string(answer),
        Err(silence) => serde_json::to_string(silence),
    };
    let line = json.map_err(io::Error::from)? + "\n";
    output.write_all(line.as_bytes()).await?;
    Ok(output.flush().await?)
}

impl NoAnswer {
    pub(super) fn timed_out(time: Duration) -> Self {
        let text = format!("no answer within {} ms", time.as_millis());
        NoAnswer { silence: SilenceKind::TimedOut, text }
    }

    pub(super) fn cut(text: impl Into<String>) -> Self {
        NoAnswer { silence: SilenceKind::Cut, text: text.into() }
    }

    pub(super) fn broken(text: impl Into<String>) -> Self {
        NoAnswer { silence: SilenceKind::Broken, text: text.into() }
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        NoAnswer { silence: kind(&error), text: words(&error) }
    }
}

impl From<hyper::Error> for NoAnswer {
    fn from(error: hyper::Error) -> Self {
        let silence = match io_cause(&error) {
            Some(cause) => kind(cause),
            None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
                SilenceKind::Cut
            }
            None => SilenceKind::Broken,
        };
        NoAnswer { silence, text: words(&error) }
    }
}

fn kind(error: &io::Error) -> SilenceKind {
    match error.kind() {
        ErrorKind::ConnectionRefused => SilenceKind::Refused,
        ErrorKind::TimedOut => SilenceKind::TimedOut,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => SilenceKind::Cut,
        _ => SilenceKind::Broken,
    }
}

fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    error.downcast_ref().or_else(|| io_cause(error.source()?))
}

/// The error with its causes: hyper's own words name only where it happened.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::Connected;
    use super::*;

    #[test]
    fn what_was_printed_is_read_back() {
        let connected = read::<Connected>("{\"connected\":true}\n").expect("read");
        assert_eq!(connected, Ok(Connected { connected: true }));
        let line = "{\"silence\":\"timed-out\",\"text\":\"no answer within 20 ms\"}";
        let silence = read::<Connected>(line).expect("read").expect_err("silence");
        assert_eq!(silence, NoAnswer::timed_out(Duration::from_millis(20)));
        assert!(read::<Connected>("{\"connected\":1}").is_err());
        assert!(read::<Connected>("{\"silence\":\"shy\"}").is_err());
        assert!(read::<Connected>("").is_err());
    }
}
