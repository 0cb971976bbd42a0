//! The labels by which what is ours is found again.

/// With the run's id, on everything that a run makes: what is removed is found by it.
pub const RUN_LABEL: &str = "brinell.dev/run";

/// With the attempt's Audit-ID, on what an attempt makes.
pub const ATTEMPT_LABEL: &str = "brinell.dev/attempt";
