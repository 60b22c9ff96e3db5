//! The first lines of each document: who made it, and a digest of what follows. Pure.

use sha2::{Digest, Sha256};

const MARK: &str = "Rendered by appforge";

/// The document with its header, as a comment in the document's own language. JSON has none.
///
/// The digest is of the document alone, so that a change elsewhere in the stack file changes no other document.
pub(super) fn put_over(path: &str, text: &str) -> String {
    let comment = match path.rsplit('.').next() {
        Some("json") => return text.to_owned(),
        Some("js") => "//",
        // A comment of HTML, since Markdown has none.
        Some("md") => return put_over_markdown(text),
        _ => "#",
    };
    format!(
        "{comment} {MARK} {} from appforge.yaml. Do not edit: change the stack file, its `patches`, or a template\n\
         {comment} (`appforge render --eject NAME`). Content: sha256:{}\n{text}",
        env!("CARGO_PKG_VERSION"),
        hex::encode(Sha256::digest(text))
    )
}

fn put_over_markdown(text: &str) -> String {
    format!(
        "<!-- {MARK} {} from appforge.yaml. Content: sha256:{} -->\n{text}",
        env!("CARGO_PKG_VERSION"),
        hex::encode(Sha256::digest(text))
    )
}

/// Whether a text is a document of ours.
pub fn is_rendered(text: &str) -> bool {
    text.lines()
        .next()
        .is_some_and(|line| line.trim_start_matches(['#', '/', ' ', '<', '!', '-']).starts_with(MARK))
}
