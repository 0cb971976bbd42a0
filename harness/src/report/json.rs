//! The whole result as one JSON document.

use std::io;

use super::Format;
use crate::model::Results;

/// JSON, which can be read back.
pub(super) const FORMAT: Format = Format {
    name: "JSON",
    word: "json",
    endings: &["json"],
    flag: Some("Write JSON, with all evidence"),
    render,
};

fn render(results: &Results) -> io::Result<Vec<u8>> {
    let mut document = serde_json::to_vec_pretty(results)?;
    document.push(b'\n');
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReadError;
    use crate::report::sample;

    #[test]
    fn document_of_a_failing_run() {
        let document = render(&sample::results(&sample::failing())).unwrap();
        insta::assert_snapshot!(String::from_utf8(document).unwrap());
    }

    #[test]
    fn what_was_written_is_read_back() {
        for events in [
            sample::passing(),
            sample::failing(),
            sample::mixed(),
            sample::waived(),
            sample::aborted(),
            sample::proof(),
        ] {
            let written = render(&sample::results(&events)).unwrap();
            let read = Results::read(&written).unwrap();
            assert_eq!(render(&read).unwrap(), written);
        }
    }

    #[test]
    fn a_run_that_did_not_finish_says_so() {
        let read = Results::read(&render(&Results::default()).unwrap()).unwrap();
        assert_eq!(read.aborted.as_deref(), Some("the run did not finish"));
        assert!(read.summary.is_none());
    }

    #[test]
    fn another_format_is_refused() {
        let error = Results::read(br#"{"format": 2, "runs": []}"#).unwrap_err();
        assert!(matches!(error, ReadError::Format(2)), "{error}");
        assert!(matches!(Results::read(b"<xml/>").unwrap_err(), ReadError::Broken(_)));
    }
}
