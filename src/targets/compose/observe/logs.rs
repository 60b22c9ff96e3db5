//! What the containers said.

use anyhow::Result;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;

use crate::error::{ExitStatus, Failure};
use crate::targets::compose::observe::container::Container;
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::not_up;
use crate::targets::logs::{Line, LogsRequest, Sink};

impl Compose {
    /// Hands each line to `sink` until that says `false`; without `follow` in the order of time.
    ///
    /// # Errors
    /// When the engine cannot be reached, the stack has no containers, or none of that name.
    pub(crate) async fn read_logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()> {
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        if containers.is_empty() {
            return Err(not_up(self.project()).into());
        }
        let chosen = chosen(&containers, &request.components)?;
        let mut options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).follow(request.follow);
        if let Some(since) = request.since {
            options = options.since(i32::try_from(since.as_second()).unwrap_or(i32::MAX));
        }
        let tail = request.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = options.tail(&tail).build();
        let mut streams = SelectAll::new();
        for container in chosen {
            let name = container.short_name();
            let parts = engine.docker.logs(&container.id, Some(options.clone()));
            streams.push(parts.map(move |part| part.map(|part| lines(&name, &part))).boxed());
        }
        let wanted = |line: &Line| request.since.is_none_or(|since| line.time >= since);
        if request.follow {
            while let Some(lines) = streams.next().await {
                if !sink(lines?.into_iter().filter(|line| request.fits(line)).collect())? {
                    return Ok(());
                }
            }
            return Ok(());
        }
        let mut all = Vec::new();
        while let Some(lines) = streams.next().await {
            all.extend(lines?.into_iter().filter(wanted));
        }
        all.sort_by_key(|line| line.time);
        let skipped = request.tail.map_or(0, |tail| all.len().saturating_sub(tail));
        sink(all.into_iter().skip(skipped).filter(|line| request.fits(line)).collect()).map(drop)
    }
}

/// The containers that are meant; `service` is every replica.
fn chosen<'a>(containers: &'a [Container], components: &[String]) -> Result<Vec<&'a Container>> {
    let is = |container: &Container, name: &String| {
        *name == container.component || *name == container.short_name() || *name == container.name
    };
    for name in components {
        if !containers.iter().any(|container| is(container, name)) {
            let names: Vec<String> = containers.iter().map(Container::short_name).collect();
            return Err(Failure::new(ExitStatus::Usage, format!("unknown component `{name}`"))
                .hint(format!("components: {}", names.join(", ")))
                .into());
        }
    }
    let meant =
        |container: &&Container| components.is_empty() || components.iter().any(|name| is(container, name));
    Ok(containers.iter().filter(meant).collect())
}

/// The lines of one message of the engine, each of which starts with its time.
fn lines(component: &str, part: &LogOutput) -> Vec<Line> {
    let text = part.to_string();
    let read = |line: &str| {
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        let time = time.parse().ok()?;
        Some(Line { time, component: component.to_owned(), text: text.trim_end().to_owned() })
    };
    text.lines().filter_map(read).collect()
}
