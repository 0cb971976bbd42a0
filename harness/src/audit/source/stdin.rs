//! Standard input is the log: another program follows it and gives it to us by a pipe.

use std::io::{IsTerminal, stdin};

use super::{SourceError, Stream};

/// Reads standard input to its end. A runtime that has started to read it cannot be waited for until it ends
/// (`tokio::io::stdin`): a command that reads it ends without waiting.
pub(super) fn open() -> Result<Stream, SourceError> {
    if stdin().is_terminal() {
        return Err(SourceError::Terminal);
    }
    Ok(Stream::of(tokio::io::stdin()))
}
