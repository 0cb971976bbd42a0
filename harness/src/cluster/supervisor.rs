//! Programs that end with us, whatever ends us. Each has a supervisor, a second copy of our own executable, that
//! kills it when its standard input closes; the kernel closes that pipe even when we are killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::ClusterError;
use super::process::{ProcessError, last_lines, own_executable};

/// How long a killed program may take to be gone.
const GOING: Duration = Duration::from_secs(5);

/// How much garbage a program written in Go may gather before it collects: while they start, which is what a user
/// waits for, the programs would collect again and again (0.3 s of 3.8 s, measured).
const GARBAGE: &str = "400";

/// How many lines of a program's log an error shows.
const LAST_WORDS: usize = 8;

/// What `brinell supervise` does: starts the program and kills it when standard input ends.
///
/// # Errors
/// When the program cannot be started or waited for.
pub fn supervise(program: &OsString, arguments: &[OsString]) -> io::Result<ExitCode> {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
    let id = Pid::from_child(&child);
    std::thread::spawn(move || {
        // A pipe that breaks is as closed as one that ends.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // It may have ended this moment: then there is nothing to kill.
        let _ = kill_process(id, Signal::KILL);
    });
    Ok(exit_code(child.wait()?))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    // Shells count a signal from 128 on.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into()
}

/// A program under a supervisor, its output in a log.
#[derive(Debug)]
pub(super) struct Supervised {
    name: &'static str,
    supervisor: Child,
    log: PathBuf,
}

impl Supervised {
    /// Starts it. In a process group of its own: an interrupt at the terminal reaches only us.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self, ClusterError> {
        let start = || {
            let output = File::create(log)?;
            Command::new(own_executable()?)
                .arg0("brinell")
                .arg("supervise")
                .arg(program)
                .args(arguments)
                .env("GOGC", GARBAGE)
                .stdin(Stdio::piped())
                .stdout(output.try_clone()?)
                .stderr(output)
                .process_group(0)
                .spawn()
        };
        let supervisor = start().map_err(|source| {
            ClusterError::Process(ProcessError::Start { program: name.to_owned(), source })
        })?;
        Ok(Supervised { name, supervisor, log: log.to_owned() })
    }

    /// Whether it is the program of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// An error with its last words where it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), ClusterError> {
        match self.supervisor.try_wait() {
            Ok(Some(status)) => Err(self.failure(&format!("ended with {status}"))),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// What became of it, in its own last words.
    pub(super) fn failure(&self, state: &str) -> ClusterError {
        let words = fs::read(&self.log).unwrap_or_default();
        ClusterError::NotRunning {
            program: self.name.to_owned(),
            state: state.to_owned(),
            words: last_lines(&String::from_utf8_lossy(&words), LAST_WORDS),
        }
    }
}

/// Ends programs together: all are killed, then all are waited for, so that nobody writes into a folder that is
/// being removed.
pub(super) fn end(programs: &mut Vec<Supervised>) {
    for program in programs.iter_mut() {
        drop(program.supervisor.stdin.take());
    }
    let deadline = Instant::now() + GOING;
    for mut program in programs.drain(..) {
        while matches!(program.supervisor.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let group = Pid::from_child(&program.supervisor);
                // Nothing more can be done about a program that outlives this.
                let _ = kill_process_group(group, Signal::KILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
