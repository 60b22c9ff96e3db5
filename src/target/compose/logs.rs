//! What the containers said.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;

use super::engine::Engine;
use super::{Compose, not_running};
use crate::error::{ExitStatus, Failure};

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogsRequest {
    /// Only this component, such as `redis` or `service-2`.
    pub component: Option<String>,
    /// Go on as they come.
    pub follow: bool,
    /// Only those of this last while.
    pub since: Option<std::time::Duration>,
    /// Only so many of each container.
    pub tail: Option<usize>,
}

impl Compose {
    /// Hands each line, with the name of its component, to `sink` until that says `false`.
    ///
    /// # Errors
    /// When the engine cannot be reached, the stack has no containers, or none of that name.
    pub async fn logs(
        &self,
        request: &LogsRequest,
        mut sink: impl FnMut(&str, &str) -> Result<bool>,
    ) -> Result<()> {
        let engine = Engine::connect().await?;
        let containers = engine.containers(self.project()).await?;
        if containers.is_empty() {
            return Err(not_running(self.project()).into());
        }
        let name = |container: &super::observe::Container| match container.component.as_str() {
            "service" => format!("service-{}", container.number),
            other => other.to_owned(),
        };
        let chosen: Vec<_> = containers
            .iter()
            .filter(|container| {
                request.component.as_ref().is_none_or(|wanted| {
                    [&container.component, &name(container), &container.name].contains(&wanted)
                })
            })
            .collect();
        if chosen.is_empty() {
            let names: Vec<String> = containers.iter().map(name).collect();
            let wanted = request.component.as_deref().unwrap_or_default();
            return Err(Failure::new(ExitStatus::Usage, format!("there is no component `{wanted}`"))
                .hint(format!("components: {}", names.join(", ")))
                .into());
        }
        let mut options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(request.follow);
        if let Some(since) = request.since {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            options = options.since(i32::try_from(now.saturating_sub(since).as_secs()).unwrap_or(i32::MAX));
        }
        let tail = request.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = options.tail(&tail).build();
        if request.follow {
            let mut streams = SelectAll::new();
            for container in chosen {
                let name = name(container);
                let stream = engine.docker.logs(&container.id, Some(options.clone()));
                streams.push(stream.map(move |part| (name.clone(), part)).boxed());
            }
            while let Some((name, part)) = streams.next().await {
                for line in part?.to_string().lines() {
                    if !sink(&name, line)? {
                        return Ok(());
                    }
                }
            }
            return Ok(());
        }
        for container in chosen {
            let name = name(container);
            let mut stream = engine.docker.logs(&container.id, Some(options.clone()));
            while let Some(part) = stream.next().await {
                for line in part?.to_string().lines() {
                    if !sink(&name, line)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}
