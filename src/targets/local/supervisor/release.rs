//! The release command of an app of the user's own: once before the first replica of a new form. Keeps nothing running.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::{OptionFuture, join};
use tokio::time::timeout;

use crate::error::ExitStatus;
use crate::stack::app::words;
use crate::stack::values::Span;
use crate::targets::local::protocol::Desired;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::output::Log;
use crate::targets::local::supervisor::replica::Form;
use crate::targets::local::supervisor::stack::Running;
use crate::targets::local::supervisor::start::{Start, end, outcome};
use crate::targets::release::{failure, running};

/// The log of the command.
const NAME: &str = "release";
/// How long what the command leaves behind may take to end.
const GRACE: Duration = Duration::from_secs(2);

impl Running {
    /// Runs the release command of `desired`, unless it ran for this very form since the stack is up.
    ///
    /// # Errors
    /// When it fails, with what it printed last; exit 9 when it does not end within `limit`.
    pub(super) async fn release(
        &mut self,
        desired: &Desired,
        form: &Form,
        limit: Duration,
        events: &Events,
    ) -> Result<()> {
        let settings = form.settings();
        let Some((app, command)) = desired.app.as_ref().and_then(|app| Some((app, app.release.as_ref()?)))
        else {
            return Ok(());
        };
        let now = (command.clone(), settings);
        if self.released.as_ref() == Some(&now) {
            return Ok(());
        }
        events.progress(running(command));
        // Its files are not those of a replica that runs.
        let (program, port) = self.app_program(0, app, desired, form)?;
        let start = Start {
            program: words(command, port),
            environment: program.environment(port),
            place: Some((app.folder.clone(), port)),
        };
        let mut child = start.command(Some(GRACE), &self.mark()).spawn()?;
        let log = Log::new(&self.layout.logs(), NAME);
        let streams = (child.stdout.take(), child.stderr.take());
        let capture = join(
            OptionFuture::from(streams.0.map(|stream| log.clone().capture(stream))),
            OptionFuture::from(streams.1.map(|stream| log.clone().capture(stream))),
        );
        let ended = timeout(limit, join(child.wait(), capture)).await;
        let (status, message) = match ended {
            Ok((Ok(status), _)) if status.success() => {
                self.released = Some(now);
                return Ok(());
            }
            Ok((Ok(status), _)) => (ExitStatus::Failed, outcome(status, true)),
            Ok((Err(error), _)) => (ExitStatus::Failed, format!("was lost: {error}")),
            Err(_) => {
                end(child, GRACE, true).await;
                (ExitStatus::TimedOut, format!("did not end within {}", Span(limit)))
            }
        };
        let failure = failure(command, status, &message, &log.last_lines());
        Err(failure.hint(format!("appforge logs {NAME}")).into())
    }
}
