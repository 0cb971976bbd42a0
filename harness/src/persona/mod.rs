//! Who acts.

mod model;

pub use model::*;
