//! How one folder is seen from another. Pure: follows no link.

use std::path::{Component, Path, PathBuf};

/// Without `.` and `..`; the disk is not asked, so that the same input gives the same documents everywhere.
pub(crate) fn clean(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut clean, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
        clean
    })
}

/// `to` as seen from the folder `from`; both absolute.
pub(crate) fn relative(from: &Path, to: &Path) -> String {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut path: PathBuf = from.components().skip(shared).map(|_| Component::ParentDir).collect();
    path.extend(to.components().skip(shared));
    let path = path.display().to_string();
    // Compose takes a path for one only when it starts like one.
    if path.starts_with("..") { path } else { format!("./{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_are_found_from_any_folder() {
        let from = |folder: &str| relative(&clean(Path::new(folder)), Path::new("/p/.appforge/secrets"));
        assert_eq!(from("/p/deploy"), "../.appforge/secrets");
        assert_eq!(from("/p/a/../deploy/./x"), "../../.appforge/secrets");
        assert_eq!(from("/p/.appforge/compose"), "../secrets");
        assert_eq!(from("/p"), "./.appforge/secrets");
        assert_eq!(from("/tmp/out"), "../../p/.appforge/secrets");
    }
}
