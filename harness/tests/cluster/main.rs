//! brinell on real clusters, real commands that print a log, and pages in a browser. What needs an engine, Kubernetes'
//! programs or a browser that is not there is ignored, and says so; never in CI.

mod browser;
mod embedded;
mod golden;
mod kind;
mod proof;
mod server;
mod shared;
mod source;
#[path = "../support/mod.rs"]
mod support;
mod webhook;

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

/// How many clusters there are at a time. Most of what a cluster takes is waiting, so two take hardly longer than one
/// even on two processors; with more of them the system's limits are soon reached.
const CLUSTERS: usize = 2;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        // The library starts a supervisor as its own executable, which is this one here.
        Some("supervise") => return supervise(),
        Some(webhook::SERVE) => return webhook::serve(std::env::args().skip(2)),
        _ => {}
    }
    let mut trials = embedded::trials();
    trials.extend(kind::trials());
    trials.extend(source::trials());
    trials.extend(browser::trials());
    // A cluster that is kept from one trial to the next comes last, so that it is not kept while long ones run.
    trials.extend(embedded::faults::trials());
    trials.extend(kind::existing::trials());
    let trials = by_turns(trials);
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CLUSTERS);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn supervise() -> ExitCode {
    let error =
        Command::new(env!("CARGO_BIN_EXE_brinell")).args(std::env::args_os().skip(1)).exec();
    eprintln!("no supervisor: {error}");
    ExitCode::FAILURE
}

/// The first trial of each group, then the second of each, and so on. A group is what has the same first three parts of
/// its name. Its trials look at one run, or have one cluster one after the other: side by side they would only wait for
/// each other.
fn by_turns(trials: Vec<Trial>) -> Vec<Trial> {
    let mut turns: HashMap<String, usize> = HashMap::new();
    let mut placed: Vec<(usize, Trial)> = Vec::new();
    for trial in trials {
        let group: Vec<&str> = trial.name().splitn(4, '/').take(3).collect();
        let turn = turns.entry(group.join("/")).or_default();
        *turn += 1;
        placed.push((*turn, trial));
    }
    placed.sort_by_key(|(turn, _)| *turn);
    placed.into_iter().map(|(_, trial)| trial).collect()
}
