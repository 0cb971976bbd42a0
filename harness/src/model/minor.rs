//! A minor version of Kubernetes: `1.36`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A minor version of Kubernetes. `1.9` comes before `1.10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Minor(u32);

/// A text that is none.
#[derive(Debug, thiserror::Error)]
#[error("expected a minor version of Kubernetes in quotation marks, such as \"1.36\", not `{0}`")]
pub struct NoMinor(String);

impl TryFrom<String> for Minor {
    type Error = NoMinor;

    fn try_from(text: String) -> Result<Minor, NoMinor> {
        let minor = text.strip_prefix("1.").and_then(|minor| minor.parse().ok());
        minor.map(Minor).ok_or(NoMinor(text))
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl JsonSchema for Minor {
    fn schema_name() -> Cow<'static, str> {
        "Minor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A minor version of Kubernetes: `1.36`."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order_and_no_other_form() {
        let minor = |text: &str| Minor::try_from(text.to_owned());
        let [nine, ten] = ["1.9", "1.10"].map(|text| minor(text).expect("a version"));
        assert!(nine < ten);
        assert_eq!(ten.to_string(), "1.10");
        for text in ["", "1", "1.", "2.0", "v1.36", "1.36.3", "soon"] {
            let error = minor(text).expect_err(text).to_string();
            assert!(error.ends_with(&format!("such as \"1.36\", not `{text}`")), "{error}");
        }
    }
}
