//! What the pods said, merged; pods that come while following are followed too.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::targets::change::LOOK;
use crate::targets::kubernetes::client::{Cluster, Doing, STACK_LABEL, explain, list};
use crate::targets::kubernetes::observe::pods;
use crate::targets::kubernetes::session::{Kubernetes, not_up};
use crate::targets::logs::{Line, LogsRequest, Sink};

type Lines = SelectAll<BoxStream<'static, Line>>;

impl Kubernetes {
    /// Hands each line to `sink` until that says `false`; without `follow` in the order of time.
    ///
    /// # Errors
    /// When the cluster cannot be reached, the stack has no pods, or none of that name.
    pub(crate) async fn read_logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()> {
        let cluster = self.connect(LOOK).await?;
        let mut all: Vec<Pod> = list(&cluster, self.name(), "pods").await?;
        all.retain(|pod| !pods::is_trial(pod));
        if all.is_empty() {
            return Err(not_up(self.name(), &cluster).into());
        }
        check(&all, &request.components)?;
        let mut open = OpenLogs { cluster: &cluster, request, known: BTreeSet::new(), lines: Lines::new() };
        for pod in all.iter().filter(|pod| is_meant(pod, &request.components)) {
            open.add(pod, request.tail).await?;
        }
        if request.follow {
            return open.follow(self.name(), sink).await;
        }
        let mut lines = open.lines;
        let mut said = Vec::new();
        while let Some(line) = lines.next().await {
            said.push(line);
        }
        said.sort_by_key(|line| line.time);
        let skipped = request.tail.map_or(0, |tail| said.len().saturating_sub(tail));
        sink(said.into_iter().skip(skipped).filter(|line| request.fits(line)).collect()).map(drop)
    }
}

/// The logs that are read.
struct OpenLogs<'a> {
    cluster: &'a Cluster,
    request: &'a LogsRequest,
    /// Runs of containers whose logs are open.
    known: BTreeSet<String>,
    lines: Lines,
}

impl OpenLogs<'_> {
    /// Reads on, also from pods that come later.
    async fn follow(mut self, stack: &str, sink: Sink<'_>) -> Result<()> {
        let config = watcher::Config::default().labels(&format!("{STACK_LABEL}={stack}"));
        let mut pods = watcher(self.cluster.api::<Pod>(), config).default_backoff().applied_objects().boxed();
        loop {
            tokio::select! {
                Some(line) = self.lines.next(), if !self.lines.is_empty() => {
                    if self.request.fits(&line) && !sink(vec![line])? {
                        return Ok(());
                    }
                }
                pod = pods.next() => match pod {
                    // A pod that comes later is read from its beginning.
                    Some(Ok(pod)) if is_meant(&pod, &self.request.components) => self.add(&pod, None).await?,
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    /// Opens the logs of a pod's containers that have started and are not open yet.
    async fn add(&mut self, pod: &Pod, tail: Option<usize>) -> Result<()> {
        let (cluster, request) = (self.cluster, self.request);
        let name = pods::name(pod).to_owned();
        let statuses = containers(pod, &request.components);
        let several = pod.spec.as_ref().is_some_and(|spec| spec.containers.len() > 1);
        for container in statuses {
            let state = container.state.clone().unwrap_or_default();
            let started =
                state.running.is_some() || state.terminated.is_some() || container.last_state.is_some();
            let run =
                format!("{name}/{}/{}", container.name, container.container_id.clone().unwrap_or_default());
            if !started || !self.known.insert(run) {
                continue;
            }
            let parameters = LogParams {
                container: Some(container.name.clone()),
                follow: request.follow,
                since_time: request.since,
                tail_lines: tail.and_then(|tail| i64::try_from(tail).ok()),
                timestamps: true,
                ..LogParams::default()
            };
            let api = cluster.api::<Pod>();
            let doing = Doing::one("get", "pods/log", &name, Some(&cluster.namespace));
            let stream = match api.log_stream(&name, &parameters).await {
                Ok(stream) => stream,
                // A pod that went meanwhile, or whose container did not start yet, has nothing to say.
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => continue,
                Err(error) => return Err(explain(error, &doing, &cluster.place)),
            };
            let several = several || container.name == names::FRONT_CONTAINER;
            let component = if several { format!("{name}/{}", container.name) } else { name.clone() };
            let read = move |line: std::io::Result<String>| {
                let component = component.clone();
                async move { parse(&component, &line.ok()?) }
            };
            self.lines.push(stream.lines().filter_map(read).boxed());
        }
        Ok(())
    }
}

/// A line, which starts with its time.
fn parse(component: &str, line: &str) -> Option<Line> {
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    Some(Line { time: time.parse().ok()?, component: component.to_owned(), text: text.trim_end().to_owned() })
}

fn is_meant(pod: &Pod, components: &[String]) -> bool {
    components.is_empty() || components.iter().any(|name| is(pod, name))
}

fn is(pod: &Pod, name: &str) -> bool {
    pods::name(pod) == name
        || pods::label(pod, names::COMPONENT_LABEL) == Some(name)
        || (name == names::FRONT_CONTAINER && front(pod).is_some())
}

/// The containers whose logs are meant: those of a pod, but the front of an app, which is a component itself.
fn containers<'p>(pod: &'p Pod, components: &[String]) -> Vec<&'p ContainerStatus> {
    let is_front = |name: &String| name == names::FRONT_CONTAINER;
    let front = front(pod).filter(|_| components.iter().any(is_front));
    let pods = components.is_empty() || components.iter().any(|name| !is_front(name) && is(pod, name));
    let others = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    front.into_iter().chain(others.filter(|_| pods)).collect()
}

fn front(pod: &Pod) -> Option<&ContainerStatus> {
    let sidecars = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    sidecars.iter().find(|sidecar| sidecar.name == names::FRONT_CONTAINER)
}

fn check(all: &[Pod], components: &[String]) -> Result<()> {
    for name in components {
        if !all.iter().any(|pod| is(pod, name)) {
            let mut words: BTreeSet<&str> =
                all.iter().filter_map(|pod| pods::label(pod, names::COMPONENT_LABEL)).collect();
            words.extend(all.iter().any(|pod| front(pod).is_some()).then_some(names::FRONT_CONTAINER));
            let words: Vec<&str> = words.into_iter().chain(all.iter().map(pods::name)).collect();
            return Err(Failure::new(ExitStatus::Usage, format!("unknown component `{name}`"))
                .hint(format!("components: {}", words.join(", ")))
                .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_of_an_app_is_another_component() {
        let status = |name: &str| serde_json::json!({"name": name, "image": "a", "imageID": "", "ready": true, "restartCount": 0});
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "shop-app-0", "labels": {names::COMPONENT_LABEL: "service"}},
            "status": {"containerStatuses": [status("app")], "initContainerStatuses": [status("copy"), status("front")]},
        }))
        .unwrap();
        let meant = |components: &[&str]| {
            let components: Vec<String> = components.iter().map(|name| (*name).to_owned()).collect();
            let names = containers(&pod, &components).into_iter().map(|container| container.name.clone());
            is_meant(&pod, &components).then(|| names.collect::<Vec<_>>())
        };
        for app in [&[][..], &["service"], &["shop-app-0"], &["redis", "service"]] {
            assert_eq!(meant(app), Some(vec!["app".to_owned()]), "{app:?}");
        }
        assert_eq!(meant(&["front"]), Some(vec!["front".to_owned()]));
        assert_eq!(meant(&["service", "front"]), Some(vec!["front".to_owned(), "app".to_owned()]));
        assert_eq!(meant(&["redis"]), None);
    }

    #[test]
    fn log_line_starts_with_its_time() {
        let line = parse("a", "2026-01-31T12:00:00.123456789Z said it ").unwrap();
        assert_eq!((line.component.as_str(), line.text.as_str()), ("a", "said it"));
        assert_eq!(parse("a", "no time"), None);
    }
}
