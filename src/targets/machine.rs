//! What `doctor` asks of this machine whatever the target. Changes nothing.

use std::path::Path;

use crate::float;
use crate::targets::finding::{Finding, Verdict};

/// The room on the disk of `folder`, or of the nearest folder above that may be looked at; `None` when nothing may.
/// Less than `none` bytes is too little to begin with, less than `little` is a warning.
pub(crate) fn disk(folder: &Path, none: u64, little: u64, fix: &str) -> Option<Finding> {
    let seen = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    let free = seen.f_bavail.saturating_mul(seen.f_frsize);
    let observed =
        format!("{:.1} GiB free at {}", float::from_u64(free) / f64::from(1 << 30), folder.display());
    Some(match free {
        free if free < none => Finding::not_good("disk", Verdict::Bad, observed, fix),
        free if free < little => Finding::not_good("disk", Verdict::Warning, observed, fix),
        _ => Finding::good("disk", observed),
    })
}
