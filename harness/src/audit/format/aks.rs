//! Azure's diagnostic records: `properties.log` is the Event, cut at 16 KiB. Between events stand the API server's own
//! lines.

use serde::Deserialize;

use super::{Line, inner};

/// A record of the categories `kube-audit` and `kube-audit-admin`.
#[derive(Deserialize)]
struct Record {
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    log: String,
}

/// The line that a record holds.
pub(super) fn line(element: &[u8]) -> Option<Line> {
    let record: Record = serde_json::from_slice(element).ok()?;
    Some(inner::line(record.properties.log))
}
