//! Who acts.

mod identity;

pub use identity::{Identity, IdentityError, client};
