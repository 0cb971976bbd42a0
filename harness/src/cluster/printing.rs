//! Running a command of the reader's that prints a control's objects. It stands here and not with the catalog, because
//! commands of other programs have a supervisor, which is the clusters'.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::runtime::Builder;

use super::ProcessError;
use super::process::Outside;
use crate::text::without_credentials;

/// How many bytes a command may print.
const MOST: u64 = 16 << 20;

/// A command printed nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It could not be started, was late, or ended with an error.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It prints too much.
    #[error("`{command}` prints more than {} MiB", MOST >> 20)]
    TooMuch {
        /// The command.
        command: String,
    },
    /// It could not be run at all.
    #[error("no command can be run: {0}")]
    Runtime(#[from] io::Error),
}

/// Runs a command in a folder to its end, and returns what it prints on standard output. It may be called anywhere,
/// also where other work is awaited, which then waits for it.
///
/// # Errors
/// When it cannot be started, takes longer than `within`, ends with an error, or prints too much.
pub fn print(folder: &Path, command: &[String], within: Duration) -> Result<Vec<u8>, PrintError> {
    let folder = std::path::absolute(folder)?;
    let alone = || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(printed(&folder, command, within))
    };
    std::thread::scope(|scope| scope.spawn(alone).join())
        .unwrap_or_else(|_| Err(io::Error::other("a panic").into()))
}

async fn printed(
    folder: &Path,
    command: &[String],
    within: Duration,
) -> Result<Vec<u8>, PrintError> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let is_too_much = Cell::new(false);
    // Where it prints too much, its pipe is closed and it ends with an error, or at its deadline.
    let read = async |stdout: ChildStdout| {
        let mut bytes = Vec::new();
        let read = stdout.take(MOST + 1).read_to_end(&mut bytes).await;
        is_too_much.set(bytes.len() as u64 > MOST);
        read.map(|_| bytes)
    };
    let ran = Outside::of(&words).within(folder).read(within, read).await;
    if is_too_much.get() {
        return Err(PrintError::TooMuch { command: without_credentials(&command.join(" ")) });
    }
    Ok(ran??)
}
