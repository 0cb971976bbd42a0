//! Programs that end with us, whatever ends us. Each has a supervisor, a second copy of our own executable, and both
//! are watched: the supervisor ends its program when its standard input closes, which the kernel does even when we
//! are killed; and the kernel kills the program when its supervisor is killed (PR_SET_PDEATHSIG, prctl(2)).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group,
    set_child_subreaper, set_parent_process_death_signal,
};
use tokio::sync::watch;

use super::process::{ProcessError, last_lines, own_executable, remove_proxies};
use super::{ClusterError, commands};
use crate::text::without_credentials;

/// How long a killed program may take to be gone.
const GOING: Duration = Duration::from_secs(5);

/// How many lines of a program's log an error shows.
const LAST_WORDS: usize = 8;

/// What becomes of a command for which nobody waits any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abandoned {
    /// It is killed. What it started itself goes on to its end, for [`commands::ENDING`] at most.
    Ends,
    /// It is killed, and what it started itself with it.
    EndsWithItsOwn,
    /// It goes on to its end, for [`commands::ENDING`] at most.
    GoesOn,
}

/// A program, and how it is supervised: what `brinell supervise` takes.
#[derive(Debug, clap::Args)]
pub struct Supervision {
    /// So many bytes of standard input are the program's
    #[arg(long, default_value_t = 0)]
    input: u64,
    /// The program goes on to its end when standard input closes, if that is soon
    #[arg(long)]
    to_its_end: bool,
    /// What the program started itself ends with it when standard input closes
    #[arg(long, conflicts_with = "to_its_end")]
    with_its_own: bool,
    /// The program
    program: OsString,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// A program that the kernel kills when its supervisor is killed: what `brinell tied` takes.
#[derive(Debug, clap::Args)]
pub struct Tied {
    /// The supervisor's process
    supervisor: i32,
    /// The program
    program: OsString,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Supervision {
    /// Starts the program and ends it when standard input closes.
    ///
    /// # Errors
    /// When the program cannot be started or waited for.
    pub fn supervise(self) -> io::Result<ExitCode> {
        // What the program has started itself becomes our child when the program ends.
        set_child_subreaper(Some(getpid()))?;
        let mut child = Command::new(own_executable()?)
            .arg0("brinell")
            .arg("tied")
            .arg(getpid().as_raw_nonzero().to_string())
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(if self.input > 0 { Stdio::piped() } else { Stdio::null() })
            .process_group(0)
            .spawn()?;
        let program = Pid::from_child(&child);
        let input = child.stdin.take();
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let abandoned = Arc::clone(&is_abandoned);
        std::thread::spawn(move || {
            pass_on(self.input, input);
            abandoned.store(true, Ordering::SeqCst);
            // It may have ended this moment: then there is nothing to kill.
            if self.with_its_own {
                let _ = kill_process_group(program, Signal::KILL);
            } else if !self.to_its_end {
                let _ = kill_process(program, Signal::KILL);
            }
            std::thread::sleep(commands::ENDING);
            let _ = kill_process_group(program, Signal::KILL);
        });
        let status = child.wait()?;
        if is_abandoned.load(Ordering::SeqCst) {
            while rustix::process::wait(WaitOptions::empty()).is_ok() {}
        }
        Ok(exit_code(status))
    }
}

/// Passes the program's input on, and reads until standard input closes. A pipe that breaks is as closed as one that
/// ends, and a program that takes no input says itself what was wrong.
fn pass_on(count: u64, program: Option<ChildStdin>) {
    let mut ours = io::stdin();
    if let Some(mut program) = program {
        let _ = io::copy(&mut ours.by_ref().take(count), &mut program);
    }
    let _ = io::copy(&mut ours, &mut io::sink());
}

impl Tied {
    /// Becomes the program. Returns only why it cannot.
    pub fn tie(self) -> io::Error {
        match tie_to(self.supervisor) {
            Ok(()) => Command::new(&self.program).args(&self.arguments).exec(),
            Err(error) => error,
        }
    }

    /// The program, for an error.
    pub fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

/// Makes the kernel kill us when our parent ends, which is this process.
pub(super) fn tie_to(parent: i32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before the kernel was told to watch it.
    match getppid().is_some_and(|it| it.as_raw_nonzero().get() == parent) {
        true => Ok(()),
        false => Err(io::Error::other("whoever started it has ended")),
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    // Shells count a signal from 128 on.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into()
}

/// The command that supervises a program, whose arguments follow. It must be given a pipe for standard input.
pub(super) fn command(input: usize, abandoned: Abandoned, program: &Path) -> Command {
    // The link is there wherever Linux is; where it is not, the start fails and says so.
    let mut command = Command::new(own_executable().unwrap_or_default());
    command.arg0("brinell").arg("supervise").arg(format!("--input={input}")).process_group(0);
    match abandoned {
        Abandoned::Ends => {}
        Abandoned::EndsWithItsOwn => {
            command.arg("--with-its-own");
        }
        Abandoned::GoesOn => {
            command.arg("--to-its-end");
        }
    }
    command.arg("--").arg(program);
    command
}

/// A program under a supervisor, its output in a log.
#[derive(Debug)]
pub(super) struct Supervised {
    name: String,
    supervisor: Pid,
    log: PathBuf,
    /// When this is closed, the supervisor ends the program.
    input: Option<ChildStdin>,
    /// How it ended, once it has.
    ending: watch::Receiver<Option<String>>,
}

impl Supervised {
    /// Starts a supervised [`command`] for a run. No proxy is between it and the others: all are on loopback.
    pub(super) fn start(
        run: &str,
        name: &str,
        mut command: Command,
        log: &Path,
    ) -> Result<Self, ClusterError> {
        let mut start = || {
            let output = File::create(log)?;
            remove_proxies(&mut command);
            command
                .envs(commands::marks(run))
                .stdin(Stdio::piped())
                .stdout(output.try_clone()?)
                .stderr(output)
                .spawn()
        };
        let mut child = start().map_err(|source| {
            ClusterError::Process(ProcessError::Start { program: name.to_owned(), source })
        })?;
        let (supervisor, input) = (Pid::from_child(&child), child.stdin.take());
        let (ended, ending) = watch::channel(None);
        std::thread::spawn(move || {
            let how = match child.wait() {
                Ok(status) => format!("ended with {status}"),
                Err(error) => format!("cannot be waited for: {error}"),
            };
            // It is no error if nothing waits for it any more.
            let _ = ended.send(Some(how));
        });
        Ok(Supervised { name: name.to_owned(), supervisor, log: log.to_owned(), input, ending })
    }

    /// Whether it is the program of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// An error with its last words where it has ended by itself.
    pub(super) fn check(&self) -> Result<(), ClusterError> {
        match &*self.ending.borrow() {
            Some(how) => Err(self.failure(how)),
            None => Ok(()),
        }
    }

    /// Waits until it has ended, and says so with its last words.
    pub(super) fn ended(&self) -> impl Future<Output = ClusterError> + Send + use<> {
        let (name, log, mut ending) = (self.name.clone(), self.log.clone(), self.ending.clone());
        async move {
            let how = ending.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
            failure(&name, &log, &how.unwrap_or_else(|| "is not watched any more".to_owned()))
        }
    }

    /// What became of it, in its own last words.
    pub(super) fn failure(&self, state: &str) -> ClusterError {
        failure(&self.name, &self.log, state)
    }

    fn has_ended(&self) -> bool {
        self.ending.borrow().is_some()
    }
}

fn failure(name: &str, log: &Path, state: &str) -> ClusterError {
    let words = fs::read(log).unwrap_or_default();
    let words = last_lines(&String::from_utf8_lossy(&words), LAST_WORDS);
    ClusterError::NotRunning {
        program: name.to_owned(),
        state: state.to_owned(),
        words: without_credentials(&words),
    }
}

/// Ends programs together: all are killed, then all are waited for, so that nobody writes into a folder that is
/// being removed.
pub(super) fn end(programs: &mut Vec<Supervised>) {
    for program in programs.iter_mut() {
        drop(program.input.take());
    }
    let deadline = Instant::now() + GOING;
    for program in programs.drain(..) {
        while !program.has_ended() {
            if Instant::now() > deadline {
                // The kernel kills the program with its supervisor. Whoever tidies up checks that both are gone.
                let _ = kill_process(program.supervisor, Signal::KILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
