//! Patterns of names.

use globset::Glob;

/// A pattern in which a star is any text and everything else is itself.
///
/// # Errors
/// When no pattern can be made of the text.
pub fn pattern(text: &str) -> Result<Glob, globset::Error> {
    let parts: Vec<String> = text.split('*').map(globset::escape).collect();
    Glob::new(&parts.join("*"))
}

/// Whether a name is of a pattern.
pub fn is_like(name: &str, like: &str) -> bool {
    pattern(like).is_ok_and(|pattern| pattern.compile_matcher().is_match(name))
}
