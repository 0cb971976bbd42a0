//! Which format a log has, by its beginning.

use crate::model::LogFormat;
use crate::text::visible;

/// How much of a log tells its format, where it can be told.
pub(in crate::audit) const ENOUGH: usize = 64 * 1024;

/// How many fields a message names.
const NAMED: usize = 8;

/// The fields by which the elements and the envelopes of each format are known. The API server's own are first: others
/// may hold one of these names as well.
const FIELDS: [(&str, LogFormat); 12] = [
    ("auditID", LogFormat::Kubernetes),
    ("items", LogFormat::Kubernetes),
    ("protoPayload", LogFormat::Gke),
    ("insertId", LogFormat::Gke),
    ("entries", LogFormat::Gke),
    ("AuditId", LogFormat::AksTable),
    ("RequestReceivedTime", LogFormat::AksTable),
    ("records", LogFormat::Aks),
    ("properties", LogFormat::Aks),
    ("events", LogFormat::Eks),
    ("ingestionTime", LogFormat::Eks),
    ("logStreamName", LogFormat::Eks),
];

/// Nothing in the beginning of a log tells its format. Of what it holds only names are told.
#[derive(Debug, thiserror::Error)]
#[error("the format of the audit log cannot be told: {seen}; name it as one of {}", choices())]
pub struct Undetected {
    seen: String,
}

impl Undetected {
    fn of(beginning: &[u8]) -> Self {
        let names = names(beginning);
        let named = names.iter().take(NAMED).map(|name| String::from_utf8_lossy(name));
        let named = visible(&named.collect::<Vec<_>>().join(", "));
        let seen = match names.is_empty() {
            true => "no object with a field was seen in its beginning".to_owned(),
            false => format!("its first object has the fields {named}"),
        };
        Undetected { seen }
    }
}

fn choices() -> String {
    LogFormat::ALL.map(LogFormat::label).join(", ")
}

/// The format of a log that begins so.
///
/// # Errors
/// When nothing there tells it.
pub(in crate::audit) fn detect(beginning: &[u8]) -> Result<LogFormat, Undetected> {
    let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    let mut starts =
        std::iter::once(0).chain(memchr::memchr_iter(b'\n', beginning).map(|end| end + 1));
    let known = starts.find_map(|start| at_line(&beginning[start..]));
    known.ok_or_else(|| Undetected::of(beginning))
}

/// Whether nothing is in a log that ends so. What a command prints of no entries is an empty list with `gcloud` and
/// `az`.
pub(in crate::audit) fn is_empty(text: &[u8]) -> bool {
    let is_nothing = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf[]{}".contains(byte);
    text.iter().all(is_nothing)
}

/// The format of what begins with this line.
fn at_line(text: &[u8]) -> Option<LogFormat> {
    match text.first()? {
        b'{' | b'[' => by_fields(text),
        _ => {
            let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
            let event = memchr::memchr(b'{', &text[..end])?;
            let is_node = text[..event].strip_suffix(b" ").is_some_and(is_node);
            let is_event = is_node && by_fields(&text[event..end]) == Some(LogFormat::Kubernetes);
            is_event.then_some(LogFormat::OpenShift)
        }
    }
}

/// Whether a node may be called so (a DNS subdomain). `aws logs tail --format short` prints the time there, and an
/// order of its own.
fn is_node(word: &[u8]) -> bool {
    let is_usual = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.".contains(it);
    word.iter().all(is_usual)
}

/// The format of the first object, by the names of its fields.
fn by_fields(text: &[u8]) -> Option<LogFormat> {
    let names = names(text);
    let is_named = |field: &str| names.contains(&field.as_bytes());
    FIELDS.iter().find(|(field, _)| is_named(field)).map(|(_, format)| *format)
}

/// The names of the fields of the first object, as far as it came.
fn names(text: &[u8]) -> Vec<&[u8]> {
    let Some(start) = memchr::memchr(b'{', text) else { return Vec::new() };
    let mut names = Vec::new();
    let (mut depth, mut at) = (0_usize, start);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at + 1);
                let rest = text.get(end + 1..).unwrap_or_default();
                if depth == 1 && rest.trim_ascii_start().starts_with(b":") {
                    names.push(&text[at + 1..end]);
                }
                at = end;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => break,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    names
}

/// Where a string ends that begins here.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}
