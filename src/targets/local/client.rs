//! The command line's end of the control socket.

use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::targets::admin;
use crate::targets::local::layout::Layout;
use crate::targets::local::protocol::{Answer, Apply, Desired, Event, Surroundings};
use crate::targets::ownership::Owner;
use crate::targets::plan::Plan;
use crate::targets::status::Status;

/// How long the supervisor may take to answer a question.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a supervisor that hangs up may take to end.
const LEAVING: Duration = Duration::from_secs(3);
/// The pause between two attempts.
const LOOK: Duration = Duration::from_millis(20);
/// The longest silence in the midst of a change: a store's grace, then a component's start, each with room to spare.
const SILENCE: Duration = Duration::from_secs(60);

/// A supervisor that answers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    layout: Layout,
}

impl Client {
    /// The supervisor of this layout, when there is one.
    pub(crate) async fn find(layout: &Layout) -> Result<Option<(Self, Answer)>> {
        let client = Self { layout: layout.clone() };
        let until = Instant::now() + LEAVING;
        loop {
            let stream = match client.connect().await {
                Ok(stream) => stream,
                // No folder, no socket, or no process behind it.
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => {
                    return Err(files::failure(&layout.run(), error, "cannot connect to the supervisor in"));
                }
            };
            match client.exchange(stream, Method::GET, "/status", &()).await {
                Ok(answer) => return Ok(Some((client, answer))),
                Err(error) if Instant::now() > until => return Err(error),
                // One that is about to end hangs up; that gives no event but the next attempt.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// What runs and answers now; the supervisor asks each component.
    pub(crate) async fn look(&self) -> Result<Status> {
        self.exchange(self.connect().await?, Method::GET, "/look", &()).await
    }

    /// The answer of the supervisor's recorder, as JSON.
    pub(crate) async fn history(&self, query: &str) -> Result<Bytes> {
        let request = admin::json(Method::GET, &format!("/history?{query}"), Bytes::new())?;
        Ok(self.answer(self.connect().await?, request).await?.body)
    }

    /// What `up` would do.
    pub(crate) async fn plan(&self, desired: &Desired) -> Result<Plan> {
        self.exchange(self.connect().await?, Method::POST, "/plan", desired).await
    }

    /// Brings the stack to `desired`; `progress` hears what is done. `None` when the supervisor is about to end and does not
    /// take it; the next one will.
    ///
    /// # Errors
    /// What the supervisor says, or that it went away in the midst of it.
    pub(crate) async fn apply(
        &self,
        desired: &Desired,
        surroundings: &Surroundings,
        owner: &Owner,
        timeout: Duration,
        progress: impl FnMut(&str),
    ) -> Result<Option<(Plan, Status)>> {
        let apply = Apply {
            desired: desired.clone(),
            owner: Some(owner.clone()),
            surroundings: surroundings.clone(),
            timeout_ms: millis(timeout),
        };
        self.change("/apply", &apply, timeout, progress).await
    }

    /// Replaces every replica.
    pub(crate) async fn restart(
        &self,
        timeout: Duration,
        progress: impl FnMut(&str),
    ) -> Result<(Plan, Status)> {
        self.change("/restart", &millis(timeout), timeout, progress).await?.ok_or_else(shutting_down)
    }

    /// Stops everything; the supervisor ends. One that is about to end has nothing left to stop.
    pub(crate) async fn down(&self, progress: impl FnMut(&str)) -> Result<Plan> {
        let done = self.change("/down", &(), Duration::ZERO, progress).await?;
        Ok(done.map(|(plan, _)| plan).unwrap_or_default())
    }

    /// Stops or starts Redis alone.
    ///
    /// # Errors
    /// As [`Client::apply`]; also when Redis is external.
    pub(crate) async fn switch_redis(&self, on: bool) -> Result<()> {
        let path = if on { "/redis/start" } else { "/redis/stop" };
        self.change(path, &(), Duration::ZERO, |_| ()).await?.map(drop).ok_or_else(shutting_down)
    }

    async fn connect(&self) -> std::io::Result<UnixStream> {
        // The short way to a socket with a long path, as the supervisor binds it.
        let folder = files::open_private_folder(&self.layout.run())?;
        let short = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), self.layout.socket_name());
        UnixStream::connect(short).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        stream: UnixStream,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let request = admin::json(method, path, Bytes::from(serde_json::to_vec(body)?))?;
        let answer = self.answer(stream, request).await?;
        serde_json::from_slice(&answer.body).context("the supervisor speaks another version")
    }

    async fn answer(&self, stream: UnixStream, request: Request<Full<Bytes>>) -> Result<admin::Answer> {
        let path = request.uri().path().to_owned();
        let answer =
            tokio::time::timeout(LIMIT, async { admin::read(admin::send(stream, request).await?).await });
        let answer = answer.await.context("the supervisor is busy and does not answer")??;
        if answer.status != StatusCode::OK {
            bail!("the supervisor answers {path} with {}", answer.status);
        }
        Ok(answer)
    }

    async fn change(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
        mut progress: impl FnMut(&str),
    ) -> Result<Option<(Plan, Status)>> {
        let silence = timeout + SILENCE;
        let request = admin::json(Method::POST, path, Bytes::from(serde_json::to_vec(body)?))?;
        // It answered a moment ago. One that hangs up before it says a word is about to end, as one that says so.
        let Ok(stream) = self.connect().await else { return Ok(None) };
        let answer = tokio::time::timeout(silence, admin::send(stream, request));
        let mut answer = match answer.await.context("the supervisor does not answer")? {
            Ok(answer) if answer.status() == StatusCode::OK => answer,
            Ok(answer) if answer.status() != StatusCode::GONE => {
                bail!("the supervisor answers {path} with {}", answer.status())
            }
            _ => return Ok(None),
        };
        let mut buffer = BytesMut::new();
        loop {
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                match serde_json::from_slice(&buffer.split_to(end + 1))? {
                    Event::Progress { message } => progress(&message),
                    Event::Done { plan, status } => return Ok(Some((plan, status))),
                    Event::Failed { report } => return Err(report.into()),
                }
            }
            let frame = tokio::time::timeout(silence, answer.body_mut().frame());
            let frame = frame.await.context("the supervisor fell silent")?;
            let frame = frame.and_then(Result::ok).ok_or_else(|| {
                Failure::new(ExitStatus::Failed, "the supervisor ended before the change was complete")
                    .hint("appforge up")
            })?;
            if let Ok(data) = frame.into_data() {
                buffer.extend_from_slice(&data);
            }
        }
    }
}

fn shutting_down() -> anyhow::Error {
    Failure::new(ExitStatus::Unreachable, "the stack is shutting down").hint("appforge up").into()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
