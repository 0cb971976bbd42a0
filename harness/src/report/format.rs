//! The forms in which results are written down. A new one is a file with a [`Format`], and its line in [`FORMATS`].

use std::io;

use super::{json, junit, markdown};
use crate::model::Results;

/// Every format, in the order in which files of them are written.
pub const FORMATS: [&Format; 3] = [&junit::FORMAT, &json::FORMAT, &markdown::FORMAT];

/// One form in which results are written down.
#[derive(Debug)]
pub struct Format {
    /// As the terminal names it.
    pub name: &'static str,
    /// How a run is asked for a file in it; `None` where only `brinell report` prints it.
    pub flag: Option<Flag>,
    /// Makes the whole document.
    pub render: fn(&Results) -> io::Result<Vec<u8>>,
}

/// The flag that asks for a file.
#[derive(Debug)]
pub struct Flag {
    /// Without its dashes.
    pub name: &'static str,
    /// What `--help` says about it.
    pub help: &'static str,
}
