//! Brings the image to a registry: what it does not have, and the manifest that names it.

use anyhow::Result;
use bytes::Bytes;
use http::{Method, StatusCode};

use super::archive::{MANIFEST, digest, manifest};
use super::credentials;
use super::name::RemoteName;
use super::packed::Image;
use super::registry::{Answer, OnProgress, Payload, Registry};
use crate::error::{ExitStatus, Failure};

/// What a push led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The image by its tag.
    pub(crate) reference: String,
    /// The image by its digest, which never means another.
    pub(crate) pinned: String,
    /// Whether anything was sent.
    pub(crate) fresh: bool,
}

/// Pushes `image` as `name`; without a tag it gets the version's. `plain` leaves TLS out, as for a registry on this machine.
///
/// # Errors
/// Exit 4 when the registry cannot be reached, exit 9 when it falls silent, exit 1 when it refuses.
pub(crate) async fn push(
    image: &Image,
    name: &RemoteName,
    plain: bool,
    progress: OnProgress<'_>,
) -> Result<Pushed> {
    let credentials = credentials::find(name.login()).await?;
    let mut registry = Registry::new(name, credentials, plain || name.is_loopback())?;
    let tag = name.tag.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let manifest = manifest(&image.config, &image.layer)?;
    let digest = digest(&manifest);
    let pushed = |fresh| Pushed {
        reference: format!("{}:{tag}", name.shown()),
        pinned: format!("{}@{digest}", name.shown()),
        fresh,
    };
    let place = registry.uri(&format!("manifests/{tag}"))?;
    let there = registry.send(Method::HEAD, place.clone(), Payload::default(), progress).await?;
    let known = there.headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
    if there.status == StatusCode::OK && known == Some(&digest) {
        return Ok(pushed(false));
    }
    for blob in [&image.config, &image.layer] {
        upload(&mut registry, name, blob, progress).await?;
    }
    let payload = Payload { kind: MANIFEST, bytes: manifest.into() };
    let answer = registry.send(Method::PUT, place, payload, progress).await?;
    demand(name, &answer, answer.status.is_success())?;
    Ok(pushed(true))
}

async fn upload(
    registry: &mut Registry,
    name: &RemoteName,
    blob: &[u8],
    progress: OnProgress<'_>,
) -> Result<()> {
    let digest = digest(blob);
    let place = registry.uri(&format!("blobs/{digest}"))?;
    if registry.send(Method::HEAD, place, Payload::default(), progress).await?.status == StatusCode::OK {
        return Ok(());
    }
    let begin = registry.uri("blobs/uploads/")?;
    let answer = registry.send(Method::POST, begin, Payload::default(), progress).await?;
    demand(name, &answer, answer.status == StatusCode::ACCEPTED)?;
    let location = registry.location(&answer)?;
    let join = if location.query().is_some() { '&' } else { '?' };
    let payload = Payload { kind: "application/octet-stream", bytes: Bytes::copy_from_slice(blob) };
    let place = format!("{location}{join}digest={digest}").parse()?;
    let answer = registry.send(Method::PUT, place, payload, progress).await?;
    demand(name, &answer, answer.status == StatusCode::CREATED)
}

/// The answer that was asked for, or what the registry says instead.
fn demand(name: &RemoteName, answer: &Answer, good: bool) -> Result<()> {
    if good {
        return Ok(());
    }
    let status = answer.status.as_u16();
    let message = format!("the registry refuses `{}` (status {status}){}", name.shown(), answer.said());
    let failure = Failure::new(ExitStatus::Failed, message);
    Err(match answer.status {
        StatusCode::FORBIDDEN => failure.hint(format!("docker login {}", name.login())),
        StatusCode::NOT_FOUND => {
            failure.hint("some registries require the repository to exist: create it, then push again")
        }
        _ => failure.hint("`appforge image save` writes a file instead"),
    }
    .into())
}
