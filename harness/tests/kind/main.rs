//! brinell on real clusters: every scenario against every profile as a test of its own, and runs that are ended
//! at each of their stages. `BRINELL_NODE_IMAGE` names the node image, `BRINELL_BLESS=1` rewrites `open.golden`.

mod broken;
mod engine;
mod profile;
#[path = "../support/proof.rs"]
mod proof;
mod real_nodes;
#[path = "../support/mod.rs"]
mod support;
mod tidy;

use std::process::ExitCode;
use std::sync::LazyLock;

use libtest_mimic::{Arguments, Completion, Trial};

/// How many clusters there are at a time. Most of what a cluster takes is waiting, so two take hardly longer than
/// one even on two processors; of many, the system's limits are soon reached.
const CLUSTERS: usize = 2;

fn main() -> ExitCode {
    let mut trials = profile::trials();
    trials.extend(tidy::trials());
    trials.extend(broken::trials());
    trials.extend(real_nodes::trials());
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CLUSTERS);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that panics where something is not as it should be. Where there can be no cluster it is ignored.
fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    static MISSING: LazyLock<Option<String>> = LazyLock::new(engine::missing);
    Trial::ignorable_test(name, || match &*MISSING {
        // A machine for CI has all that is needed, or is broken.
        Some(missing) if std::env::var_os("CI").is_some() => Err(missing.into()),
        Some(missing) => Ok(Completion::ignored_with(missing)),
        None => {
            test();
            Ok(Completion::Completed)
        }
    })
}
