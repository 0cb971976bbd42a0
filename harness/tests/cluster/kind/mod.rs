//! brinell on kind clusters: every scenario against every profile as a test of its own, and runs that are ended at each of
//! their stages. `BRINELL_NODE_IMAGE` names the node image, `BRINELL_BLESS=1` writes golden files anew.

mod broken;
mod catalog;
pub mod engine;
pub mod existing;
mod kubelet;
mod lent;
mod nightly;
mod profile;
mod real_nodes;
mod replicas;
mod tidy;
mod ways;

use std::sync::LazyLock;

use libtest_mimic::{Completion, Trial};

/// All tests on kind clusters.
pub fn trials() -> Vec<Trial> {
    let mut trials = profile::trials();
    trials.extend(tidy::trials());
    trials.extend(broken::trials());
    trials.extend(real_nodes::trials());
    trials.extend(replicas::trials());
    trials.push(trial("proof/webhook-image", crate::webhook::by_its_image));
    trials
}

/// A test that panics where something is not as it should be. Where there can be no cluster it is ignored.
fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    static MISSING: LazyLock<Option<String>> = LazyLock::new(engine::missing);
    let name = format!("kind/{}", name.into());
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
