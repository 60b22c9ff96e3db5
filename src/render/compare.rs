//! Documents against what lies on the disk: a unified diff. Pure; the caller reads the disk.

use similar::TextDiff;

/// A unified diff from `old` to `new`; empty when both are the same. A missing side is `/dev/null`.
pub fn unified(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    if old == new {
        return String::new();
    }
    let name = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default())
        .unified_diff()
        .header(&name("a", old), &name("b", new))
        .to_string()
}
