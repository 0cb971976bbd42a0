//! A YAML file: read into types, and places in it found again for what is wrong beyond its syntax.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use super::nearest::did_you_mean;
use super::{File, Place, Problem, To};

/// The text of a YAML file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

/// Strict booleans keep the label value `no` a text; legacy octal makes `defaultMode: 0440` what the API server
/// makes of it. A key that appears twice is an error by default.
pub(super) fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// The documents of a manifest whose values are filled in. The catalog has parsed it without them.
pub(crate) fn documents(text: &str) -> Result<Vec<serde_json::Value>, String> {
    serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| error.to_string())
}

impl Source {
    /// A file that is text.
    pub(super) fn new(file: File) -> Result<Source, Problem> {
        match String::from_utf8(file.bytes.into_owned()) {
            Ok(text) => Ok(Source { file: file.path, text }),
            Err(error) => {
                let valid =
                    String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
                let line = valid.split('\n').count();
                Err(Problem::of_file(&file.path, &format!("line {line} is not text in UTF-8")))
            }
        }
    }

    /// Its one document.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.is_empty() {
            return Err(Problem::of_file(&self.file, "the file is empty"));
        }
        serde_saphyr::from_str_with_options(&self.text, options())
            .map_err(|error| self.explain(&error))
    }

    /// Its documents.
    pub(super) fn parse_all<T: DeserializeOwned>(&self) -> Result<Vec<T>, Problem> {
        serde_saphyr::from_multiple_with_options(&self.text, options())
            .map_err(|error| self.explain(&error))
    }

    /// The place of what a JSON pointer names.
    pub(super) fn place(&self, pointer: &str) -> Option<(usize, usize)> {
        self.outline()?.place(pointer)
    }

    /// The first place where a text stands.
    pub(super) fn text_place(&self, text: &str) -> Option<(usize, usize)> {
        let before = &self.text[..self.text.find(text)?];
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((before.split('\n').count(), column))
    }

    /// A problem at a place.
    pub(super) fn problem(
        &self,
        place: Option<(usize, usize)>,
        message: &str,
        hint: &str,
    ) -> Problem {
        Problem {
            file: self.file.clone(),
            place: place.map(|(line, column)| Place::new(&self.text, line, column)),
            message: message.to_owned(),
            hint: Some(hint).filter(|hint| !hint.is_empty()).map(str::to_owned),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        })
    }

    fn explain(&self, error: &Error) -> Problem {
        let place = error.location().and_then(position);
        match error.without_snippet() {
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
            other => {
                let message = UserMessageFormatter.format_message(other);
                self.problem(place, &message, &self.tab_hint(place))
            }
        }
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

    /// Where the map begins that has a key at this place.
    fn beginning(&self, place: (usize, usize)) -> (usize, usize) {
        self.outline().and_then(|outline| outline.beginning(place)).unwrap_or(place)
    }

    fn outline(&self) -> Option<Outline> {
        serde_saphyr::from_str_with_options(&self.text, options()).ok()
    }
}

fn position(location: Location) -> Option<(usize, usize)> {
    let line = usize::try_from(location.line()).ok().filter(|line| *line > 0)?;
    Some((line, usize::try_from(location.column()).ok()?))
}

/// Where the parts of a document stand.
enum Outline {
    Map(Vec<(Spanned<String>, Spanned<Outline>)>),
    List(Vec<Spanned<Outline>>),
    Scalar,
}

impl Outline {
    /// The place of what a JSON pointer names, or of the deepest thing on the way to it.
    fn place(&self, pointer: &str) -> Option<(usize, usize)> {
        let mut outline = self;
        let mut place = Some((1, 1));
        for step in pointer.split('/').skip(1) {
            let Some((location, part)) = outline.part(step) else { break };
            place = position(location);
            outline = part;
        }
        place
    }

    /// The first key of the map that has a key at this place.
    fn beginning(&self, place: (usize, usize)) -> Option<(usize, usize)> {
        match self {
            Outline::Map(entries) => {
                let has = entries.iter().any(|(key, _)| position(key.referenced) == Some(place));
                let first = entries.first().and_then(|(key, _)| position(key.referenced));
                let below = || entries.iter().find_map(|(_, value)| value.value.beginning(place));
                if has { first } else { below() }
            }
            Outline::List(items) => items.iter().find_map(|item| item.value.beginning(place)),
            Outline::Scalar => None,
        }
    }

    /// One part, with where it stands: a scalar by itself, a map or a list by its key.
    fn part(&self, step: &str) -> Option<(Location, &Outline)> {
        match self {
            Outline::Map(entries) => {
                let (key, value) = entries.iter().find(|(key, _)| key.value == step)?;
                let scalar = matches!(value.value, Outline::Scalar);
                Some((if scalar { value.referenced } else { key.referenced }, &value.value))
            }
            Outline::List(items) => {
                let item = items.get(step.parse::<usize>().ok()?)?;
                Some((item.referenced, &item.value))
            }
            Outline::Scalar => None,
        }
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Outline, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Outline::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Outline, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Outline::List(list))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }
}
