//! The files of networks that `rate_limit.trusted_proxies` names, read before anything uses the stack: replicas and documents
//! get the networks themselves.

use std::path::Path;

use anyhow::Result;
use appforge_service::identity;

use crate::error::{ExitStatus, Failure};
use crate::stack::Stack;
use crate::trust;

/// What begins an entry that names a file.
const FILE: &str = "file:";
const PATH: &str = "rate_limit.trusted_proxies";

/// Puts the networks of each `file:PATH` in the place of the entry; paths are seen from `folder`, that of the stack file.
///
/// # Errors
/// Exit 3 when a file is missing, when another user can write it, or for the line that is not a network.
pub(super) fn read_files(stack: &mut Stack, folder: &Path) -> Result<()> {
    let mut networks = Vec::new();
    for entry in &stack.rate_limit.trusted_proxies {
        let Some(path) = entry.strip_prefix(FILE) else {
            networks.push(entry.clone());
            continue;
        };
        let refused = |message: String| Failure::new(ExitStatus::Config, format!("{PATH}: {message}"));
        let text = trust::read(&folder.join(path))?
            .ok_or_else(|| refused(format!("no file `{path}` in `{}`", folder.display())))?;
        let read = identity::networks(entry, &|_| Ok(text.clone())).map_err(refused)?;
        networks.extend(read.iter().map(ToString::to_string));
    }
    stack.rate_limit.trusted_proxies = networks;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_networks_takes_the_place_of_its_entry() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cdn"), "# edge\n192.0.2.0/24\n\n2001:db8::/32 # six\n").unwrap();
        let mut stack = Stack::default();
        stack.rate_limit.trusted_proxies =
            ["10.0.0.0/8", "file:cdn", "cloudflare"].map(str::to_owned).to_vec();
        read_files(&mut stack, folder.path()).unwrap();
        let expected = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "cloudflare"];
        assert_eq!(stack.rate_limit.trusted_proxies, expected);
    }

    #[test]
    fn malformed_or_missing_file_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cdn"), "192.0.2.0/24\nsecret\n").unwrap();
        let refusal = |entry: &str| {
            let mut stack = Stack::default();
            stack.rate_limit.trusted_proxies = vec![entry.to_owned()];
            let error = read_files(&mut stack, folder.path()).unwrap_err();
            assert_eq!(crate::error::status_of(&error), ExitStatus::Config);
            error.to_string()
        };
        assert_eq!(
            refusal("file:cdn"),
            "rate_limit.trusted_proxies: `cdn:2` is not a network such as `10.0.0.0/8`"
        );
        assert!(refusal("file:gone").starts_with("rate_limit.trusted_proxies: no file `gone` in `/"));
    }
}
