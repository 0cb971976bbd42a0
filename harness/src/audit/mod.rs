//! The API server's audit log: its events, how they are read, and how absence is decided.

mod log;
mod path;

pub use log::{AuditLog, Leaks, LogError};
pub use path::{ApiPath, is_built_in, query_values, verb};
