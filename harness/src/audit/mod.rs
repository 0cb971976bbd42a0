//! The API server's audit log: where it comes from, its events, how they are read, and how absence is decided.

mod log;
mod pieces;
pub mod source;

pub use log::{AuditLog, LogError};
