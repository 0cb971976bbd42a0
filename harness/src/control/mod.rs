//! Controls and profiles: what hardens a cluster, who decides when it blocks, and how it is weakened.

mod manifest;

pub use manifest::*;
