//! The `brinell` command.

fn main() {}
