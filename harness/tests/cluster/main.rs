//! brinell on real clusters. What needs an engine or Kubernetes' programs that are not there is ignored, and says so; never
//! in CI.

mod embedded;
mod golden;
mod kind;
mod proof;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// How many clusters there are at a time. Most of what a cluster takes is waiting, so two take hardly longer than one
/// even on two processors; with more of them the system's limits are soon reached.
const CLUSTERS: usize = 2;

fn main() -> ExitCode {
    let mut trials = embedded::trials();
    trials.extend(kind::trials());
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CLUSTERS);
    libtest_mimic::run(&arguments, trials).exit_code()
}
