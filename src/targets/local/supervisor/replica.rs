//! One replica: the bundled service, or an app of the user's own behind its front. Both are one to the rest of the supervisor.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure, status_of};
use crate::stack::ComponentKind;
use crate::stack::values::Span;
use crate::targets::admin;
use crate::targets::local::protocol::{App, Setting, Surroundings};
use crate::targets::local::supervisor::app;
use crate::targets::local::supervisor::components::Entry;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::managed::ManagedProcess;
use crate::targets::local::supervisor::pairs::Link;

/// What makes two replicas equal.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// The environment of the service, or of the front.
    pub(super) environment: BTreeMap<String, Setting>,
    /// The app behind it.
    pub(super) app: Option<App>,
    /// Distinguishes the MongoDB of the app, of which a front gets nothing.
    pub(super) mongodb: Option<Setting>,
    /// What the app sees besides; not compared.
    pub(super) surroundings: Arc<Surroundings>,
}

impl Form {
    /// Whether the app always listens on the same port.
    pub(super) fn has_own_port(&self) -> bool {
        self.app.as_ref().is_some_and(|app| app.port.is_some())
    }

    /// The values by which forms differ.
    pub(super) fn settings(&self) -> BTreeMap<String, Setting> {
        let mut app = self.app.as_ref().map(app::settings).unwrap_or_default();
        app.extend(self.mongodb.clone().map(|setting| ("DATABASE_FINGERPRINT".to_owned(), setting)));
        // No variable has a space in its name.
        let app = app.into_iter().map(|(name, setting)| (format!("app {name}"), setting));
        self.environment.clone().into_iter().chain(app).collect()
    }
}

#[derive(Debug)]
pub(super) struct Replica {
    /// The bundled service, or the front.
    pub(super) process: ManagedProcess,
    pub(super) app: Option<(ManagedProcess, Link)>,
    pub(super) admin: SocketAddr,
    pub(super) form: Form,
    /// Where the state folder was when it started.
    pub(super) folder: PathBuf,
}

impl Replica {
    /// Waits until it takes requests.
    ///
    /// # Errors
    /// When a process of it ends again and again, or `limit` passes (exit 9).
    pub(super) async fn ready(&self, limit: Duration, events: &Events) -> Result<()> {
        let until = Instant::now() + limit;
        // Without its app a front is not ready, so why the app is not says more.
        if let Some((app, _)) = &self.app {
            let ready = app.ready(limit);
            tokio::pin!(ready);
            tokio::select! {
                outcome = &mut ready => outcome?,
                port = app.misplaced() => {
                    let name = &app.recipe().name;
                    events.progress(format!("{name} listens on port {port} so far, and not on the one in PORT"));
                    ready.await?;
                }
            }
        }
        let rest = until.saturating_duration_since(Instant::now());
        match self.process.ready(rest).await {
            Err(error) if self.app.is_some() && status_of(&error) == ExitStatus::TimedOut => {
                Err(self.explained(error, limit).await)
            }
            outcome => outcome,
        }
    }

    /// Why a front is not ready, as far as it can say it.
    async fn explained(&self, error: anyhow::Error, limit: Duration) -> anyhow::Error {
        let admin = admin::connect(format!("http://{}", self.admin));
        let upstream = admin::statusz(admin).await.ok().and_then(|statusz| statusz.upstream);
        let Some(upstream) = upstream.filter(|upstream| !upstream.ready) else { return error };
        let name = &self.process.recipe().name;
        let message = format!("`{name}` is not ready after {}", Span(limit));
        let cause = match (upstream.last_status, upstream.error) {
            (Some(status), _) => format!("`service.health` of the app answers {status}"),
            (None, Some(error)) => format!("the app does not answer: {error}"),
            (None, None) => return error,
        };
        Failure::new(ExitStatus::TimedOut, message)
            .caused_by(anyhow::anyhow!(cause))
            .hint(format!("appforge logs {name}/app"))
            .into()
    }

    /// Ends it in order: what clients reach first, then the app.
    pub(super) async fn stop(self) {
        self.process.stop().await;
        if let Some((app, link)) = self.app {
            drop(link);
            app.stop().await;
        }
    }

    /// What `status` shows of it.
    pub(super) fn entry(&self) -> Entry {
        let app = self.app.as_ref().map(|(app, _)| app.view());
        let program = match &self.form.app {
            Some(app) => app.command.texts().join(" "),
            None => "bundled".to_owned(),
        };
        Entry {
            kind: ComponentKind::Service,
            endpoint: Some(format!("http://{}", self.admin)),
            program,
            view: Some(self.process.view()),
            app,
            probe: self.process.recipe().probe().cloned(),
            data: None,
        }
    }
}
