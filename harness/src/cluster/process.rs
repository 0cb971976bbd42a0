//! Running the engine's and kind's own commands: by argument list, never through a shell.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// A command that could not be started or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not there or not executable.
    #[error("`{program}` could not be started: {source}")]
    Start {
        /// The program's name.
        program: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("`{command}` ended with {status}:\n{output}")]
    Failed {
        /// Program and first arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it printed.
        output: String,
    },
}

/// What becomes of a command for which nobody waits any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abandoned {
    /// It is killed. What it started itself goes on to its end.
    Ends,
    /// It goes on to its end: what an engine was told to do it does, whether its command lives or not, so that
    /// only the command's end tells when it is done.
    GoesOn,
}

/// A child in a process group of its own, which is killed with this value.
pub struct Group {
    child: Child,
}

impl Group {
    /// Starts `program` in a process group of its own: an interrupt at the terminal reaches only us.
    pub fn start(
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        stdin: Stdio,
    ) -> Result<Self, ProcessError> {
        Group::start_as(program, arguments, environment, stdin, Abandoned::Ends)
    }

    fn start_as(
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        stdin: Stdio,
        abandoned: Abandoned,
    ) -> Result<Self, ProcessError> {
        let child = Command::new(program)
            .args(arguments.iter().map(OsStr::new))
            .envs(environment.iter().copied())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(abandoned == Abandoned::Ends)
            .spawn()
            .map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
        Ok(Group { child })
    }

    /// The child's standard output; given once.
    pub fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }
}

/// Our own executable. On Linux by the link that the kernel keeps: the path may meanwhile lead to a newer build.
pub(super) fn own_executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// Runs a command to its end and returns what it printed on standard output.
pub async fn output(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &[u8],
) -> Result<Vec<u8>, ProcessError> {
    output_of(program, arguments, environment, input, Abandoned::Ends).await
}

/// Runs a command to its end, which it reaches even when nobody waits for it any more.
pub async fn output_whatever_happens(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &[u8],
) -> Result<Vec<u8>, ProcessError> {
    output_of(program, arguments, environment, input, Abandoned::GoesOn).await
}

async fn output_of(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &[u8],
    abandoned: Abandoned,
) -> Result<Vec<u8>, ProcessError> {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut group = Group::start_as(program, arguments, environment, stdin, abandoned)?;
    let stdin = group.child.stdin.take();
    let stdout = group.child.stdout.take();
    let stderr = group.child.stderr.take();
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // A command that ends early says itself what was wrong.
            let _ = stdin.write_all(input).await;
        }
    };
    let (printed, complained, ()) = tokio::join!(read_all(stdout), read_all(stderr), feed);
    let status = group
        .child
        .wait()
        .await
        .map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
    if status.success() {
        return Ok(printed);
    }
    let words = if complained.is_empty() { &printed } else { &complained };
    Err(ProcessError::Failed {
        command: command_line(program, arguments),
        status,
        output: last_lines(&String::from_utf8_lossy(words), 12),
    })
}

async fn read_all(source: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        // A pipe that breaks ends like one that is closed: the exit status tells the rest.
        let _ = source.read_to_end(&mut bytes).await;
    }
    bytes
}

fn command_line(program: &str, arguments: &[&str]) -> String {
    let shown: Vec<&str> = arguments.iter().take(4).copied().collect();
    format!("{program} {}", shown.join(" "))
}

/// The end of a text, which is where programs say what went wrong.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
