//! brinell on real clusters, and real commands that print a log. What needs an engine or Kubernetes' programs that are not there is ignored, and says so; never
//! in CI.

mod embedded;
mod golden;
mod kind;
mod proof;
mod server;
mod source;
#[path = "../support/mod.rs"]
mod support;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libtest_mimic::Arguments;

/// How many clusters there are at a time. Most of what a cluster takes is waiting, so two take hardly longer than one
/// even on two processors; with more of them the system's limits are soon reached.
const CLUSTERS: usize = 2;

fn main() -> ExitCode {
    // The library starts a supervisor as its own executable, which is this one here.
    if std::env::args().nth(1).is_some_and(|first| first == "supervise") {
        let error =
            Command::new(env!("CARGO_BIN_EXE_brinell")).args(std::env::args_os().skip(1)).exec();
        eprintln!("no supervisor: {error}");
        return ExitCode::FAILURE;
    }
    let mut trials = embedded::trials();
    trials.extend(kind::trials());
    trials.extend(source::trials());
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CLUSTERS);
    libtest_mimic::run(&arguments, trials).exit_code()
}
