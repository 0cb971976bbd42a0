//! What somebody may have meant.

/// Below this similarity (1 less the share of letters to change) a name is no help.
const SIMILAR: f64 = 0.6;

/// How much less similar than the nearest one another may be.
const BESIDE: f64 = 0.15;

/// Up to three names that resemble the given one, the nearest first.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let similarity = |known| strsim::normalized_damerau_levenshtein(name, known);
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (similarity(known), known))
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    let near = scored.into_iter().filter(|(score, _)| *score >= best - BESIDE);
    near.take(3).map(|(_, known)| known).collect()
}

/// A question for the nearest names, or else all of them: a hint for a name that nobody knows.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = nearest(name, known.clone());
    if near.is_empty() {
        return format!("known are: {}", known.into_iter().collect::<Vec<_>>().join(", "));
    }
    format!("did you mean {}?", near.join(" or "))
}
