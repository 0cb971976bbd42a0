//! The API server's audit log: its events, how they are read, and how absence is decided.

mod event;
mod log;
mod path;

pub use event::{Event, ObjectRef, ResponseStatus, User};
pub use log::{AuditLog, Leak, Leaks, LogError};
pub use path::{ApiPath, is_built_in, query_values, verb};
