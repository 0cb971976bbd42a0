//! The commands of a run that outlive it. What an engine was told to do it does, even when the command that told
//! it is killed: so kind, which would go on telling, is killed, and the engine's own commands are waited for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};

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
            of(run).await.into_iter().partition(|command| command.program == ENGINE);
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
        while !of(run).await.is_empty() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    // Whatever goes on for longer hangs, and what it makes is for `brinell sweep`.
    let _ = tokio::time::timeout(ENDING, waiting).await;
}

/// The run's commands that have not ended, as Linux shows them.
async fn of(run: &str) -> Vec<Command> {
    let marker = format!("{RUN_VARIABLE}={run}");
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut commands = Vec::new();
    for process in processes.flatten() {
        commands.extend(command(&process.path(), &marker).await);
    }
    commands
}

/// The process of a folder below `/proc`, where it carries the marker. What cannot be read is not ours, or has
/// ended.
async fn command(folder: &Path, marker: &str) -> Option<Command> {
    let process = folder.file_name()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
    if process == getpid() {
        return None;
    }
    let environment = environment(folder).await?;
    let program = fs::read_to_string(folder.join("comm")).ok()?;
    let is_marked = environment.split(|byte| *byte == 0).any(|pair| pair == marker.as_bytes());
    is_marked.then(|| Command { process, program: program.trim_end().to_owned() })
}

/// A process's environment. While its program is being started it has ours, and then none, for some milliseconds:
/// whoever looks away then misses the command that was told something last (measured: 7 of 100 that had just been
/// started).
async fn environment(folder: &Path) -> Option<Vec<u8>> {
    loop {
        let before = memory(&fs::read_to_string(folder.join("stat")).ok()?)?;
        let environment = fs::read(folder.join("environ")).ok()?;
        let after = memory(&fs::read_to_string(folder.join("stat")).ok()?)?;
        let ours = memory(&fs::read_to_string("/proc/self/stat").ok()?)?;
        if before.places == after.places && !is_being_started(&after, &ours) {
            return Some(environment);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Where a process has its memory (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Memory {
    /// How much it has. A process that has ended has none, nor has one of the kernel.
    size: u64,
    /// Where its program's code ends, which Linux notes after all the rest: zero until then.
    code: u64,
    /// Where its arguments begin, and where its environment begins and ends.
    places: [u64; 3],
}

/// What `/proc/…/stat` says of a process's memory.
fn memory(stat: &str) -> Option<Memory> {
    // The program's name, which comes first, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    Some(Memory {
        size: field(23)?,
        code: field(27)?,
        places: [field(48)?, field(50)?, field(51)?],
    })
}

/// Whether a process still has the memory of the process that starts it, which is ours, or has its own, which is not
/// filled yet: its environment grows from nothing, so that its own end does not tell.
fn is_being_started(it: &Memory, ours: &Memory) -> bool {
    it.size != 0 && (it.places == ours.places || it.code == 0)
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
        assert!(of(&mine).await.is_empty());
        assert_eq!(of(&other).await.len(), 1);
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
        assert_eq!(of(&run).await.len(), 1);
        drop(going_on.stdin.take());
        end(&run).await;
        assert!(going_on.wait().expect("waited").success());
    }

    #[tokio::test]
    async fn commands_are_seen_from_their_start() {
        for _ in 0..200 {
            let run = random_hex(8);
            let mut child = start(&run);
            let folder = format!("/proc/{}", child.id());
            let found = command(Path::new(&folder), &format!("{RUN_VARIABLE}={run}")).await;
            drop(child.stdin.take());
            assert!(found.is_some());
            assert!(child.wait().expect("waited").success());
        }
    }

    #[test]
    fn a_program_has_started_when_it_has_an_environment_of_its_own() {
        let stat = |name: &str, size: u8, code: u8, places: [u8; 3]| {
            let zeros = |count: usize| "0 ".repeat(count);
            let [arguments, environment, end] = places;
            let rest =
                format!("{}{code} {}{arguments} 0 {environment} {end} 0", zeros(3), zeros(20));
            format!("7 ({name}) R {}{size} {rest}", zeros(19))
        };
        let ours = memory(&stat("brinell", 9, 8, [1, 2, 3])).expect("understood");
        let is_being_started =
            |stat: &str| is_being_started(&memory(stat).expect("understood"), &ours);
        assert!(is_being_started(&stat("brinell", 9, 8, [1, 2, 3])));
        assert!(is_being_started(&stat("a) R 1 (b", 9, 0, [0, 0, 0])));
        assert!(is_being_started(&stat("docker", 9, 0, [4, 5, 5])));
        assert!(!is_being_started(&stat("docker", 9, 8, [4, 5, 6])));
        assert!(!is_being_started(&stat("kthreadd", 0, 0, [0, 0, 0])));
        assert_eq!(memory("7 (docker"), None);
    }
}
