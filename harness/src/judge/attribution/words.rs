//! How the API server words what it refuses: the subject first, then the reason. Names in between are the caller's
//! and may hold anything, but quoted.

/// What follows `pods "p" is forbidden: `, `pods is forbidden: ` or `forbidden: `.
pub fn after_subject<'a>(words: &'a str, sort: &str) -> Option<&'a str> {
    let after = |rest: &'a str| rest.strip_prefix(sort)?.strip_prefix(": ");
    if let Some(why) = after(words) {
        return Some(why);
    }
    let (resource, rest) = words.split_once(' ')?;
    if !resource.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
        return None;
    }
    let rest = match quoted(rest) {
        Some((_, rest)) => rest.strip_prefix(' ')?,
        None => rest,
    };
    after(rest.strip_prefix("is ")?)
}

/// Parts a text after its quoted beginning. The API server quotes as Go does: a quotation mark within has a
/// backslash before it.
pub fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Whether `text` begins as `pattern` says, where `"*"` is any quoted text and `*` one word.
pub fn begins(text: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return text.starts_with(pattern);
    };
    let after = match start.strip_suffix('"').zip(rest.strip_prefix('"')) {
        Some((start, rest)) => {
            text.strip_prefix(start).and_then(quoted).map(|(_, after)| (after, rest))
        }
        None => text
            .strip_prefix(start)
            .map(|after| (after.trim_start_matches(|c: char| !c.is_whitespace()), rest)),
    };
    after.is_some_and(|(after, rest)| begins(after, rest))
}

/// Several errors are written as a list: `[first, second]`.
pub fn first(texts: &str) -> &str {
    texts.strip_prefix('[').unwrap_or(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_quoted_names_whole_and_others_word_by_word() {
        for (text, pattern, expected) in [
            ("node \"n\" is not allowed to x", "node \"*\" is not allowed to ", true),
            ("node \"a \\\" b\" is not allowed to x", "node \"*\" is not allowed to ", true),
            ("node \"n\" not found", "node \"*\" is not allowed to ", false),
            ("node \"n is not allowed to x", "node \"*\" is not allowed to ", false),
            ("container c with envFrom x", "container * with envFrom ", true),
            ("container c d with envFrom x", "container * with envFrom ", false),
            ("container c", "container * with envFrom ", false),
        ] {
            assert_eq!(begins(text, pattern), expected, "{text} as {pattern}");
        }
    }
}
