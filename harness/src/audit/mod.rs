//! The API server's audit log: its events, how they are read, and how absence is decided.

mod format;
mod log;
mod pieces;

pub use log::{AuditLog, LogError};
