//! The commands of a run that outlive it. What an engine was told to do it does, even when the command that told
//! it is killed: so kind, which would go on telling, is killed, and the engine's own commands are waited for.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The variable that names the run to its commands, and by inheritance to those that they start.
pub const RUN_VARIABLE: &str = "BRINELL_RUN";

/// The engine's own command.
const ENGINE: &str = "docker";

/// Between two looks: no event tells of the end of a process that is not our child.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How long a command of the engine may go on. The longest, an image that is written, takes seconds.
const ENDING: Duration = Duration::from_secs(60);

/// A process that carries the run's variable.
struct Command {
    process: Pid,
    program: String,
}

/// Kills what would go on telling the engine what to make. Returns whether commands of the engine itself go on.
pub async fn stop(run: &str) -> bool {
    loop {
        let (engine, makers): (Vec<_>, Vec<_>) =
            of(run).into_iter().partition(|command| command.program == ENGINE);
        if makers.is_empty() {
            return !engine.is_empty();
        }
        for maker in makers {
            // It may have ended this moment: then nothing is left to end.
            let _ = kill_process(maker.process, Signal::KILL);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Waits until the engine's commands have ended, and with them what they told the engine.
pub async fn end(run: &str) {
    let waiting = async {
        while !of(run).is_empty() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    // Whatever goes on for longer hangs, and what it makes is for `brinell sweep`.
    let _ = tokio::time::timeout(ENDING, waiting).await;
}

/// The run's commands that have not ended, as Linux shows them.
fn of(run: &str) -> Vec<Command> {
    let marker = format!("{RUN_VARIABLE}={run}");
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes.filter_map(|entry| command(&entry.ok()?.path(), &marker)).collect()
}

/// The process of a folder below `/proc`, where it carries the marker. What cannot be read is not ours, or has
/// ended.
fn command(folder: &Path, marker: &str) -> Option<Command> {
    let process = folder.file_name()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
    let environment = std::fs::read(folder.join("environ")).ok()?;
    let program = std::fs::read_to_string(folder.join("comm")).ok()?;
    let is_marked = environment.split(|byte| *byte == 0).any(|pair| pair == marker.as_bytes());
    is_marked.then(|| Command { process, program: program.trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::text::random_hex;

    /// A process that reads until its input ends.
    fn start(run: &str) -> Child {
        let mut command = Command::new("cat");
        command.env(RUN_VARIABLE, run).stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().expect("started")
    }

    #[tokio::test]
    async fn commands_of_this_run_alone_are_killed() {
        let (mine, other) = (random_hex(8), random_hex(8));
        let (mut doomed, mut spared) = (start(&mine), start(&other));
        assert!(!stop(&mine).await);
        assert!(of(&mine).is_empty());
        assert_eq!(of(&other).len(), 1);
        assert!(!doomed.wait().expect("waited").success());
        drop(spared.stdin.take());
        assert!(spared.wait().expect("waited").success());
    }

    #[tokio::test]
    async fn commands_of_the_engine_are_waited_for() {
        let run = random_hex(8);
        let folder = tempfile::tempdir().expect("a folder");
        let engine = folder.path().join(ENGINE);
        std::os::unix::fs::symlink("/bin/cat", &engine).expect("linked");
        let mut command = Command::new(&engine);
        command.env(RUN_VARIABLE, &run).stdin(Stdio::piped());
        let mut going_on = command.spawn().expect("started");
        assert!(stop(&run).await);
        assert_eq!(of(&run).len(), 1);
        drop(going_on.stdin.take());
        end(&run).await;
        assert!(going_on.wait().expect("waited").success());
    }
}
