//! Clusters: what they are made of.

mod elf;
mod image;

pub use elf::{Elf, ElfError, Machine};
pub use image::{Image, ImageError};
