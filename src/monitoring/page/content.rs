//! The page as text: one file with its style and its script, for a browser or, with its data, as a report. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::markup::fill;
use crate::monitoring::view::View;

const PAGE: &str = include_str!("../../../templates/monitoring/page.html");
const STYLE: &str = include_str!("../../../templates/monitoring/page.css");
const SCRIPT: &str = include_str!("../../../templates/monitoring/page.js");

/// What the page may do: its own style and script, known by their digests, and questions to where it comes from.
pub(super) fn policy() -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(SCRIPT),
        digest(STYLE)
    )
}

/// The page, which asks for its data.
pub(super) fn page() -> String {
    filled("", "")
}

/// The page with its data, one view a window; it asks for nothing.
///
/// # Errors
/// When a view cannot be written as JSON.
pub(crate) fn report(views: &BTreeMap<&str, View>) -> Result<String, serde_json::Error> {
    // No text of the data ends the element.
    let json = serde_json::to_string(views)?.replace('<', "\\u003c");
    // A policy within a page cannot say who may frame it.
    let policy = policy().replace("; frame-ancestors 'none'", "").replace("connect-src 'self'; ", "");
    let policy = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n");
    Ok(filled(&policy, &format!("<script type=\"application/json\" id=\"report\">{json}</script>\n")))
}

fn filled(policy: &str, report: &str) -> String {
    fill(PAGE, &[("policy", policy), ("style", STYLE), ("report", report), ("script", SCRIPT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_all_it_needs_and_asks_no_other_site() {
        let page = page();
        assert!(
            page.contains(SCRIPT)
                && page.contains(STYLE)
                && !page.contains("{{policy")
                && !page.contains("id=\"report\"")
        );
        for foreign in [
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            " style=",
            "innerHTML",
            "insertAdjacentHTML",
            "eval(",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
