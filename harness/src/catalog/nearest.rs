//! What somebody may have meant.

/// Below this similarity (Jaro-Winkler) a name is no help.
const SIMILAR: f64 = 0.75;

/// Up to three names that resemble the given one, the nearest first.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    scored.into_iter().take(3).map(|(_, known)| known).collect()
}

/// A question for the nearest names, or else all of them: a hint for a name that nobody knows.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let near = nearest(name, known.clone());
    if near.is_empty() {
        return format!("known are: {}", known.into_iter().collect::<Vec<_>>().join(", "));
    }
    format!("did you mean {}?", near.join(" or "))
}
