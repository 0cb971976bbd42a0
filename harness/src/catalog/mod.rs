//! The catalog: what scenarios exist and what each of them says.

mod scenario;

pub use scenario::*;
