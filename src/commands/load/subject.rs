//! What is loaded, and the secret that signs simulated clients.

use std::path::Path;

use anyhow::Result;

use crate::cli::load::LoadArgs;
use crate::commands::Context;
use crate::commands::target::open_scaled;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::stack::Stack;
use crate::targets::change::LOOK;
use crate::targets::subject::{ServiceAddress, Ways};

/// Fewer bytes are no secret; the service refuses them too.
const LEAST_SECRET: usize = 16;

/// What is loaded.
pub(crate) struct Subject {
    /// Scheme, host, port, and a path when only that is meant.
    pub(crate) service: ServiceAddress,
    /// What signs requests of simulated clients.
    pub(crate) probe_secret: Option<Vec<u8>>,
    /// The target's name, or `url`.
    pub(crate) target: String,
    /// The replicas that serve, when known.
    pub(crate) replicas: Option<u32>,
    /// What keeps the address working.
    pub(crate) _ways: Ways,
}

/// `--url`, or the running stack.
pub(crate) async fn subject(context: &Context, stack: &Stack, args: &LoadArgs) -> Result<Subject> {
    let Some(url) = &args.url else {
        let resolved = context.quietly().stack(&[])?;
        let running = open_scaled(context, resolved, LOOK).await?.subject().await?;
        if let Some(detour) = running.detour {
            context.out.warn(detour);
        }
        let replicas = u32::try_from(running.replicas.len()).ok();
        return Ok(Subject {
            service: running.service,
            probe_secret: Some(running.probe_secret.reveal().as_bytes().to_vec()),
            target: stack.target.as_str().into(),
            replicas: args.replicas.or(replicas),
            _ways: running.ways,
        });
    };
    let probe_secret = args.probe_secret_file.as_deref().map(read_secret).transpose()?;
    Ok(Subject {
        service: ServiceAddress::of(url.clone()),
        probe_secret,
        target: "url".into(),
        replicas: args.replicas,
        _ways: Ways::default(),
    })
}

fn read_secret(path: &Path) -> Result<Vec<u8>> {
    let invalid = |what: &str| {
        Failure::new(ExitStatus::Config, format!("the probe secret file `{}` {what}", path.display()))
    };
    let text = files::read_if_there(path)?.ok_or_else(|| invalid("does not exist"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() < LEAST_SECRET {
        return Err(invalid("must have at least 16 bytes").into());
    }
    Ok(text.as_bytes().to_vec())
}
