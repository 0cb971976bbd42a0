//! The forms in which results are written down. A new one is its file, with a [`Format`], and its line in `FORMATS`.

use std::io;

use crate::model::Results;

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
