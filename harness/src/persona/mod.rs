//! Who acts.

mod identity;
mod model;

pub use identity::{Identity, IdentityError, client};
pub use model::*;
