//! Where the state folder is: it may be renamed with its project, but not moved out of it.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The name of the folder that this process works in, and the folder around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    name: OsString,
    around: (u64, u64),
}

impl Place {
    /// The place now.
    ///
    /// # Errors
    /// When it cannot be looked at, such as after the folder was removed.
    pub(super) fn now() -> io::Result<Self> {
        let folder = std::env::current_dir()?;
        let around = Path::new("..").metadata()?;
        let name = folder.file_name().unwrap_or_default().to_owned();
        Ok(Self { name, around: (around.dev(), around.ino()) })
    }
}
