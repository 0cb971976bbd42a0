//! Attribution and judging on exchanges with real API servers, recorded by `examples/record`: a test for each.

mod exchange;
mod forged;
mod hostile;
mod judge;
mod words;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = exchange::trials();
    trials.extend(judge::trials());
    trials.extend(hostile::trials());
    trials.extend(words::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test that fails by panicking.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok::<_, Failed>(())
    })
}
