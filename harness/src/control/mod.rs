//! Controls and profiles: what hardens a cluster, who decides when it blocks, and how it is weakened.

mod admission;
mod certificate;
mod objects;
mod set_up;
mod substitution;
mod webhooks;

pub use admission::join;
pub use certificate::{Certificates, certificates};
pub use objects::{Applier, ApplyError, is_ready, until_ready};
pub use set_up::*;
pub use substitution::*;
pub use webhooks::{Webhook, webhooks};
