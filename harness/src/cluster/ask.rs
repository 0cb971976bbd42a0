//! Running the command of the user's that prints a log. It stands here and not with the log, because commands of other
//! programs have a supervisor, which is the clusters'.

use tokio::process::ChildStdout;

use super::ProcessError;
use super::process::Outside;
use crate::audit::AuditLog;
use crate::audit::source::Command;

/// Runs the command once while `read` takes what it prints.
///
/// # Errors
/// When it cannot be started, is late, or ends with an error: then what was read is not all.
pub async fn ask<T>(
    command: &Command,
    read: impl AsyncFnOnce(ChildStdout) -> T,
) -> Result<T, ProcessError> {
    let words: Vec<&str> = command.arguments().iter().map(String::as_str).collect();
    let asked = Outside::of(&words).with_secret_arguments();
    asked.read(command.deadline(), read).await
}

/// Runs the command once, and has the log read what it prints.
///
/// # Errors
/// Why nothing is told by it, for a person.
pub async fn ask_for_log(command: &Command, log: &AuditLog) -> Result<(), String> {
    match ask(command, async |printed| log.read_through(printed).await).await {
        Ok(read) => read.map_err(|unread| unread.to_string()),
        Err(failed) => Err(failed.to_string()),
    }
}
