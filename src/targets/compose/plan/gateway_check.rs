//! Checks a configuration with the gateway's own program before it replaces one that works.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::error::{ExitStatus, Failure};
use crate::render::Document;
use crate::render::context::compose::{TLS_CERT, TLS_KEY};
use crate::stack::ComponentKind;
use crate::targets::compose::apply::variables::Unrendered;
use crate::targets::compose::observe::{Container, State};
use crate::targets::compose::plan::changes::Wanted;
use crate::targets::compose::plan::trial::{GATEWAY_CHECK, Outcome, Trial};
use crate::targets::compose::session::Session;

/// The program of the gateway, as `docker-compose.yml` starts it.
const PROGRAM: &str = "haproxy";
/// Where it reads its configuration, as `docker-compose.yml` mounts it.
const FILE: &str = "usr/local/etc/haproxy/haproxy.cfg";
/// The files that its configuration names, and where it reads them.
const SECRETS: [(&str, &str); 2] = [(TLS_CERT, "run/secrets/tls.pem"), (TLS_KEY, "run/secrets/tls.pem.key")];
/// Its user and group.
const USER: u64 = 99;
/// How long the check may take.
const CHECK: Duration = Duration::from_secs(30);
/// How many of its lines an error shows at most.
const LINES: usize = 8;

impl Session<'_> {
    /// Refuses a configuration that the gateway would not start with. Runs only when `up` will create or replace the gateway.
    ///
    /// # Errors
    /// Exit 3 with the lines of HAProxy when it refuses; exit 1 when the image has no HAProxy.
    pub(crate) async fn check_gateway(
        &self,
        wanted: &Wanted,
        containers: &[Container],
        (documents, unrendered): (&[Document], &Unrendered),
    ) -> Result<()> {
        let old = containers.iter().find(|container| container.is(ComponentKind::Gateway));
        let (Some(image), Some(text)) = (wanted.image(ComponentKind::Gateway), configuration(documents))
        else {
            return Ok(());
        };
        if old.is_some_and(|old| wanted.is_current(old)) {
            return Ok(());
        }
        let trial = Trial {
            of: (self.compose, GATEWAY_CHECK),
            image,
            entrypoint: None,
            arguments: [PROGRAM, "-c", "-f", &format!("/{FILE}")].map(str::to_owned).to_vec(),
            environment: Vec::new(),
            user: USER,
            network: "none",
            files: archive(text, unrendered)?,
            limit: CHECK,
        };
        let refusal = match trial.run(&self.engine).await.context("cannot check haproxy.cfg")? {
            Outcome::Ended(Some(0), _) => None,
            Outcome::Ended(_, said) => Some(said),
            Outcome::Late => bail!("`{PROGRAM} -c` did not end within 30s"),
            Outcome::NotStarted(error) => {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    format!("the image `{image}` cannot run `{PROGRAM}`"),
                )
                .hint("`compose.gateway_image` takes an image of HAProxy 2.6 or later; nothing was changed")
                .caused_by(error)
                .into());
            }
        };
        let Some(said) = refusal else { return Ok(()) };
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES);
        let runs = old.is_some_and(|old| old.state == State::Healthy);
        let stays = if runs { "; the running gateway keeps its current one" } else { "" };
        let lines: String = lines.map(|line| format!("\n  | {line}")).collect();
        let message = format!("the gateway refuses the new haproxy.cfg{stays}{lines}");
        Err(Failure::new(ExitStatus::Config, message)
            .hint("appforge render --target compose --out DIR writes the file; nothing was changed")
            .into())
    }
}

/// The configuration, when the gateway of the documents is HAProxy. A template of the user may start something else.
fn configuration(documents: &[Document]) -> Option<&str> {
    let compose = Document::find(documents, "docker-compose.yml")?.value.as_ref()?;
    let configuration = Document::find(documents, "haproxy.cfg")?;
    let command = compose.pointer("/services/gateway/command/0")?;
    (command == PROGRAM).then_some(&configuration.text)
}

/// The configuration and what it names, as the engine takes files: at their places below the root.
fn archive(text: &str, unrendered: &Unrendered) -> Result<tar::Builder<Vec<u8>>> {
    let mut archive = tar::Builder::new(Vec::new());
    let file = |name: &str| unrendered.files.iter().find(|(known, _)| *known == name).map(|(_, file)| file);
    for (name, path) in SECRETS {
        if let Some(secret) = file(name) {
            append(&mut archive, path, secret.reveal(), 0o400)?;
        }
    }
    append(&mut archive, FILE, text, 0o644)?;
    Ok(archive)
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, text: &str, mode: u32) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(text.len())?);
    header.set_mode(mode);
    header.set_uid(USER);
    header.set_gid(USER);
    Ok(archive.append_data(&mut header, path, text.as_bytes())?)
}
