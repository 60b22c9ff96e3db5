//! Tar archives: a layer, and an image as `docker load` and OCI tools read it. Writes to memory; knows no engine.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// One entry of a layer; paths are absolute.
pub(crate) struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

enum Content {
    File(Vec<u8>),
    Folder,
    Link(String),
}

impl Entry {
    /// A file.
    pub(crate) fn file(path: &str, mode: u32, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), mode, content: Content::File(bytes) }
    }

    /// A folder; folders above an entry need no entry of their own.
    pub(crate) fn folder(path: &str, mode: u32) -> Self {
        Self { path: path.to_owned(), mode, content: Content::Folder }
    }

    /// A symbolic link.
    pub(crate) fn link(path: &str, target: &str) -> Self {
        Self { path: path.to_owned(), mode: 0o777, content: Content::Link(target.to_owned()) }
    }
}

/// A layer: the entries by path, owned by root, without dates, each folder before what is in it.
pub(crate) fn layer(mut entries: Vec<Entry>) -> io::Result<Vec<u8>> {
    let there: BTreeSet<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    let mut folders = BTreeSet::new();
    for entry in &entries {
        for folder in Path::new(&entry.path).ancestors().skip(1) {
            let folder = folder.to_string_lossy().into_owned();
            if folder != "/" && !there.contains(&folder) {
                folders.insert(folder);
            }
        }
    }
    entries.extend(folders.iter().map(|folder| Entry::folder(folder, 0o755)));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let path = entry.path.trim_start_matches('/');
        match entry.content {
            Content::File(bytes) => {
                append(&mut builder, &mut header(EntryType::Regular, entry.mode), path, &bytes)?;
            }
            Content::Folder => {
                append(&mut builder, &mut header(EntryType::Directory, entry.mode), path, &[])?;
            }
            Content::Link(target) => {
                builder.append_link(&mut header(EntryType::Symlink, entry.mode), path, target)?;
            }
        }
    }
    builder.into_inner()
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn append(builder: &mut Builder<Vec<u8>>, header: &mut Header, path: &str, bytes: &[u8]) -> io::Result<()> {
    header.set_size(bytes.len() as u64);
    builder.append_data(header, path, bytes)
}

/// An image archive: an OCI image layout that also has the `manifest.json` of `docker save`, so that every engine reads it.
pub(crate) struct Archive {
    builder: Builder<Vec<u8>>,
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { builder: Builder::new(Vec::new()) }
    }

    /// Adds the one image that it holds.
    pub(crate) fn add_image(&mut self, config: &[u8], layer: &[u8], references: &[&str]) -> io::Result<()> {
        let manifest = manifest(config, layer)?;
        let manifests: Vec<_> = references
            .iter()
            .map(|reference| {
                let mut entry = descriptor(MANIFEST, &manifest);
                entry["annotations"] = json!({
                    "io.containerd.image.name": format!("docker.io/library/{reference}"),
                    "org.opencontainers.image.ref.name": reference.split(':').next_back(),
                });
                entry
            })
            .collect();
        let index = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        }))?;
        let docker = serde_json::to_vec(&json!([{
            "Config": blob(config),
            "RepoTags": references,
            "Layers": [blob(layer)],
        }]))?;
        self.put(&blob(config), config)?;
        self.put(&blob(&manifest), &manifest)?;
        self.put(&blob(layer), layer)?;
        self.put("index.json", &index)?;
        self.put("manifest.json", &docker)?;
        self.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// The bytes of the archive.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        append(&mut self.builder, &mut header(EntryType::Regular, 0o644), path, bytes)
    }
}

/// The type of [`manifest`].
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The manifest of the OCI image specification: names configuration and layer by their digests.
pub(crate) fn manifest(config: &[u8], layer: &[u8]) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }))
}

/// `sha256:` and the digits, as OCI writes a digest.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/{}", digest(bytes).replace(':', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_is_sorted_owned_by_root_and_without_dates() {
        let bytes = layer(vec![
            Entry::file("/lib/x/b", 0o644, b"b".to_vec()),
            Entry::link("/lib/x/a", "b"),
            Entry::folder("/tmp", 0o1777),
        ])
        .unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let seen: Vec<(String, u32, u64, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let want =
            [("lib", 0o755), ("lib/x", 0o755), ("lib/x/a", 0o777), ("lib/x/b", 0o644), ("tmp", 0o1777)];
        let got: Vec<(&str, u32)> =
            seen.iter().map(|(path, mode, ..)| (path.trim_end_matches('/'), *mode)).collect();
        assert_eq!(got, want);
        assert!(seen.iter().all(|(_, _, uid, mtime)| (*uid, *mtime) == (0, 0)));
    }
}
