//! `image build|save|push`: the service image, made from this very executable.

use anyhow::Result;
use serde_json::json;

use crate::cli::image::ImageVerb;
use crate::commands::Context;
use crate::error::ExitStatus;
use crate::files;
use crate::float;
use crate::targets::compose;
use crate::targets::image;
use crate::targets::interrupt::interruptible;
use crate::targets::progress::Progress;

/// Runs `image`.
pub(crate) async fn run(context: &Context, verb: &ImageVerb) -> Result<ExitStatus> {
    match verb {
        ImageVerb::Build => {
            let loaded = compose::load().await?;
            let answer = json!({"id": loaded.id, "reference": loaded.reference, "loaded": loaded.fresh});
            context.out.data(&answer, || loaded.reference.clone() + "\n")?;
            if !loaded.fresh {
                context.out.say("the engine already has this image");
            }
        }
        ImageVerb::Save { out } => {
            let packed = image::pack()?;
            files::write(out, &packed.archive()?)?;
            let answer = json!({"id": packed.id, "reference": packed.reference, "file": out});
            context.out.data(&answer, || format!("{}\n", out.display()))?;
            context.out.say(format!(
                "on the other host: docker load -i {} (loads `{}`)",
                out.display(),
                packed.version_reference
            ));
        }
        ImageVerb::Push { name, plain_http } => {
            let packed = image::pack()?;
            let progress = Progress::new(context.out);
            progress.show(&format!("pushing {}", name.shown()));
            let uploaded = |done: u64, total: u64| {
                let mib = |bytes: u64| float::from_u64(bytes) / f64::from(1 << 20);
                progress.step(&format!(
                    "pushing {}: {:.1} of {:.1} MiB",
                    name.shown(),
                    mib(done),
                    mib(total)
                ));
            };
            let work = image::push(&packed, name, *plain_http, &uploaded);
            let pushed =
                interruptible(work, "run the command again; finished uploads are not repeated").await?;
            drop(progress);
            let answer = json!({
                "id": packed.id, "reference": pushed.reference, "pinned": pushed.pinned, "pushed": pushed.fresh
            });
            context.out.data(&answer, || pushed.pinned.clone() + "\n")?;
            if !pushed.fresh {
                context.out.say("the registry already has this image");
            }
            context.out.say(format!(
                "on another host: docker pull {0} && docker tag {0} {1}",
                pushed.pinned, packed.version_reference
            ));
        }
    }
    Ok(ExitStatus::Done)
}
