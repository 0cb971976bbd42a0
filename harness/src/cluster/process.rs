//! Commands of other people's programs: by argument list, never through a shell, each with a deadline, and each under
//! a supervisor, so that it ends with us.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};

use super::supervisor::{self, Abandoned};
use crate::text::without_credentials;

/// How long a program may take to say its version or where something is.
pub const ANSWERING: Duration = Duration::from_secs(10);

/// How long the engine may take to show something.
pub const SHOWING: Duration = Duration::from_secs(30);

/// How long a command may take that makes, changes or removes something, an image of a gigabyte among them.
pub const CHANGING: Duration = Duration::from_secs(120);

/// How long a command of the reader's may take that prints objects.
pub const PRINTING: Duration = Duration::from_secs(60);

/// How long a download or a whole cluster may take.
pub const MAKING: Duration = Duration::from_secs(15 * 60);

/// How long a build from source may take.
pub const BUILDING: Duration = Duration::from_secs(60 * 60);

/// How many bytes are kept of what a program complains of.
const LAST_BYTES: usize = 64 << 10;

/// A command that could not be started, did not end in time or did not end well.
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
    /// It was ended when its deadline had passed.
    #[error("`{command}` did not end within {} seconds, and was ended", within.as_secs())]
    Late {
        /// Program and first arguments.
        command: String,
        /// Its deadline.
        within: Duration,
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

/// A command of another program.
pub struct Outside<'a> {
    program: &'a str,
    arguments: &'a [&'a str],
    environment: Vec<(&'a str, OsString)>,
    folder: Option<&'a Path>,
    without_proxies: bool,
    has_secret_arguments: bool,
    input: &'a [u8],
    abandoned: Abandoned,
}

impl<'a> Outside<'a> {
    /// A program, looked up on the PATH, with its arguments and our environment.
    pub fn new(program: &'a str, arguments: &'a [&'a str]) -> Self {
        Outside {
            program,
            arguments,
            environment: Vec::new(),
            folder: None,
            without_proxies: false,
            has_secret_arguments: false,
            input: &[],
            abandoned: Abandoned::Ends,
        }
    }

    /// A command by its words, of which the first is the program.
    pub fn of(words: &'a [&'a str]) -> Self {
        let (program, arguments) =
            words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
        Outside::new(program, arguments)
    }

    /// With more variables.
    pub fn with(
        mut self,
        variables: impl IntoIterator<Item = (&'a str, impl Into<OsString>)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name, value.into()));
        self.environment.extend(variables);
        self
    }

    /// In a folder, by its absolute path, from which a program with a slash in its name is looked up as well.
    pub fn within(mut self, folder: &'a Path) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Without the variables that name proxies.
    pub fn without_proxies(mut self) -> Self {
        self.without_proxies = true;
        self
    }

    /// Errors name the program alone: there may be secrets in its arguments.
    pub fn with_secret_arguments(mut self) -> Self {
        self.has_secret_arguments = true;
        self
    }

    /// With something on standard input.
    pub fn input(mut self, input: &'a [u8]) -> Self {
        self.input = input;
        self
    }

    /// The command goes on to its end even if nobody waits for it any more. An engine does what it was asked whether
    /// the command lives or not, and only the end of the command tells when that is done.
    pub fn going_on(mut self) -> Self {
        self.abandoned = Abandoned::GoesOn;
        self
    }

    /// Starts it. What it prints is read while it goes, and it ends with the value.
    pub fn start(&self) -> Result<Group, ProcessError> {
        let failed = |source| ProcessError::Start { program: self.program.to_owned(), source };
        let program = look_up(self.program, self.folder).map_err(failed)?;
        let mut supervised = supervisor::command(self.input.len(), self.abandoned, &program);
        supervised
            .args(self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.without_proxies {
            remove_proxies(&mut supervised);
        }
        self.folder.iter().for_each(|folder| {
            supervised.current_dir(folder);
        });
        let child = Command::from(supervised)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        Ok(Group { child })
    }

    /// Runs it to its end and returns what it printed on standard output.
    ///
    /// # Errors
    /// When it cannot be started, takes longer than `within`, or ends with an error.
    pub async fn output(self, within: Duration) -> Result<Vec<u8>, ProcessError> {
        let mut group = self.start()?;
        match tokio::time::timeout(within, group.read_to_end(self.input)).await {
            Ok(Ok((status, printed, _))) if status.success() => Ok(printed),
            Ok(Ok((status, printed, complained))) => {
                let words = if complained.is_empty() { printed } else { complained };
                Err(ProcessError::Failed {
                    command: self.line(),
                    status,
                    output: last_words(&String::from_utf8_lossy(&words)),
                })
            }
            Ok(Err(source)) => {
                Err(ProcessError::Start { program: self.program.to_owned(), source })
            }
            Err(_) => {
                // This ends the supervisor, and with it the command, even one that goes on otherwise.
                let _ = group.child.start_kill();
                Err(ProcessError::Late { command: self.line(), within })
            }
        }
    }

    /// Runs it to its end while `read` takes what it prints on standard output. When that takes too long it is ended
    /// with everything that it has started.
    ///
    /// # Errors
    /// When it cannot be started, takes longer than `within`, or ends with an error: then what was read is not all.
    pub async fn read<T>(
        mut self,
        within: Duration,
        read: impl AsyncFnOnce(ChildStdout) -> T,
    ) -> Result<T, ProcessError> {
        self.abandoned = Abandoned::EndsWithItsOwn;
        let wrong = |source| ProcessError::Start { program: self.program.to_owned(), source };
        let mut group = self.start()?;
        let stdout = group.stdout().ok_or_else(|| wrong(io::ErrorKind::BrokenPipe.into()))?;
        let stderr = group.child.stderr.take();
        let reading = async {
            let (read, complained) = tokio::join!(read(stdout), read_end(stderr));
            (read, complained, group.ended().await)
        };
        match tokio::time::timeout(within, reading).await {
            Ok((read, _, Ok(status))) if status.success() => Ok(read),
            Ok((_, complained, Ok(status))) => Err(ProcessError::Failed {
                command: self.line(),
                status,
                output: last_words(&String::from_utf8_lossy(&complained)),
            }),
            Ok((_, _, Err(source))) => Err(wrong(source)),
            Err(_) => Err(ProcessError::Late { command: self.line(), within }),
        }
    }

    fn line(&self) -> String {
        if self.has_secret_arguments {
            return self.program.to_owned();
        }
        let shown: Vec<&str> = self.arguments.iter().take(4).copied().collect();
        without_credentials(&format!("{} {}", self.program, shown.join(" ")))
    }
}

/// A running command, in process groups of its own: an interrupt at the terminal reaches only us. When this value is
/// dropped, its supervisor ends it.
pub struct Group {
    child: Child,
}

impl Group {
    /// The command's standard output; `None` if it was given out before.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let kept = self.child.stdin.take();
        let status = self.child.wait().await;
        drop(kept);
        status
    }

    /// How it ended, and what it printed on standard output and standard error.
    async fn read_to_end(&mut self, input: &[u8]) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        let mut stdin = self.child.stdin.take();
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let feed = async {
            if let Some(stdin) = &mut stdin {
                // A command that ends early says itself what was wrong.
                let _ = stdin.write_all(input).await;
            }
        };
        let (printed, complained, ()) = tokio::join!(read_all(stdout), read_end(stderr), feed);
        let status = self.child.wait().await?;
        Ok((status, printed, complained))
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

/// Removes the variables that name proxies, in every spelling: what runs on loopback is reached directly.
pub(super) fn remove_proxies(command: &mut std::process::Command) {
    let is_proxy = |name: &OsStr| name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_proxy(name)) {
        command.env_remove(name);
    }
}

/// Where a program is that runs in a folder. It is looked up here because its supervisor, which starts it, could not
/// say that it is missing.
pub(super) fn look_up(program: &str, folder: Option<&Path>) -> io::Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![folder.unwrap_or(Path::new("")).join(program)],
        false => std::env::split_paths(&folders).map(|folder| folder.join(program)).collect(),
    };
    let found = places.into_iter().find(|place| is_executable(place));
    found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

async fn read_all(source: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        // A pipe that breaks ends like one that is closed: the exit status tells the rest.
        let _ = source.read_to_end(&mut bytes).await;
    }
    bytes
}

/// The end of what a program complains of, however much that is.
async fn read_end(source: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut end = Vec::new();
    if let Some(mut source) = source {
        // A pipe that breaks ends like one that is closed.
        while source.read_buf(&mut end).await.is_ok_and(|count| count > 0) {
            if end.len() > 2 * LAST_BYTES {
                end.drain(..end.len() - LAST_BYTES);
            }
        }
    }
    end
}

/// The end of what a program printed, without what hides the cause, and without credentials.
fn last_words(text: &str) -> String {
    without_credentials(&last_lines(&without_noise(text), 12))
}

/// A text without the frames of Go's stacks, a function's name and in the next line its place, and without what klog
/// notes for information (`I1126 00:43:22…`).
fn without_noise(text: &str) -> String {
    let is_note = |line: &str| {
        line.strip_prefix('I')
            .and_then(|rest| rest.split(' ').next())
            .is_some_and(|date| date.len() == 4 && date.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_place = |line: &str| {
        let place = line.trim_start().split(' ').next().and_then(|place| place.rsplit_once(':'));
        line.starts_with('\t')
            && place.is_some_and(|(file, _)| file.ends_with(".go") || file.ends_with(".s"))
    };
    let mut lines = text.lines().peekable();
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        let is_frame = lines.peek().is_some_and(|next| is_place(next));
        if !is_frame && !is_place(line) && !is_note(line) {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// The end of a text, which is where programs say what went wrong.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_and_notes_are_no_last_words() {
        let printed = "I1126 00:43:22.1 119 round_trippers.go:632] Response\nerror: no kubelet\nk8s.io/kubernetes/cmd/kubeadm.run\n\tcmd/kubeadm/run.go:12\n\
                       runtime.goexit\n\truntime/asm_amd64.s:1700 +0x21\nsee its log\n\tindented: 7";
        assert_eq!(last_words(printed), "error: no kubelet\nsee its log\n\tindented: 7");
    }

    #[test]
    fn a_program_is_looked_up_as_a_shell_does() {
        let within = Some(Path::new("/bin"));
        assert!(look_up("sh", None).is_ok_and(|path| path.is_absolute()));
        assert!(look_up("/bin/sh", within).is_ok_and(|path| path == Path::new("/bin/sh")));
        assert!(look_up("./sh", within).is_ok_and(|path| path == Path::new("/bin/./sh")));
        let missing = look_up("brinell-is-no-program", within).expect_err("missing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(look_up("/etc", None).is_err());
    }
}
