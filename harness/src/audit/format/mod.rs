//! How an Event of the API server comes out of what a vendor's log delivers. Each vendor has a file; what its log does
//! not show is said by the event itself.

mod aks;
mod aks_table;
mod detect;
mod eks;
mod elements;
mod gke;
mod inner;

pub use detect::Undetected;
pub(super) use detect::{ENOUGH, detect, is_empty};
pub(super) use elements::{Element, Elements};

use crate::model::LogFormat;

/// What an element of a log holds, as a line that the API server could have written.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) text: Vec<u8>,
    pub(super) state: LineState,
}

/// How much of a line there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LineState {
    /// All of it.
    Whole,
    /// All but a body that the log left out.
    Bodiless,
    /// Its beginning.
    Torn,
    /// It is none of this format.
    Foreign,
}

/// How a log of one format comes.
pub(super) enum Layout {
    /// A line for each event, with what stands before it taken off by this.
    Lines(fn(&[u8]) -> &[u8]),
    /// Documents in JSON.
    Documents {
        /// The field in which an envelope has its list, where there are envelopes.
        list: Option<&'static str>,
        /// What an element holds; `None` if it is none of this format.
        line: fn(&[u8]) -> Option<Line>,
    },
}

/// How a log of this format comes.
pub(super) fn layout(format: LogFormat) -> Layout {
    match format {
        LogFormat::Kubernetes => Layout::Lines(|line| line),
        LogFormat::OpenShift => Layout::Lines(without_node),
        LogFormat::Eks => Layout::Documents { list: Some("events"), line: eks::line },
        LogFormat::Aks => Layout::Documents { list: Some("records"), line: aks::line },
        LogFormat::AksTable => Layout::Documents { list: None, line: aks_table::line },
        LogFormat::Gke => Layout::Documents { list: Some("entries"), line: gke::line },
    }
}

/// A line without the node's name before it. With `--raw`, and for a node that is named, there is none.
fn without_node(line: &[u8]) -> &[u8] {
    let event = memchr::memchr(b'{', line).unwrap_or_default();
    &line[event..]
}

#[cfg(test)]
mod tests;
