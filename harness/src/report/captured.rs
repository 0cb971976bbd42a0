//! What was captured of an existing cluster and what was not, as text.

use std::path::Path;

use super::block::{WIDTH, entry};
use super::text::{ended, hanging, wrap};
use crate::catalog::{Captured, LeftOut};
use crate::cluster::Refusals;
use crate::text::visible;

/// What a folder with it may hold.
const REVIEW: &str = "before it is shared: parameters of policies (ConfigMaps, custom resources) are written as they are";

/// How many lines of one text are shown.
const LINES: usize = 12;

/// What was captured, where it was written, and what was left out.
pub fn show_captured(captured: &Captured, folder: Option<&Path>) -> String {
    let counts = captured.counts.iter().map(|(kind, number)| format!("{number} {kind}"));
    let mut told: Vec<String> = counts.collect();
    if told.is_empty() {
        told.push("nothing".to_owned());
    }
    let place = folder.map(|folder| format!("; in {}", folder.display())).unwrap_or_default();
    let captured_lines = wrap(&format!("{}{place}", told.join(", ")), WIDTH - 14, LINES);
    let mut lines = entry(0, "captured", captured_lines);
    if folder.is_some() {
        lines.extend(entry(0, "review", wrap(REVIEW, WIDTH - 14, LINES)));
    }
    if !captured.left_out.is_empty() {
        lines.push("not captured:".to_owned());
        lines.extend(captured.left_out.iter().flat_map(left_out));
    }
    ended(lines)
}

/// What the other cluster did not take of it; empty where it took all.
pub fn show_not_taken(refused: &Refusals, version: &str) -> String {
    if refused.is_empty() {
        return String::new();
    }
    let mut lines = vec![format!("not taken by Kubernetes {version}:")];
    let left = refused.iter().map(|(what, why)| LeftOut::new(what, why));
    lines.extend(left.flat_map(|it| left_out(&it)));
    ended(lines)
}

fn left_out(left: &LeftOut) -> Vec<String> {
    let told = format!("{}: {}", visible(&left.what), visible(&left.why));
    hanging(wrap(&told, WIDTH - 4, LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_written_is_to_be_reviewed() {
        let shown =
            |folder: Option<&str>| show_captured(&Captured::default(), folder.map(Path::new));
        assert!(shown(Some("kept")).contains("review"), "{}", shown(Some("kept")));
        assert!(!shown(None).contains("review"), "{}", shown(None));
    }
}
