//! Where appforge keeps what belongs to a project and to no repository: `.appforge` beside the stack file.
//!
//! It holds secrets and says which processes are ours, so it must be the caller's own. On a file system that keeps no
//! modes (FAT, NTFS, some shares) it lies in the user's state folder instead, `$XDG_STATE_HOME/appforge/NAME-DIGEST`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure, quoted};
use crate::{files, trust};

/// The state folder of the project in `folder`, without a link on the way to it. It may not be there yet; one that is
/// there is the caller's own.
///
/// # Errors
/// When another user owns it, can write in it, or can replace it; when it is a link.
pub fn locate(folder: &Path) -> Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot find the project folder `{}`", folder.display()))?;
    trust::check_folder(&folder)?;
    place(&folder, elsewhere(&folder), files::keeps_modes(&folder))
}

fn place(folder: &Path, elsewhere: Option<PathBuf>, keeps_modes: bool) -> Result<PathBuf> {
    let path = folder.join(files::STATE_FOLDER);
    let Some(other) = elsewhere.filter(|_| !keeps_modes) else {
        return match files::open_private_folder(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(files::failure(&path, error, "cannot open"))
            }
            _ => Ok(path),
        };
    };
    // An older version kept it there.
    if path.symlink_metadata().is_ok() {
        let message = format!("the file system does not keep other users out of `{}`", path.display());
        let above = other.parent().unwrap_or(&other);
        let hint = format!("mkdir -p -m 700 {} && mv {} {}", quoted(above), quoted(&path), quoted(&other));
        return Err(Failure::new(ExitStatus::Failed, message).hint(hint).into());
    }
    Ok(other)
}

/// The state folder below the user's own, for the project in `folder`.
fn elsewhere(folder: &Path) -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let states = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let digest = hex::encode(&digest[..8]);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(canonical(&states).join("appforge").join(format!("{name}-{digest}")))
}

/// The path without links, as far as it is there.
fn canonical(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    there.map_or_else(
        || path.to_owned(),
        |(above, real)| real.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn state_is_beside_the_stack_file_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let path = real.join(files::STATE_FOLDER);
        assert_eq!(locate(folder.path()).unwrap(), path);
        std::fs::create_dir(&path).unwrap();
        assert_eq!(locate(folder.path()).unwrap(), path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let error = locate(folder.path()).unwrap_err();
        assert!(error.to_string().contains("other users can write to"), "{error:#}");
        std::fs::remove_dir(&path).unwrap();
        symlink("/tmp", &path).unwrap();
        assert!(locate(folder.path()).unwrap_err().to_string().contains("is a symbolic link"));
    }

    #[test]
    fn state_moves_when_the_file_system_keeps_no_modes() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let other = elsewhere(&real).unwrap();
        assert_ne!(other, elsewhere(&real.join("x")).unwrap(), "each project has its own");
        assert_eq!(place(&real, Some(other.clone()), false).unwrap(), other);
        std::fs::create_dir(real.join(files::STATE_FOLDER)).unwrap();
        let error = place(&real, Some(other.clone()), false).unwrap_err();
        let hint = crate::error::hints(&error).next().unwrap().clone();
        assert!(
            hint.ends_with(&format!("mv {} {}", real.join(files::STATE_FOLDER).display(), other.display())),
            "{hint}"
        );
    }
}
