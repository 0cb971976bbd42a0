//! The catalog: what scenarios, controls, profiles, targets and personas exist, and what each of them says.

mod check;
mod entry;
mod explain;
mod expression;
mod file;
mod folder;
mod ground;
mod load;
mod nearest;
mod needs;
mod new;
mod outline;
mod own_flags;
mod page;
mod part;
mod persona;
mod place;
mod printed;
mod problem;
mod read;
mod resolve;
mod rights;
mod schema;
mod select;
mod served;
mod set_up;
mod shared;
mod source;
mod substitution;
mod waivers;
mod warrant;
mod words;

pub use check::is_name;
pub use entry::*;
pub(crate) use expression::WhoAsks;
pub use file::*;
pub use ground::*;
pub(crate) use ground::{said, words};
pub use load::*;
pub use nearest::did_you_mean;
pub use needs::Lacks;
pub use new::{
    CAPTURED, Captured, Found, Handed, LeftOut, New, NewFile, captured, control_from,
    is_kept_as_changed, is_of_roles, rests_on, rests_on_settings,
};
pub use own_flags::is_own_flag;
pub use page::page;
pub use persona::PersonaEntry;
pub(crate) use persona::{namespace, people};
pub use printed::Print;
pub use problem::*;
pub use rights::KnownRights;
pub use schema::FileKind;
pub use select::*;
pub use set_up::*;
pub use shared::{Clash, join, join_flag};
pub(crate) use source::documents;
pub use substitution::*;
pub use warrant::*;
pub(crate) use words::action_words;
