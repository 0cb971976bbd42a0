//! What needs no cluster: the catalog, the command as a user types it, what is generated, and the house itself.

mod catalog;
mod command_line;
mod generated;
mod house;
#[path = "../support/mod.rs"]
mod support;
