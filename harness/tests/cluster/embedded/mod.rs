//! brinell on embedded clusters, and what its tests have in common.

pub mod faults;
mod hostile;
mod profile;
mod prove;
mod rehearsal;
mod results;
mod rights;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brinell::cluster::assets;
use libtest_mimic::{Failed, Trial};

/// All tests on embedded clusters.
pub fn trials() -> Vec<Trial> {
    let mut trials = profile::trials();
    trials.extend(hostile::trials());
    trials.extend(prove::trials());
    trials.extend(rehearsal::trials());
    trials.extend(results::trials());
    trials.extend(rights::trials());
    trials
}

/// The versions on which what tells much apart is tried: the last one without the create check on exec by GET, and the
/// one that runs by default.
const VERSIONS: [&str; 2] = ["1.34", "1.36"];

/// Whether the programs of a version are there.
pub fn is_there(version: &str) -> bool {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(assets::find_all(version)).is_ok_and(|found| found.is_ok())
}

/// libtest-mimic prints only that a trial is ignored, so that its kind says why. In CI none is: a run builds what is
/// missing.
pub fn or_ignored(trial: Trial, version: &str, is_there: bool) -> Trial {
    if is_there || std::env::var_os("CI").is_some() {
        return trial;
    }
    let command = format!("brinell assets install --kubernetes-version {version}");
    trial.with_kind(format!("needs `{command}`")).with_ignored_flag(true)
}

/// A run on an embedded cluster, whose folder is in `state`.
fn brinell(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brinell"));
    command.args(["--cluster", "embedded"]).env("XDG_STATE_HOME", state).stdin(Stdio::null());
    command
}

/// Whether any process has a text in its command line.
pub fn is_named_by_a_process(text: &str) -> bool {
    processes().iter().any(|(_, line)| line.contains(text))
}

/// Every process with its command line.
fn processes() -> Vec<(String, String)> {
    let listed = Command::new("ps").args(["-e", "-ww", "-o", "pid=,args="]).output();
    let listed = listed.map(|listed| listed.stdout).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let process = |line: &str| {
        let (process, line) = line.trim_start().split_once(' ')?;
        Some((process.to_owned(), line.to_owned()))
    };
    listed.lines().filter_map(process).collect()
}

/// Sends a process a signal.
fn signal(name: &str, process: &str) -> Result<(), Failed> {
    let status = Command::new("kill").args([name, process]).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill {name} {process}: {status}").into()) }
}

/// Looks again and again: what happens in another process sends no event.
fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        if Instant::now() > deadline {
            return Err(format!("waited in vain until {what}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
