//! `image build|save`: the service image, made from this very executable.

use anyhow::Result;
use serde_json::json;

use crate::cli::image::ImageVerb;
use crate::commands::Context;
use crate::error::ExitStatus;
use crate::files;
use crate::output::Format;
use crate::target::compose::engine::Engine;
use crate::target::compose::image;

/// Runs `image`.
pub async fn run(context: &Context, verb: &ImageVerb) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json])?;
    match verb {
        ImageVerb::Build => {
            let engine = Engine::connect().await?;
            let loaded = image::ensure(&engine, None).await?;
            let answer = json!({"id": loaded.id, "reference": loaded.reference, "loaded": loaded.fresh});
            context.out.data(&answer, || loaded.reference.clone() + "\n")?;
            if !loaded.fresh {
                context.out.say("the engine has it already");
            }
        }
        ImageVerb::Save { out } => {
            let packed = image::pack()?;
            files::write_atomically(out, &packed.archive, 0o644)?;
            let answer = json!({"id": packed.id, "reference": packed.reference, "file": out});
            context.out.data(&answer, || format!("{}\n", out.display()))?;
            context.out.say(format!(
                "on the other host: docker load -i {}; it is `{}` there",
                out.display(),
                packed.version_reference
            ));
        }
    }
    Ok(ExitStatus::Done)
}
