//! The image itself: its configuration and its one layer, with names by content.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::error::{ExitStatus, Failure};
use crate::targets::image::archive::{Archive, Entry, digest};
use crate::targets::image::{archive, program};

/// The repository of the images that we make.
pub(crate) const REPOSITORY: &str = "appforge-service";

/// Whether `reference` is one that [`pack`] gives, such as `appforge-service:0123456789ab`.
pub(crate) fn is_packed_name(reference: &str) -> bool {
    let digits = reference.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix(':'));
    digits.is_some_and(|digits| digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The user of the container; no system hands this number out.
const USER: u32 = 65_532;

/// An image: its configuration and its one layer.
pub(crate) struct Image {
    /// The digest of its configuration, `sha256:…`: what the engine knows it by.
    pub(crate) id: String,
    /// By content: `appforge-service:<12 digits of the id>`.
    pub(crate) reference: String,
    /// By version, which the documents name: `appforge-service:<version>`.
    pub(crate) version_reference: String,
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
}

impl Image {
    /// The file that `docker load` and OCI tools read.
    pub(crate) fn archive(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::new();
        archive.add_image(&self.config, &self.layer, &[&self.reference, &self.version_reference])?;
        archive.finish().context("cannot pack the image")
    }
}

/// Packs the running executable with the shared libraries that it has loaded.
///
/// # Errors
/// When this is no Linux, or a file of the program cannot be read.
pub(crate) fn pack() -> Result<Image> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::new(ExitStatus::Failed, "the bundled service can be packed on Linux only")
            .hint("build it with the rendered Dockerfile, then set `service.image`")
            .into());
    }
    let mut entries = program::entries()?;
    entries.push(Entry::file(
        "/etc/passwd",
        0o644,
        format!("appforge:x:{USER}:{USER}::/:/none\n").into_bytes(),
    ));
    entries.push(Entry::file("/etc/group", 0o644, format!("appforge:x:{USER}:\n").into_bytes()));
    entries.push(Entry::folder("/tmp", 0o1777));
    if let Some(bytes) = authorities() {
        entries.push(Entry::file("/etc/ssl/certs/ca-certificates.crt", 0o644, bytes));
    }
    assemble(entries)
}

/// The layer, and the configuration that names it.
fn assemble(entries: Vec<Entry>) -> Result<Image> {
    let layer = archive::layer(entries).context("cannot pack the image")?;
    let config = serde_json::to_vec(&configuration(&digest(&layer)))?;
    let id = digest(&config);
    let short = id.get(7..19).unwrap_or_default();
    let reference = format!("{REPOSITORY}:{short}");
    let version_reference = format!("{REPOSITORY}:{}", env!("CARGO_PKG_VERSION"));
    Ok(Image { id, reference, version_reference, config, layer })
}

/// The image configuration of the OCI image specification.
fn configuration(layer: &str) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        // A date of its own would make two packings of one program two images.
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": [
                "PATH=/",
                format!("LD_LIBRARY_PATH={}", program::LIBRARIES),
                "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            ],
            "Entrypoint": ["/appforge"],
            "Cmd": ["serve"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "appforge bundled service",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "appforge image build"}],
    })
}

/// This machine's architecture as images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The certificate authorities of this machine, for stores that are reached over TLS.
fn authorities() -> Option<Vec<u8>> {
    // Debian, Fedora, Alpine and SUSE, in this order.
    let places = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    places.iter().map(PathBuf::from).find_map(|path| std::fs::read(path).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_differs_only_when_the_program_differs() {
        let entries = |text: &str| vec![Entry::file("/appforge", 0o755, text.into())];
        let one = assemble(entries("a")).unwrap();
        let same = assemble(entries("a")).unwrap();
        assert_eq!((&one.id, one.archive().unwrap()), (&same.id, same.archive().unwrap()));
        assert_ne!(one.id, assemble(entries("b")).unwrap().id);
        assert!(one.reference.starts_with("appforge-service:"));
    }
}
