//! Small text forms that several modules need.

use std::error::Error as _;
use std::ops::Range;

use base64::Engine as _;

/// Standard base64 with padding, as Kubernetes writes bytes.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What [`base64`] was made of; `None` if it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// `count` random bytes from the operating system.
///
/// # Panics When the operating system has no random bytes: runs could not have different names then.
pub fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// [`random_bytes`] in hexadecimal.
pub fn random_hex(count: usize) -> String {
    hex(&random_bytes(count))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// The first of several names, and how many there are beside: `a, b and 3 more`.
pub fn first_of(names: &[impl AsRef<str>], most: usize) -> String {
    let told: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    let told = told.join(", ");
    match names.len().saturating_sub(most) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Removes `user:password@` from a text that comes from outside, a program's words or a library's: proxies are named
/// with their passwords. It is looked for in every URL, which may be escaped as JSON or for a query, and without a
/// scheme (`//user:password@host`, `user:password@host`), and a password that should have been escaped may be not.
/// E-mail addresses, digests of images and names of users stay.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(Mark { place, at }) = next_url(rest) {
        let (before, url) = rest.split_at(place.end);
        let next = next_url(url).map(|next| next.place.start);
        let end = url.find(ends_url).into_iter().chain(next).min().unwrap_or(url.len());
        shown.push_str(&without_scheme(before));
        shown.push_str(&url[credentials(&url[..end], at)..end]);
        rest = &url[end..];
    }
    shown + &without_scheme(rest)
}

/// What stands between a scheme and an authority, and how that URL writes an `@`.
struct Mark {
    place: Range<usize>,
    at: &'static str,
}

fn next_url(text: &str) -> Option<Mark> {
    let lower = text.to_ascii_lowercase();
    let marks = [("://", "@"), (":\\/\\/", "@"), ("%3a%2f%2f", "%40")];
    let found = marks.into_iter().filter_map(|(mark, at)| {
        let start = lower.find(mark)?;
        Some(Mark { place: start..start + mark.len(), at })
    });
    found.min_by_key(|mark| mark.place.end)
}

fn ends_url(character: char) -> bool {
    character.is_whitespace() || ['"', '`', '<', '>'].contains(&character)
}

/// How long the credentials are with which an authority begins, up to their `@`. They end with the authority, unless
/// they hold what no name of a host does: then a character in them should have been escaped.
fn credentials(url: &str, at: &str) -> usize {
    let url = without_digest(url, at);
    let after = |text: &str| text.rfind(at).map(|found| found + at.len());
    let authority = url.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let has_password = !is_host(authority, at) && authority.contains(':');
    let found = if has_password { after(url) } else { after(authority) };
    found.unwrap_or_default()
}

fn is_host(authority: &str, at: &str) -> bool {
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    !authority.contains(at)
        && (authority.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An image without its digest: `@sha256:…`.
fn without_digest<'t>(image: &'t str, at: &str) -> &'t str {
    let Some((name, digest)) = image.rsplit_once(at) else { return image };
    let is_digest = ["sha256:", "sha384:", "sha512:"].iter().any(|sort| digest.starts_with(sort));
    if is_digest { name } else { image }
}

/// A text with no URLs in it, or with their beginnings alone.
fn without_scheme(text: &str) -> String {
    let words = text.split_inclusive(ends_url);
    words
        .map(|word| {
            credentials_in(word).map_or_else(
                || word.to_owned(),
                |place| format!("{}{}", &word[..place.start], &word[place.end..]),
            )
        })
        .collect()
}

/// How what is no password begins: users of Kubernetes, and an e-mail address as a link.
const NO_CREDENTIALS: [&str; 5] =
    ["system:serviceaccount:", "system:serviceaccounts:", "system:node:", "oidc:", "mailto:"];

/// Where the credentials are in a word that has no scheme. Without a colon before the last `@` it has none.
fn credentials_in(word: &str) -> Option<Range<usize>> {
    if let Some(start) = authority_in(word) {
        return Some(start..start + credentials(&word[start..], "@"));
    }
    let word = without_digest(word, "@");
    let is_followed = |(at, _): &(usize, &str)| {
        word[at + 1..].starts_with(|c: char| c.is_alphanumeric() || c == '[')
    };
    let (at, _) = word.rmatch_indices('@').find(is_followed)?;
    let colon = word[..at].find(':')?;
    let in_user = |c: char| c.is_alphanumeric() || "-._~+%@".contains(c);
    let before = word[..colon].trim_end_matches(in_user);
    let (user, password) = (&word[before.len()..colon], &word[colon + 1..at]);
    let named = &word[before.len()..at];
    // `git@host:owner/name`, `host:port/path`, `/a:b`, `[::1]`
    let is_path = match named.split_once('/') {
        Some((authority, _)) => user.contains('@') || is_host(authority, "@"),
        None => false,
    };
    let is_inside = before.ends_with(['/', ']']) || user.is_empty() && before.ends_with('[');
    let is_other = NO_CREDENTIALS.iter().any(|other| named.starts_with(other));
    let are_there = !password.is_empty() && !is_path && !is_inside && !is_other;
    are_there.then(|| before.len()..at + 1)
}

/// Where an authority begins behind `//` that has no scheme and is no part of a path.
fn authority_in(word: &str) -> Option<usize> {
    let (before, _) = word.split_once("//")?;
    let is_inside = before.ends_with(|c: char| c.is_alphanumeric() || ":.-_".contains(c));
    (!is_inside).then(|| before.len() + 2)
}

/// What the API server said, without the rest of its answer's fields; where it said nothing, why not, down to the
/// innermost cause.
pub fn api_words(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} ({})", status.message, status.code);
    }
    let words = error.to_string();
    let innermost = std::iter::successors(error.source(), |cause| (**cause).source()).last();
    let innermost = innermost.map(ToString::to_string).filter(|cause| !words.contains(cause));
    without_credentials(&innermost.map_or(words.clone(), |cause| format!("{words}: {cause}")))
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
    fn credentials_are_removed_without_a_scheme() {
        for (text, shown) in [
            ("user:secret@proxy:3128", "proxy:3128"),
            ("//user:secret@proxy:3128/x", "//proxy:3128/x"),
            ("lookup //token@host: no such host", "lookup //host: no such host"),
            ("http_proxy=user:secret@proxy", "http_proxy=proxy"),
            ("HTTPS_PROXY=//user:secret@proxy, refused", "HTTPS_PROXY=//proxy, refused"),
            ("proxy:user:secret@proxy", "proxy"),
            (
                r#"parse "user:secret@proxy:3128": first path segment"#,
                r#"parse "proxy:3128": first path segment"#,
            ),
            (r#"{"proxy":"user:secret@proxy"}"#, r#"{"proxy":"proxy"}"#),
            ("(user:secret@proxy)", "(proxy)"),
            ("user:c2VjcmV0Cg==@proxy", "proxy"),
            ("user:p@ss@proxy", "proxy"),
            ("user:pa/ss@proxy:3128", "proxy:3128"),
            ("user:pa,ss@proxy", "proxy"),
            ("user:secret@[fd00::1]:3128", "[fd00::1]:3128"),
            ("me@example.com:secret@proxy:3128", "proxy:3128"),
            ("%75ser:secret@proxy", "proxy"),
            (":secret@proxy", "proxy"),
            ("system:manager@database", "database"),
            ("user:secret@registry/app:v1@sha256:099e", "registry/app:v1@sha256:099e"),
            ("http://user:secret@registry/app@sha256:099e", "http://registry/app@sha256:099e"),
            ("http://user:pa/ss@registry/app@sha256:099e", "http://registry/app@sha256:099e"),
            ("user:one@a user:two@b", "a b"),
            ("http://one/x user:two@b http://u:p@three", "http://one/x b http://three"),
        ] {
            assert_eq!(without_credentials(text), shown, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_credentials_stays() {
        for text in [
            "me@example.com",
            "write to: me@example.com, you@example.com",
            "mailto:me@example.com",
            r#"{"contact":"me@example.com"}"#,
            "kindest/node:v1.36.4@sha256:099e",
            "node:v1.36.4@sha256:099e",
            "localhost:5000/app@sha256:099e",
            "registry.example.com:5000/team/app:v1@sha512:099e",
            "docker-image://app:v1@sha256:099e",
            "git@github.com:owner/repository.git",
            "git@github.com:owner/repository@v1.2.3",
            "k8s.io/api@v0.36.0: reading the file: 403",
            "10.0.0.1:443/x/@v/list",
            r#"User "system:serviceaccount:shop:app@x" cannot list"#,
            "system:node:worker@x",
            "system:serviceaccounts:shop@x",
            "oidc:alice@example.com",
            "/srv/a:b@c",
            "at 06:25:59 me@example.com said: @all",
            "user:secret@",
            "a:b @host",
            "unit brinell@7:2.service",
            "::@",
            "//",
            "@",
        ] {
            assert_eq!(without_credentials(text), text);
        }
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        for (names, told) in [
            (&[] as &[&str], ""),
            (&["a"], "a"),
            (&["a", "b"], "a, b"),
            (&["a", "b", "c"], "a, b and 1 more"),
        ] {
            assert_eq!(first_of(names, 2), told);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", forged in "[a:@/%.\\\\ \"=é]{0,30}") {
            without_credentials(&text);
            without_credentials(&forged);
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
