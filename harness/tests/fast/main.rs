//! What needs no cluster: the catalog, the corpus of recorded exchanges, the command as a user types it, what is
//! generated, and the house itself.

mod catalog;
mod command_line;
mod compare;
mod corpus;
mod existing;
mod generated;
mod house;
mod image;
mod merge;
mod nightly;
mod plug_in;
#[path = "../support/mod.rs"]
mod support;
mod try_it;
mod your_own;
