//! Running the command of the user's that prints a log. It stands here and not with the log, because commands of other
//! programs have a supervisor, which is the clusters'.

use tokio::process::ChildStdout;

use super::ProcessError;
use super::process::Outside;
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
