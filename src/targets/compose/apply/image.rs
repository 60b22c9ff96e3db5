//! Sees to it that the engine has the service image: packs only what it does not have.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::targets::compose::observe::Engine;
use crate::targets::image::{Fingerprint, REPOSITORY, architecture, fingerprint, is_packed_name, pack};

/// The image in the engine.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Its id.
    pub(crate) id: String,
    /// Its name by content.
    pub(crate) reference: String,
    /// Whether it was loaded just now.
    pub(crate) fresh: bool,
}

/// What the last packing gave, so that the next `up` need not read the executable.
#[derive(Serialize, Deserialize)]
struct Memory {
    program: Fingerprint,
    id: String,
    reference: String,
}

/// Loads the image of the running executable unless the engine has it, and points the version's name at it. `memory` is
/// where the last answer is kept.
///
/// # Errors
/// When the engine runs another architecture, refuses the image, or the program cannot be packed.
pub(crate) async fn ensure(engine: &Engine, memory: Option<&Path>) -> Result<Loaded> {
    if !engine.architecture.is_empty() && engine.architecture != architecture() {
        return Err(Failure::new(
            ExitStatus::Failed,
            format!(
                "the Docker engine runs {} containers, this program is {}",
                engine.architecture,
                architecture()
            ),
        )
        .hint("run appforge on a machine like the engine's, or set `service.image`")
        .into());
    }
    let program = fingerprint()?;
    if let Some(known) = memory.and_then(|path| recall(path, &program))
        && engine.image_id(&known.reference).await?.is_some()
    {
        return name(engine, known.id, known.reference, false).await;
    }
    let packed = pack()?;
    if let Some(path) = memory {
        let text = serde_json::to_string(&Memory {
            program,
            id: packed.id.clone(),
            reference: packed.reference.clone(),
        })?;
        files::write_private(path, text.as_bytes(), 0o600)?;
    }
    let (id, reference) = (packed.id.clone(), packed.reference.clone());
    let fresh = engine.image_id(&id).await?.is_none();
    if fresh {
        engine.load(packed).await?;
    }
    name(engine, id, reference, fresh).await
}

/// Loads the image of the running executable into the engine that the `docker` command would use.
///
/// # Errors
/// As [`ensure`]; exit 4 when there is no engine.
pub(crate) async fn load() -> Result<Loaded> {
    ensure(&Engine::connect().await?, None).await
}

/// The id of the running executable's image in the engine; `None` when it is not loaded yet. Changes nothing.
pub(crate) async fn current(engine: &Engine, memory: &Path) -> Result<Option<String>> {
    let reference = match recall(memory, &fingerprint()?) {
        Some(known) => known.reference,
        None => pack()?.reference,
    };
    engine.image_id(&reference).await
}

async fn name(engine: &Engine, id: String, reference: String, fresh: bool) -> Result<Loaded> {
    // An engine that keeps images in containerd knows them by the digest of the manifest.
    let id = match engine.image_id(&id).await? {
        Some(id) => id,
        None => engine.image_id(&reference).await?.unwrap_or(id),
    };
    for tag in [reference.rsplit(':').next().unwrap_or_default(), env!("CARGO_PKG_VERSION")] {
        engine.tag(&id, REPOSITORY, tag).await?;
    }
    Ok(Loaded { id, reference, fresh })
}

/// A memory that cannot be read is none.
fn recall(path: &Path, program: &Fingerprint) -> Option<Memory> {
    let memory: Memory = serde_json::from_str(&files::read_private(path).ok()??).ok()?;
    (memory.program == *program && is_packed_name(&memory.reference)).then_some(memory)
}
