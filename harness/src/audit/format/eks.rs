//! Events from CloudWatch, where EKS puts them: `message` is the Event. A message that is longer than 1 MiB is cut and ends
//! in `[Truncated...]`.

use serde::Deserialize;

use super::{Line, inner};

/// An entry of `events`, or one that stands alone.
#[derive(Deserialize)]
struct Entry {
    message: String,
}

/// The line that an entry holds.
pub(super) fn line(element: &[u8]) -> Option<Line> {
    let entry: Entry = serde_json::from_slice(element).ok()?;
    Some(inner::line(entry.message))
}
