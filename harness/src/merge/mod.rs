//! JSON values laid over each other, and found in each other.

mod contained;
mod over;

pub use contained::{contains, is_zero};
pub use over::lay_over;
