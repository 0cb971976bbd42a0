//! Controls and profiles: what hardens a cluster, who decides when it blocks, and how it is weakened.

mod manifest;
mod substitution;

pub use manifest::*;
pub use substitution::*;
