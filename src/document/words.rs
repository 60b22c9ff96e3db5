//! Names and values in messages: which are quoted, and which known one was meant. Pure.
//!
//! A file that was named by mistake may be a private key or a list of passwords, and a line of it such as `root:$6$...:`
//! is a mapping. So a message quotes only what looks like a key, and only short values.

use std::fmt::Display;

/// In characters.
const LONGEST_KEY: usize = 40;
/// In characters: `APPFORGE_HOME` is not meant to be `APPFORGE_NAME`.
const LONG_WORD: usize = 18;
/// In characters.
const LONGEST_VALUE: usize = 80;

/// The candidate nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidate that differs from `word` by a slip: a letter, or two in a longer one. For words that may well be meant.
pub(crate) fn misspelt<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips = if word.chars().count() < LONG_WORD { 1 } else { 2 };
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "1 replica", "2 replicas".
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// "unknown KIND `word`", with the known one that was meant, or all.
pub(crate) fn unknown(kind: &str, word: &str, known: &[&str]) -> String {
    let word_shown = if is_word(word) { format!(" `{word}`") } else { String::new() };
    // The distance is quadratic in the length.
    let near = is_word(word).then(|| nearest(word, known.iter().copied())).flatten();
    match near {
        Some(near) => format!("unknown {kind}{word_shown}; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown {kind}{word_shown}"),
        None => format!("unknown {kind}{word_shown}; {}", known_list(kind, known)),
    }
}

/// "known keys: `a`, `b`".
pub(crate) fn known_list(kind: &str, known: &[&str]) -> String {
    format!("known {kind}s: `{}`", known.join("`, `"))
}

/// A value for messages: one of several lines, or a long one, is not quoted.
pub(crate) fn shown(text: &str) -> String {
    match text {
        "" => "an empty string".to_owned(),
        _ if text.chars().any(char::is_control) => "a string of several lines".to_owned(),
        _ if text.chars().count() > LONGEST_VALUE => "a longer string".to_owned(),
        _ => format!("`{text}`"),
    }
}

/// Why a type does not take a text: its own sentence, and what came.
pub(crate) fn refused(reason: &str, text: &str) -> String {
    format!("{reason}, got {}", shown(text))
}

/// Whether a key looks like one.
pub(crate) fn is_word(key: &str) -> bool {
    let letters = key.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c));
    letters && !key.is_empty() && key.chars().count() <= LONGEST_KEY
}

/// "must be between LOW and HIGH, got VALUE".
pub(crate) fn out_of(low: impl Display, high: impl Display, got: impl Display) -> String {
    format!("must be between {low} and {high}, got {got}")
}
