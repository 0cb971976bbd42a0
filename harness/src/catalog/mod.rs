//! The catalog: what scenarios, controls, profiles, targets and personas exist, and what each of them says.

mod admission;
mod check;
mod entry;
mod explain;
mod file;
mod ground;
mod load;
mod nearest;
mod needs;
mod outline;
mod persona;
mod problem;
mod read;
mod resolve;
mod rights;
mod select;
mod set_up;
mod source;
mod substitution;
mod waivers;

pub use admission::join;
pub use entry::*;
pub use file::*;
pub use ground::*;
pub use load::*;
pub use nearest::did_you_mean;
pub use needs::Lacks;
pub use persona::PersonaEntry;
pub use problem::*;
pub use rights::KnownRights;
pub use select::*;
pub use set_up::*;
pub(crate) use source::documents;
pub use substitution::*;
