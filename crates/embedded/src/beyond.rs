//! What a client asks of an embedded store that only a real server has: once a process the log names it, with the way out.

use std::sync::Once;

/// The longest name that the log shows, in bytes.
const LONGEST: usize = 32;

/// Says once that `asked` is beyond the embedded `store`, whose mode the stack file has at `key`.
pub(crate) fn once(said: &Once, asked: &str, store: &str, key: &str) {
    said.call_once(|| {
        let name: String =
            asked.chars().filter(|c| c.is_ascii_alphanumeric() || "$_ ".contains(*c)).take(LONGEST).collect();
        tracing::warn!(
            "the embedded {store} does not support `{name}`; use a real server: `{key}: container` runs one in Docker"
        );
    });
}
