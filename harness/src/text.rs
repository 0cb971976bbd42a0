//! Small text forms that several modules need.

use base64::Engine as _;

/// Standard base64 with padding, as Kubernetes writes bytes.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// `count` random bytes from the operating system.
///
/// # Panics
/// When the operating system has no random bytes: no run can be told from another then.
pub fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// [`random_bytes`] in hexadecimal.
pub fn random_hex(count: usize) -> String {
    random_bytes(count).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cuts `text` at a character, saying so, when it is longer than `limit` bytes.
pub fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{} …", &text[..end])
}

/// Encodes a value for a query, so that nothing in it can end the value.
pub fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `1 attempt`, `2 attempts`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Removes `user:password@` from every URL in a text that comes from outside, a program's words or a library's: proxies
/// are named with their passwords. A URL may be escaped as JSON or for a query, and a password that should have been
/// escaped may be not.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, at)) = next_url(rest) {
        let (before, url) = rest.split_at(start);
        let next = next_url(url).map(|(next, _)| next);
        let end = url.find(ends_url).into_iter().chain(next).min().unwrap_or(url.len());
        shown.push_str(before);
        rest = &url[credentials(&url[..end], at)..];
    }
    shown + rest
}

/// Where the next URL's authority begins, and how that URL writes an `@`.
fn next_url(text: &str) -> Option<(usize, &'static str)> {
    let lower = text.to_ascii_lowercase();
    let marks = [("://", "@"), (":\\/\\/", "@"), ("%3a%2f%2f", "%40")];
    let found = marks.iter().filter_map(|(mark, at)| Some((lower.find(mark)? + mark.len(), *at)));
    found.min()
}

fn ends_url(character: char) -> bool {
    character.is_whitespace() || ['"', '`', '<', '>'].contains(&character)
}

/// How long the credentials are with which an authority begins, up to their `@`. They end with the authority, unless
/// they hold what no name of a host does: then a character in them should have been escaped.
fn credentials(url: &str, at: &str) -> usize {
    let after = |text: &str| text.rfind(at).map(|found| found + at.len());
    let authority = url.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_host = !authority.contains(at)
        && (authority.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()));
    let has_password = !is_host && authority.contains(':');
    let found = if has_password { after(url) } else { after(authority) };
    found.unwrap_or_default()
}

/// What the API server said, without the rest of its answer's fields.
pub fn api_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => without_credentials(&other.to_string()),
    }
}

/// Makes any text harmless and its hidden characters visible: what could steer a terminal, turn the direction
/// of reading, hide, break a line or break XML is written as an escape, such as `\u{1b}` or `\n`.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// Whether a character can be shown as it is.
pub(crate) fn is_harmless(character: char) -> bool {
    let steers = character.is_control();
    let hides_or_turns = matches!(character,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    let is_no_character =
        matches!(character, '\u{fdd0}'..='\u{fdef}') || u32::from(character) & 0xfffe == 0xfffe;
    !(steers || hides_or_turns || is_no_character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_every_url() {
        for (text, shown) in [
            ("http://user:secret@proxy:3128", "http://proxy:3128"),
            ("HTTPS://user:secret@proxy/path", "HTTPS://proxy/path"),
            ("socks5h://user:secret@proxy", "socks5h://proxy"),
            ("https://token@host/x", "https://host/x"),
            ("https://user:p%40ss%2Fword@host", "https://host"),
            ("https://:secret@host", "https://host"),
            ("https://user:p@ss@host", "https://host"),
            ("http://user:pa/ss@proxy:3128 refused", "http://proxy:3128 refused"),
            ("http://user:pa?s#s@proxy", "http://proxy"),
            ("a http://u:p@one, then http://v:q@two.", "a http://one, then http://two."),
            ("http://u:p@one,http://v:q@two", "http://one,http://two"),
            (
                r#"{"proxy": "http://u:p@one:1", "other": 2}"#,
                r#"{"proxy": "http://one:1", "other": 2}"#,
            ),
            (r#"{"proxy":"http:\/\/u:p@one\/x"}"#, r#"{"proxy":"http:\/\/one\/x"}"#),
            ("?proxy=http%3A%2F%2Fu%3Ap%40one%2Fx", "?proxy=http%3A%2F%2Fone%2Fx"),
            ("https://user:secret@[::1]:6443/api", "https://[::1]:6443/api"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }

    #[test]
    fn what_holds_no_credentials_stays() {
        for text in [
            "",
            "kindest/node:v1.36.4@sha256:099e",
            "https://goproxy.example.com/k8s.io/api/@v/v0.36.0.mod: 403",
            "https://goproxy.example.com:8443/k8s.io/api/@v/list",
            "https://[::1]:6443/x/@v/list",
            "mail me@example.com about http://one",
            "unix:///var/run/docker.sock",
        ] {
            assert_eq!(without_credentials(text), text);
        }
    }
}
