//! Why a private path is not used, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::error::quoted;
use crate::owner;

/// The name of the folder that holds the private paths of a project.
pub(crate) const STATE_FOLDER: &str = ".appforge";

/// Why a private path is not used.
#[derive(Debug)]
pub(super) enum Refused {
    Link(PathBuf),
    Owner(PathBuf, u32),
    Writable(PathBuf, u32),
    Shared(PathBuf),
    Kind(PathBuf),
    NotFolder(PathBuf),
    NoModes(PathBuf),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(path) => write!(
                f,
                "`{}` is a symbolic link; appforge follows no links in its state folder",
                path.display()
            ),
            Self::Owner(path, uid) => write!(f, "`{}` belongs to {}", path.display(), owner::shown(*uid)),
            Self::Writable(path, mode) => {
                write!(f, "other users can write to `{}` (mode {:o})", path.display(), mode & 0o7777)
            }
            Self::Shared(path) => write!(f, "`{}` has more than one hard link", path.display()),
            Self::Kind(path) => write!(f, "`{}` is not a regular file", path.display()),
            Self::NotFolder(path) => write!(f, "`{}` is not a folder", path.display()),
            Self::NoModes(path) => {
                write!(f, "the file system cannot keep other users out of `{}`", path.display())
            }
        }
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// What the user can do.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Link(path) => format!("rm {}", quoted(path)),
            // What a killed `sudo appforge` left behind is more than this one file.
            Self::Owner(path, 0) => {
                let whole = path.ancestors().find(|above| above.ends_with(STATE_FOLDER));
                format!("sudo chown -R \"$(id -u):$(id -g)\" {}", quoted(whole.unwrap_or(path)))
            }
            Self::Owner(path, _) | Self::Shared(path) | Self::Kind(path) | Self::NotFolder(path) => {
                format!("inspect it, then move it away: mv {0} {0}.foreign", quoted(path))
            }
            Self::Writable(path, _) => format!("inspect its files, then: chmod 700 {}", quoted(path)),
            Self::NoModes(path) => {
                format!("move it away; appforge then uses another folder: mv {0} {0}.old", quoted(path))
            }
        }
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, refused)
    }
}
