//! A duration as files write it: `500ms`, `5s`, `1h30m`.

use std::borrow::Cow;
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// How long something takes. It is written with its unit: a bare number would be seconds to one reader and
/// milliseconds to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// A text that is no duration.
#[derive(Debug, thiserror::Error)]
#[error("expected a duration with its unit, such as 500ms, 5s, 5m or 1h30m, not `{0}`")]
pub struct NoSpan(String);

impl TryFrom<String> for Span {
    type Error = NoSpan;

    fn try_from(text: String) -> Result<Span, NoSpan> {
        let parsed = text.parse::<SignedDuration>().ok();
        // A duration before zero has no unsigned form.
        let span = parsed.and_then(|parsed| Duration::try_from(parsed).ok());
        span.map(Span).ok_or(NoSpan(text))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A duration with its unit: `500ms`, `5s`, `5m`, `1h30m`."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_unit() {
        for (text, expected) in
            [("5s", 5_000), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250)]
        {
            let span = Span::try_from(text.to_owned()).expect("a duration");
            assert_eq!(span.0, Duration::from_millis(expected), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 parsecs", "soon"] {
            let error = Span::try_from(text.to_owned()).expect_err(text).to_string();
            assert!(
                error.ends_with(&format!("such as 500ms, 5s, 5m or 1h30m, not `{text}`")),
                "{error}"
            );
        }
    }
}
