//! What the YAML parser says, in words for the person who wrote the file.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::Problem;
use super::nearest::did_you_mean;
use super::outline::position;
use super::source::{DEEPEST, MOST_VALUES, Source};
use crate::model::{NoExpectation, To};

impl Source {
    /// The problem that an error of the parser is.
    pub(super) fn explain(&self, error: &Error) -> Problem {
        let place = error.location().and_then(position);
        match error.without_snippet() {
            Error::SerdeUnknownField { field, .. } if field == "refused-too" => {
                let hint = "it is a key of `recorded`, for an attack that nobody in particular must block: \
                            `recorded: {level: …, refused-too: true}`";
                self.problem(place, &format!("unknown key `{field}`"), hint)
            }
            Error::SerdeUnknownField { field, expected, .. } => {
                let hint = did_you_mean(field, expected.iter().copied());
                self.problem(place, &format!("unknown key `{field}`"), &hint)
            }
            Error::SerdeUnknownVariant { variant, expected, .. } if *expected == To::KINDS => {
                let hint = format!(
                    "write `{{pod: {variant}}}`, `{{service: {variant}}}` or `{{address: IP}}`"
                );
                self.problem(place, &format!("`{variant}` may be a pod or a Service"), &hint)
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => {
                let hint = did_you_mean(variant, expected.iter().copied());
                self.problem(place, &format!("unknown word `{variant}`"), &hint)
            }
            Error::SerdeMissingField { field, .. } => {
                let place = place.map(|place| self.beginning(place));
                let hint = format!("add `{field}:` to the entry that begins here");
                self.problem(place, &format!("`{field}` is missing"), &hint)
            }
            Error::DuplicateMappingKey { key, .. } => {
                let message = format!("key `{}` appears twice", key.as_deref().unwrap_or("?"));
                self.problem(place, &message, "remove one of the two: it would be ignored")
            }
            Error::MultipleDocuments { .. } => {
                let hint = "a file is one scenario, control or profile: remove the `---` between";
                self.problem(place, "more than one document", hint)
            }
            Error::Unexpected { expected: "mapping start", .. } => {
                self.problem(place, "expected keys with values", "write `key: value`")
            }
            Error::Unexpected { expected: "sequence start", .. } => {
                self.problem(place, "expected a list", "write `- item`, or `[item, item]`")
            }
            Error::InvalidScalar { ty, .. } if ty.starts_with(['i', 'u']) => self.problem(
                place,
                "expected a whole number",
                "write it in digits, within its range",
            ),
            Error::NonFiniteFloat { value, .. } => {
                let message = format!("`{value}` is no number that JSON can hold");
                self.problem(place, &message, "write another number, or a text in quotes")
            }
            Error::UnsupportedTag { tag, .. } => {
                self.problem(place, &format!("the tag `{tag}` means nothing here"), "remove it")
            }
            Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => {
                let message = "`!!binary` is not followed by a text in base64";
                self.problem(place, message, "write the text itself, without `!!binary`")
            }
            Error::MergeValueNotMapOrSeqOfMaps { .. } => self.problem(
                place,
                "`<<` merges maps, and this is none",
                "write the keys themselves",
            ),
            Error::UnknownAnchor { .. } => {
                let hint =
                    "`*name` repeats what is marked `&name` further up; put other text in quotes";
                self.problem(place, "nothing has this name", hint)
            }
            Error::AliasError { error, .. } => self.explain(error),
            other => match limit(other) {
                Some(message) => self.problem(place, &message, LIMITED),
                None => {
                    let message = UserMessageFormatter.format_message(other);
                    let hint = self.tab_hint(place);
                    self.no_expectation(place, &message)
                        .unwrap_or_else(|| self.problem(place, &message, &hint))
                }
            },
        }
    }

    /// The problem with an attack that begins at a place, if these are the words of an expectation that is none.
    fn no_expectation(&self, place: Option<(usize, usize)>, words: &str) -> Option<Problem> {
        let wrong = NoExpectation::ALL.into_iter().find(|it| it.to_string() == words)?;
        let key = place.zip(wrong.key()).and_then(|(place, key)| self.key(place, key));
        Some(self.problem(key.or(place), words, wrong.hint()))
    }

    /// The parser finds a tab only when it has already begun to read something else.
    fn tab_hint(&self, place: Option<(usize, usize)>) -> String {
        let from = place.map_or(1, |(line, _)| line);
        let mut near = (1..).zip(self.text.lines()).skip(from - 1).take(2);
        let tab = near.find(|(_, text)| text.trim_start_matches(' ').starts_with('\t'));
        tab.map_or(String::new(), |(line, _)| {
            format!("YAML is indented with spaces; line {line} begins with a tab")
        })
    }
}

const LIMITED: &str = "what is read is limited, so that no file can take all time and memory";

/// Which limit is exceeded, if it is one.
fn limit(error: &Error) -> Option<String> {
    Some(match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("lists and maps are nested deeper than {DEEPEST} levels")
        }
        // The parser's own limit for lists and maps in brackets, which it asks first.
        Error::ExternalMessage { msg, .. } if msg == "recursion limit exceeded" => {
            format!("lists and maps are nested deeper than {DEEPEST} levels")
        }
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "too many documents in one file".to_owned()
        }
        Error::Budget { .. } => format!("the file holds more than {MOST_VALUES} values"),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            format!("its aliases (`*name`) repeat more than {MOST_VALUES} values")
        }
        _ => return None,
    })
}
