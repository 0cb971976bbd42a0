//! The API server's audit log: its events, how they are read, and how absence is decided.

mod event;

pub use event::{Event, ObjectRef, ResponseStatus, User};
