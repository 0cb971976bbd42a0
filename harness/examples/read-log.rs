//! How fast an audit log is read: `cargo run --release --example read-log -- FILE RUN`. `ci/bench` uses it.

use std::time::Instant;

use brinell::audit::AuditLog;
use clap::Parser;

/// Reads an audit log as a run reads it, on one thread, and says how fast.
#[derive(Parser)]
struct Arguments {
    /// The log.
    file: std::path::PathBuf,
    /// The run whose events are looked for.
    run: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { file, run } = Arguments::parse();
    let size = std::fs::metadata(&file)?.len();
    let log = AuditLog::new(&run, "no-canary-is-in-this-log");
    let started = Instant::now();
    log.read_through(tokio::fs::File::open(&file).await?).await?;
    let took = started.elapsed();
    let speed = size as f64 / 1e9 / took.as_secs_f64();
    let ours = (0..1000).filter(|id| !log.events(&format!("{run}-{id}")).is_empty()).count();
    println!("{ours} of 1000 events of ours, {:.2} s, {speed:.2} GB/s", took.as_secs_f64());
    Ok(())
}
