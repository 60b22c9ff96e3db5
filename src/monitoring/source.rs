//! Where the page, `top` and `status` get their numbers: from the supervisor that keeps a history, else from the replicas themselves,
//! since this command began.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout};

use super::book::{Book, Scene, now};
use super::history::{Event, STEP};
use super::problems::{Problem, Severity};
use super::view::{Keeper, Origin, Question, View};
use crate::targets::Target;
use crate::targets::status::Replicas;
use crate::targets::subject::Subject;

/// How often the target is asked what runs.
const LOOK: Duration = Duration::from_secs(10);
/// How long that may take.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// How long two readings may take.
const FIRST: Duration = Duration::from_secs(15);

/// A stack that is observed.
pub(crate) struct Source {
    target: Target,
    own: Option<Own>,
    /// What happened that neither the supervisor nor the status shows.
    more: Mutex<Vec<Event>>,
}

/// What the process that keeps the history of a stack answers; `None` where none does.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn recorded(target: &Target, question: Question) -> Result<Option<View>> {
    let json = target.recorded(&question.query()).await?;
    json.map(|json| serde_json::from_slice(&json).context("the history has the format of another version"))
        .transpose()
}

/// A history of this command's own.
struct Own {
    book: Book,
    seen: Mutex<(Scene, Subject)>,
}

impl Source {
    /// The stack that runs on `target`.
    ///
    /// # Errors
    /// Exit 4 when it is not up.
    pub(crate) async fn open(target: Target) -> Result<Self> {
        let own = match target.recorded(&Question::default().query()).await? {
            Some(_) => None,
            None => {
                let subject = target.subject().await?;
                let status = target.status().await?;
                let scene = Scene { status, replicas: subject.replicas.clone(), trouble: None };
                Some(Own { book: Book::new(Keeper::Monitor), seen: Mutex::new((scene, subject)) })
            }
        };
        Ok(Self { target, own, more: Mutex::default() })
    }

    /// Replaces what happened that the status does not show.
    pub(crate) fn set_more(&self, events: Vec<Event>) {
        *self.more.lock().unwrap_or_else(PoisonError::into_inner) = events;
    }

    /// Observes, where no process does that already. Never returns.
    pub(crate) async fn observe(&self) {
        match &self.own {
            None => std::future::pending().await,
            Some(own) => {
                tokio::join!(own.book.observe(|| Some(own.scene())), self.look(own));
            }
        }
    }

    /// What is known now.
    ///
    /// # Errors
    /// When the supervisor does not answer.
    pub(crate) async fn view(&self, question: Question) -> Result<View> {
        let more = self.more.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(own) = &self.own {
            return Ok(own.book.view(&own.scene().status, question, &more));
        }
        match recorded(&self.target, question).await? {
            Some(mut view) => {
                let oldest = view.now.saturating_sub(view.step * view.room as u64);
                view.events.extend(more.into_iter().filter(|event| event.at >= oldest));
                Ok(view)
            }
            None => Ok(self.down(question)),
        }
    }

    /// The first view with a rate, which takes two readings; what there is when that takes too long.
    ///
    /// # Errors
    /// As [`Source::view`].
    pub(crate) async fn first_view(&self, question: Question) -> Result<View> {
        let until = Instant::now() + FIRST;
        let ready = async {
            loop {
                let view = self.view(question).await?;
                let is_measured = view.current.is_some_and(|current| current.rate.is_some());
                if is_measured || view.url.is_none() || Instant::now() > until {
                    return Ok(view);
                }
                // A reading is taken every 2 seconds, in this process or in another.
                sleep(Duration::from_millis(STEP / 8)).await;
            }
        };
        tokio::select! {
            view = ready => view,
            () = self.observe() => self.view(question).await,
        }
    }

    /// Asks the target again and again what runs. Never returns.
    async fn look(&self, own: &Own) {
        loop {
            sleep(LOOK).await;
            match timeout(LOOK_LIMIT, self.scene(own)).await {
                Ok(Ok((scene, subject))) => own.set(scene, subject),
                Ok(Err(error)) => own.trouble(&format!("{error:#}")),
                Err(_) => own.trouble("it does not answer in time"),
            }
        }
    }

    /// The addresses of the replicas are looked for only when others run, or one does not answer: on a cluster that opens tunnels.
    async fn scene(&self, own: &Own) -> Result<(Scene, Option<Subject>)> {
        let status = self.target.status().await?;
        let names = |status: &crate::targets::status::Status| -> Vec<String> {
            status
                .components
                .iter()
                .map(|component| format!("{} {}", component.name, component.state.as_str()))
                .collect()
        };
        let before = own.scene();
        let is_same = names(&before.status) == names(&status) && !own.book.is_silent();
        if status.url.is_none() {
            return Ok((Scene { status, replicas: Vec::new(), trouble: None }, None));
        }
        if is_same && !before.replicas.is_empty() {
            return Ok((Scene { status, replicas: before.replicas, trouble: None }, None));
        }
        let subject = self.target.subject().await?;
        Ok((Scene { status, replicas: subject.replicas.clone(), trouble: None }, Some(subject)))
    }

    /// The supervisor has ended.
    fn down(&self, question: Question) -> View {
        let stack = self.target.stack();
        let (step, room) = question.window.shape();
        View {
            stack: stack.name.to_string(),
            target: stack.target.as_str().to_owned(),
            url: None,
            now: now(),
            history: Origin { kept_by: Keeper::Supervisor, since: None },
            replicas: Replicas { desired: stack.replicas_on(stack.target), ready: 0 },
            problems: vec![Problem::new(Severity::Critical, "the stack is down".into(), "appforge up")],
            current: None,
            rows: Vec::new(),
            events: Vec::new(),
            window: question.window.as_str().to_owned(),
            step,
            room,
            first: 0,
            points: Vec::new(),
        }
    }
}

impl Own {
    fn scene(&self) -> Scene {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn set(&self, scene: Scene, subject: Option<Subject>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0 = scene;
        // The old one keeps tunnels open.
        if let Some(subject) = subject {
            seen.1 = subject;
        }
    }

    fn trouble(&self, why: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("the target cannot be asked: {why}");
        seen.0.trouble = Some(Problem::new(Severity::Critical, text, "appforge doctor"));
    }
}
