//! A YAML file: read into types, and places in it found again for what is wrong beyond its syntax.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use super::nearest::did_you_mean;
use super::{File, Place, Problem};

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
        let outline: Outline = serde_saphyr::from_str_with_options(&self.text, options()).ok()?;
        outline.place(pointer)
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
        let (message, hint) = match error.without_snippet() {
            Error::SerdeUnknownField { field, expected, .. } => {
                (format!("unknown key `{field}`"), did_you_mean(field, expected.iter().copied()))
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => (
                format!("unknown word `{variant}`"),
                did_you_mean(variant, expected.iter().copied()),
            ),
            Error::SerdeMissingField { field, .. } => (
                format!("`{field}` is missing"),
                format!("add `{field}:` to the entry that begins here"),
            ),
            Error::DuplicateMappingKey { key, .. } => (
                format!("key `{}` appears twice", key.as_deref().unwrap_or("?")),
                "remove one of the two: it would be ignored".to_owned(),
            ),
            Error::MultipleDocuments { .. } => (
                "more than one document".to_owned(),
                "a file is one scenario, control or profile: remove the `---` between".to_owned(),
            ),
            other => (UserMessageFormatter.format_message(other).into_owned(), String::new()),
        };
        let place = error.location().and_then(position);
        let mut problem = self.problem(place, &message, &hint);
        if problem.hint.is_none()
            && problem.place.as_ref().is_some_and(|place| place.text.contains('\t'))
        {
            problem.hint =
                Some("YAML is indented with spaces; there is a tab in this line".to_owned());
        }
        problem
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
