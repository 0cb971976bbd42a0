//! The processes of a run that outlive it. An engine does what it was asked, even when the command that asked is
//! killed. So kind is killed, because it would go on asking, and the engine's own commands are waited for.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::run_folder;
use crate::poll;

/// The variable that names the run to its processes, and by inheritance to those that they start.
pub const RUN_VARIABLE: &str = "BRINELL_RUN";

/// The variable that names the run's folder to them: the folder's lock says whether the run is alive.
const FOLDER_VARIABLE: &str = "BRINELL_RUN_FOLDER";

/// The engine's own command.
const ENGINE: &str = "docker";

/// Between two looks: no event tells of the end of a process that is not our child.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How long a command of the engine may go on. The longest, an image that is written, takes seconds.
pub(super) const ENDING: Duration = Duration::from_secs(60);

/// How long a killed process may take to be gone.
const GOING: Duration = Duration::from_secs(5);

/// What a process is to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A command of the engine, which ends by itself.
    Engine,
    /// A supervisor, which ends with its program.
    Supervisor,
    /// Anything else.
    Maker,
}

/// A process whose environment names a run.
struct Marked {
    /// The process itself: its number may meanwhile be another's.
    handle: OwnedFd,
    process: Pid,
    part: Part,
    run: OsString,
    folder: PathBuf,
}

impl Marked {
    fn kill(&self) {
        // It may have ended this moment: then nothing is left to end.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }

    /// Whether its run has ended: the folder is gone, or nothing holds its lock. The folder is looked for where the
    /// process sees it, which may be a container.
    fn is_orphan(&self) -> bool {
        let root = PathBuf::from(format!("/proc/{}/root", self.process.as_raw_nonzero()));
        let folder = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        !run_folder::is_held(&root.join(folder))
    }
}

/// The variables that mark a run's processes.
pub(super) fn marks(run: &str) -> Vec<(&'static str, OsString)> {
    let folder = run_folder::path(run).unwrap_or_default();
    vec![(RUN_VARIABLE, run.into()), (FOLDER_VARIABLE, folder.into())]
}

/// Kills what would go on asking the engine to make things, and every program of an embedded cluster. Returns how many
/// were killed.
pub(super) async fn stop(run: &str) -> usize {
    let mut killed = BTreeSet::new();
    let stopped = poll::until(GOING, async || {
        let marked = of(run).await;
        let makers: Vec<&Marked> = marked.iter().filter(|it| it.part == Part::Maker).collect();
        for maker in &makers {
            maker.kill();
            killed.insert(maker.process.as_raw_nonzero());
        }
        if makers.is_empty() { Ok(()) } else { Err(()) }
    });
    // What does not end is counted by the caller, who looks whether anything is there.
    let _ = stopped.await;
    killed.len()
}

/// Whether commands of the engine still run for this run: they are waited for.
pub(super) async fn go_on(run: &str) -> bool {
    !of(run).await.is_empty()
}

/// Waits until the engine's commands have ended, and with them what they asked for. One that takes too long hangs, and
/// is killed. Returns how many processes are there all the same.
pub(super) async fn end(run: &str) -> usize {
    if until_gone(run, ENDING).await == 0 {
        return 0;
    }
    of(run).await.iter().for_each(Marked::kill);
    until_gone(run, GOING).await
}

/// Waits until nothing of the run is there, for so long. Returns how many processes are.
async fn until_gone(run: &str, within: Duration) -> usize {
    let gone = poll::until(within, async || match of(run).await.len() {
        0 => Ok(()),
        count => Err(count),
    });
    match gone.await {
        Ok(()) => 0,
        // If they could not even be counted in time, one is taken to be there.
        Err(count) => count.unwrap_or(1),
    }
}

/// The runs that have ended and of which processes are there all the same. A command of the engine is none: it ends
/// by itself.
pub(super) async fn orphaned() -> BTreeSet<String> {
    let orphans = all().await.into_iter().filter(|it| it.part == Part::Maker && it.is_orphan());
    orphans.map(|it| it.run.to_string_lossy().into_owned()).collect()
}

/// Kills the processes of a run that has ended, wherever its folder was. Returns how many.
pub(super) async fn end_orphans(run: &str) -> usize {
    let mut marked = all().await;
    marked.retain(|it| it.run == run && it.part == Part::Maker && it.is_orphan());
    marked.iter().for_each(Marked::kill);
    marked.len()
}

/// The processes of a run, as Linux shows them.
async fn of(run: &str) -> Vec<Marked> {
    let folder = run_folder::path(run).unwrap_or_default();
    let mut marked = all().await;
    marked.retain(|it| it.run == run && it.folder == folder);
    marked
}

async fn all() -> Vec<Marked> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut all = Vec::new();
    for process in processes.flatten() {
        all.extend(marked(&process.path()).await);
    }
    all
}

/// The process of a folder below `/proc`, where it carries the marks. What cannot be read is not ours, or has ended.
async fn marked(proc: &Path) -> Option<Marked> {
    let process = proc.file_name()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
    if process == getpid() {
        return None;
    }
    let handle = pidfd_open(process, PidfdFlags::empty()).ok()?;
    let environment = environment(proc).await?;
    let value = |name: &str| {
        let mut pairs = environment.split(|byte| *byte == 0);
        pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    let run = OsStr::from_bytes(value(RUN_VARIABLE)?).to_owned();
    let folder = PathBuf::from(OsStr::from_bytes(value(FOLDER_VARIABLE)?));
    let part = part(proc).filter(|_| folder.is_absolute())?;
    Some(Marked { handle, process, part, run, folder })
}

fn part(proc: &Path) -> Option<Part> {
    let program = fs::read_to_string(proc.join("comm")).ok()?;
    let line = fs::read(proc.join("cmdline")).ok()?;
    Some(match program.trim_end() {
        ENGINE => Part::Engine,
        _ if line.starts_with(b"brinell\0supervise\0") => Part::Supervisor,
        _ => Part::Maker,
    })
}

/// A process's environment. While its program is being started it has ours, and then none, for some milliseconds, which
/// are waited for here: otherwise commands that have just been started would be missed (measured: 7 of 100).
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
        command.envs(marks(run)).stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().expect("started")
    }

    #[tokio::test]
    async fn commands_of_this_run_alone_are_killed() {
        let (mine, other) = (random_hex(8), random_hex(8));
        let (mut doomed, mut spared) = (start(&mine), start(&other));
        assert_eq!(stop(&mine).await, 1);
        assert_eq!(end(&mine).await, 0);
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
        command.envs(marks(&run)).stdin(Stdio::piped());
        let mut going_on = command.spawn().expect("started");
        assert_eq!(stop(&run).await, 0);
        assert!(go_on(&run).await);
        drop(going_on.stdin.take());
        assert_eq!(end(&run).await, 0);
        assert!(going_on.wait().expect("waited").success());
    }

    #[tokio::test]
    async fn commands_are_seen_from_their_start() {
        for _ in 0..200 {
            let run = random_hex(8);
            let mut child = start(&run);
            let found = marked(Path::new(&format!("/proc/{}", child.id()))).await;
            drop(child.stdin.take());
            assert!(found.is_some_and(|it| it.run == *run));
            assert!(child.wait().expect("waited").success());
        }
    }

    #[tokio::test]
    async fn only_a_process_whose_run_has_ended_is_an_orphan() {
        let runs = tempfile::tempdir().expect("a folder");
        let held = runs.path().join("held");
        fs::create_dir(&held).expect("a folder");
        let lock = fs::File::create(held.join("lock")).expect("a file");
        lock.lock().expect("locked");
        let start = |run: &str, folder: Option<&Path>| {
            let mut command = Command::new("cat");
            command.env(RUN_VARIABLE, run).stdin(Stdio::piped()).stdout(Stdio::null());
            command.envs(folder.map(|folder| (FOLDER_VARIABLE, folder)));
            command.spawn().expect("started")
        };
        let names: [String; 3] = std::array::from_fn(|_| random_hex(8));
        let gone = runs.path().join("gone");
        let mut children =
            [start(&names[0], Some(&held)), start(&names[1], Some(&gone)), start(&names[2], None)];
        let found = |orphans: &BTreeSet<String>| names.clone().map(|run| orphans.contains(&run));
        assert_eq!(found(&orphaned().await), [false, true, false]);
        lock.unlock().expect("unlocked");
        assert_eq!(found(&orphaned().await), [true, true, false]);
        for child in &mut children {
            child.kill().expect("killed");
            child.wait().expect("waited");
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
