//! Reads the file of variables that `service.env_file` names, for every target. Shows none of its values.

use std::path::Path;

use anyhow::Result;

use crate::error::{ExitStatus, Failure};
use crate::stack::env_file;
use crate::trust;

/// The variables of the file `name` in the project's `folder`, in its order.
///
/// # Errors
/// Exit 3 when the file is missing or malformed, or another user may change it.
pub(crate) fn read(name: &str, folder: &Path) -> Result<Vec<(String, String)>> {
    let refused = |message: String| Failure::new(ExitStatus::Config, message);
    let text = trust::read(&folder.join(name))?
        .ok_or_else(|| refused(format!("service.env_file: no file `{name}` in `{}`", folder.display())))?;
    env_file::parse(&text).map_err(|(line, message)| refused(format!("{name}:{line}: {message}")).into())
}
