//! The control socket: HTTP with JSON for the command line of the same user. Changes stream what they do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::error::Report;
use crate::targets::local::protocol::{Answer, Apply, Desired, Event, build};
use crate::targets::local::supervisor::components::Components;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::stack::Running;
use crate::targets::ownership::Owner;
use crate::targets::plan::Plan;
use crate::targets::recorder::Recorder;
use crate::targets::status::Status;

/// How long a store may take to be ready again after the drill.
const DRILL_LIMIT: Duration = Duration::from_secs(60);

/// What the routes work on.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    /// The stack; whoever holds it changes it.
    pub(crate) running: Arc<Mutex<Running>>,
    /// What is shown at any time.
    pub(crate) components: Components,
    /// Whose stack it is, by the last change.
    pub(crate) owner: watch::Sender<Option<Owner>>,
    /// Keeps the history of the stack.
    pub(crate) recorder: Arc<dyn Recorder>,
    /// Cancelled when the supervisor should end, by whoever holds the stack: nothing changes it after that.
    pub(crate) finished: CancellationToken,
}

/// The routes of the control socket.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/look", get(look))
        .route("/history", get(history))
        .route("/plan", post(plan))
        .route("/apply", post(apply))
        .route("/restart", post(restart))
        .route("/down", post(down))
        .route("/redis/stop", post(|state| switch_redis(state, false)))
        .route("/redis/start", post(|state| switch_redis(state, true)))
        .with_state(control)
}

async fn status(State(control): State<Control>) -> Json<Answer> {
    let owner = control.owner.borrow().clone();
    Json(Answer { build: build(), pid: std::process::id(), owner, status: control.components.status() })
}

async fn look(State(control): State<Control>) -> Json<Status> {
    Json(control.components.asked().await)
}

async fn history(State(control): State<Control>, RawQuery(query): RawQuery) -> Response {
    match control.recorder.answer(query.as_deref().unwrap_or_default(), &control.components.status()) {
        Some(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn plan(State(control): State<Control>, Json(desired): Json<Desired>) -> Json<Plan> {
    Json(control.running.lock().await.plan(&desired))
}

/// 410 from a supervisor that began to end while this waited: what it started now it would stop again.
async fn apply(State(control): State<Control>, Json(apply): Json<Apply>) -> Response {
    let mut running = control.running.clone().lock_owned().await;
    if control.finished.is_cancelled() {
        return StatusCode::GONE.into_response();
    }
    control.owner.send_replace(apply.owner);
    change(control, move |control: Control, events: Events| async move {
        let outcome = running
            .apply(apply.desired, apply.surroundings, Duration::from_millis(apply.timeout_ms), &events)
            .await;
        if running.is_down() {
            control.finished.cancel();
        }
        outcome
    })
}

async fn restart(State(control): State<Control>, Json(timeout_ms): Json<u64>) -> Response {
    change(control, async move |control: Control, events: Events| {
        control.running.lock().await.restart(Duration::from_millis(timeout_ms), &events).await
    })
}

async fn down(State(control): State<Control>) -> Response {
    change(control, async |control: Control, events: Events| {
        let mut running = control.running.lock().await;
        let plan = running.tear_down(&events).await;
        control.finished.cancel();
        Ok(plan)
    })
}

async fn switch_redis(State(control): State<Control>, on: bool) -> Response {
    change(control, async move |control: Control, _: Events| {
        control.running.lock().await.switch_redis(on, DRILL_LIMIT).await.map(|()| Plan::default())
    })
}

/// Runs a change in a task of its own, so that it comes to its end whoever listens, and streams its events.
fn change<W, F>(control: Control, work: W) -> Response
where
    W: FnOnce(Control, Events) -> F,
    F: Future<Output = Result<Plan>> + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let events = Events::to(sender);
    let components = control.components.clone();
    let work = work(control, events.clone());
    tokio::spawn(async move {
        let outcome = work.await;
        events.send(match outcome {
            Ok(plan) => Event::Done { plan, status: components.asked().await },
            Err(error) => Event::Failed { report: Report::from(&error) },
        });
    });
    let lines = stream::unfold(receiver, async |mut receiver| {
        let event = receiver.recv().await?;
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), receiver))
    });
    Response::new(Body::from_stream(lines))
}
