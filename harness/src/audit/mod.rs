//! The API server's audit log: where it comes from, its events, how they are read, and how absence is decided.

mod format;
mod line;
mod log;
mod pieces;
pub mod source;

pub use format::Undetected;
pub use log::{AuditLog, Awaited, LogError, Unread};
