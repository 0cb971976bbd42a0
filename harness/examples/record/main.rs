//! Records the corpus on which attribution is tested, from an API server of the minor that is asked for.
//!
//! Most of it comes from etcd and kube-apiserver as plain processes, without a node:
//!
//! ```sh
//! harness/examples/record/run cluster FOLDER_WITH_ETCD_AND_KUBE_APISERVER harness/tests/fast/corpus/1.36
//! ```
//!
//! `run` gives it a network of its own in which 192.0.2.1 (documentation, RFC 5737) is this machine: an API server
//! proxies to no loopback address, and no other address may stand in the corpus. What the minor does not do is named
//! at the end and not written: 1.34 has no create check behind get on a stream, and no mutating policies.
//!
//! What needs a node comes from the JSON reports of two ordinary runs on kind, with the profiles `hardened` and
//! `open`; some scenarios beside ours ask for what only a node answers, and fail:
//!
//! ```sh
//! cargo run -- --cluster kind --profile open --catalog harness/examples/record --json open.json
//! cargo run --example record -- report open.json harness/tests/fast/corpus/1.36
//! ```

mod case;
mod other_end;
mod recorder;
mod report;
mod started;

// The library's own files, by which answers are recorded exactly as a run reads them. They use its words and
// nothing else of it, so that it shows nothing for the recorder's sake.
#[path = "../../src/attack/answer.rs"]
mod answer;
#[path = "../../src/cluster/exchange.rs"]
mod cluster;
#[path = "../../src/merge/over.rs"]
mod merge;

use std::path::PathBuf;
use std::process::ExitCode;

use brinell::{model, text};
use clap::Parser;

/// Whatever goes wrong ends the recording.
type Failure = Box<dyn std::error::Error>;

/// Records the corpus.
#[derive(Parser)]
enum Order {
    /// From an API server that is started for it.
    Cluster {
        /// Holds `etcd` and `kube-apiserver`.
        assets: PathBuf,
        /// Where the corpus is written to.
        corpus: PathBuf,
        /// Only the cases whose name begins so.
        #[arg(default_value = "")]
        only: String,
    },
    /// From the JSON report of a run.
    Report {
        /// The report.
        report: PathBuf,
        /// Where the corpus is written to.
        corpus: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let recorded = match Order::parse() {
        Order::Cluster { assets, corpus, only } => recorder::record(&assets, &corpus, &only).await,
        Order::Report { report, corpus } => report::record(&report, &corpus),
    };
    match recorded {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
