//! What runs inside pods, from an image that holds nothing but our own executable: the exec-guard
//! webhook, and the probe whose verbs are targets, attackers' tools and legitimate commands.

pub mod guard;
pub mod probe;
pub(crate) mod tls;

use std::ffi::OsStr;
use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use tokio::io::{stdin, stdout};
use tokio::runtime::Builder;

use guard::GuardPod;
use probe::{Probe, Verb};

pub use tls::server_config;
pub(crate) use tls::{TlsError, server_config_for, server_config_signed_by};

/// The exit code of a probe that was ended by SIGTERM, as shells count it.
const TERMINATED: u8 = 143;

/// The hidden subcommand `brinell in-cluster`.
#[derive(Debug, clap::Subcommand)]
pub enum InCluster {
    /// Serve the exec-guard webhook.
    Guard(GuardPod),
    /// Do one small thing inside a pod.
    Probe(Probe),
}

impl InCluster {
    /// Runs to the end, or until SIGTERM, on a runtime of its own. Errors go to standard error.
    ///
    /// Exit codes: 0 when it did what it was asked, which includes an orderly answer that there was
    /// none; 2 for an order that cannot be understood; 1 for any other error; 143 for a probe ended
    /// by SIGTERM.
    pub fn run(self) -> ExitCode {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failed(1, &error),
        };
        let code = runtime.block_on(async {
            match self {
                InCluster::Guard(guard) => run_guard(guard).await,
                InCluster::Probe(probe) => run_probe(probe.verb).await,
            }
        });
        // A read of standard input cannot be called off; waiting for it would hold up the end of a pod.
        runtime.shutdown_background();
        code
    }
}

/// Whether the executable was called by its second name: `/bin/probe` in the image is a symbolic
/// link, so that a scenario can say `[probe, echo, foo]`.
pub fn invoked_as_probe(argv0: &OsStr) -> bool {
    Path::new(argv0).file_stem() == Some(OsStr::new("probe"))
}

async fn run_guard(guard: GuardPod) -> ExitCode {
    match guard.run(terminated()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(1, &error),
    }
}

async fn run_probe(verb: Verb) -> ExitCode {
    tokio::select! {
        result = verb.run(stdin(), stdout()) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(error.code(), &error),
        },
        () = terminated() => ExitCode::from(TERMINATED),
    }
}

fn failed(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}

/// Ends when the process is asked to end. The kernel ignores a signal to PID 1 that has no handler,
/// so that a pod without this lives until the kubelet kills it after 30 s.
#[cfg(unix)]
fn terminated() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signal = signal(SignalKind::terminate());
    async move {
        match signal {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_name_is_recognised_by_its_last_part() {
        assert!(invoked_as_probe(OsStr::new("/bin/probe")));
        assert!(invoked_as_probe(OsStr::new("probe")));
        assert!(!invoked_as_probe(OsStr::new("/probe/brinell")));
        assert!(!invoked_as_probe(OsStr::new("probes")));
        assert!(!invoked_as_probe(OsStr::new("")));
    }
}
