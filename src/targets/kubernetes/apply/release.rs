//! `service.release`: a Job, once for each image and environment, before a replica has them. It is made of the Deployment's own
//! pod template, so that the app's security, variables, folders and patches are those of the Job too.

use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::contract::variable;
use futures_util::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::{arguments, names};
use crate::stack::Stack;
use crate::stack::values::CommandLine;
use crate::targets::kubernetes::apply::mounted::{self, TEMPLATE};
use crate::targets::kubernetes::apply::reach::placed;
use crate::targets::kubernetes::client::{
    Doing, Kind, MANAGER, Object, STACK_LABEL, is_there_already, received, wait_until_deleted,
};
use crate::targets::kubernetes::observe::{fatal, pods};
use crate::targets::kubernetes::session::Session;
use crate::targets::plan::Action;
use crate::targets::release::{failure, running, still_running};

/// Looks at the pod of a Job this often: one that cannot start keeps the Job waiting.
const LOOK: Duration = Duration::from_secs(5);
/// How long the search for the last lines of a Job may take.
const DIAGNOSIS: Duration = Duration::from_secs(15);
/// Digits of the digest in the name of a Job: with the longest name of a stack it is a label's value still.
const DIGITS: usize = 10;
/// The label by which the Job controller marks the pods of a Job.
const JOB: &str = "batch.kubernetes.io/job-name";

/// The Job of a stack that has a release command.
pub(crate) struct Release {
    /// As the stack file has it.
    command: CommandLine,
    /// As it is made.
    pub(crate) job: Object,
    /// What became of the one that is there.
    pub(crate) standing: Standing,
}

/// What became of a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is not there.
    Missing,
    /// Its command runs, or will.
    Open,
    /// Its command succeeded.
    Done,
    /// Its command failed.
    Failed,
}

impl Standing {
    /// What `up` does about it, and why; `None` when there is nothing to do.
    pub(crate) fn step(self) -> Option<(Action, &'static str)> {
        match self {
            Self::Missing => Some((Action::Create, "runs `service.release`")),
            Self::Failed => Some((Action::Restart, "`service.release` failed before")),
            Self::Open => Some((Action::Restart, "`service.release` is still running")),
            Self::Done => None,
        }
    }

    fn of(job: &Value) -> Self {
        let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
        let held = |kind: &str| conditions.clone().any(|it| it["type"] == kind && it["status"] == "True");
        match (held("Complete"), held("Failed")) {
            (true, _) => Self::Done,
            (_, true) => Self::Failed,
            _ => Self::Open,
        }
    }
}

/// Whether an object is a Job of this module.
pub(crate) fn is_release(object: &Object) -> bool {
    object.kind.name() == "Job" && object.label(names::COMPONENT_LABEL) == Some(names::RELEASE)
}

impl Release {
    /// The Job for the pods of `deployment`, which get the credentials of `digest`; `None` without a release command. `there` are
    /// the objects that the cluster has.
    pub(crate) fn of(
        stack: &Stack,
        deployment: &Object,
        digest: &str,
        there: &[Object],
    ) -> Result<Option<Self>> {
        let Some(command) = stack.service.release.as_ref() else { return Ok(None) };
        let mut template = deployment.at(TEMPLATE).cloned().unwrap_or_default();
        mounted::point(&mut template, &names::service(stack), digest);
        let containers = template["spec"]["containers"].as_array().into_iter().flatten();
        let mut app = containers
            .clone()
            .find(|container| container["name"] == names::SERVICE_CONTAINER)
            .with_context(|| {
                format!("{} has no container `{}`", deployment.title(), names::SERVICE_CONTAINER)
            })?
            .clone();
        if let Some(app) = app.as_object_mut() {
            app.retain(|key, _| !key.ends_with("Probe") && key != "lifecycle" && key != "ports");
            app.insert("args".to_owned(), json!(arguments(stack, command)));
        }
        let name = format!("{}-release-{}", names::service(stack), environment_digest(&app, &template));
        let kind = Kind::find("batch/v1", "Job").context("Jobs are a known kind")?;
        let job = Object::new(kind.clone(), job(stack, &name, &template, &app))?;
        let live = there.iter().find(|live| live.kind == kind && live.name == name);
        let standing = live.map_or(Standing::Missing, |live| Standing::of(&live.value));
        Ok(Some(Self { command: command.clone(), job, standing }))
    }
}

/// What a release depends on: the image, the command, the variables and the Secrets behind them. Replicas and sizes are none of it.
fn environment_digest(app: &Value, template: &Value) -> String {
    let mut hash = Sha256::new();
    for part in ["image", "command", "args", "workingDir", "env", "envFrom"] {
        hash.update(app[part].to_string());
    }
    hash.update(template["metadata"]["annotations"][names::OWN_SECRETS].to_string());
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(DIGITS);
    digits
}

fn job(stack: &Stack, name: &str, template: &Value, app: &Value) -> Value {
    let mut spec = placed(template);
    let forward = forward(template);
    let containers = std::iter::once(app).chain(&forward);
    let mounts: Vec<&Value> = containers
        .flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten())
        .map(|mount| &mount["name"])
        .collect();
    let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
    let volumes: Vec<&Value> = volumes.filter(|volume| mounts.contains(&&volume["name"])).collect();
    spec.insert("volumes".to_owned(), json!(volumes));
    spec.insert("restartPolicy".to_owned(), "Never".into());
    spec.insert("containers".to_owned(), json!([app]));
    if let Some(forward) = &forward {
        spec.insert("initContainers".to_owned(), json!([forward]));
    }
    let mut labels = template["metadata"]["labels"].clone();
    labels[names::COMPONENT_LABEL] = names::RELEASE.into();
    let annotations = template["metadata"].get("annotations").cloned().unwrap_or_else(|| json!({}));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name, "namespace": stack.kubernetes.namespace.as_str(), "labels": labels,
        },
        "spec": {
            "backoffLimit": 0,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
        },
    })
}

/// The front, for a command that reaches Redis through it. Kubernetes ends it after the command, which takes no requests.
fn forward(template: &Value) -> Option<Value> {
    let mut sidecars = template["spec"]["initContainers"].as_array()?.iter();
    let front = sidecars.find(|sidecar| sidecar["name"] == names::FRONT_CONTAINER)?;
    let mut variables = front["env"].as_array()?.iter();
    variables.find(|variable| variable["name"] == variable::REDIS_FORWARD_PORT)?;
    let mut front = front.clone();
    front
        .as_object_mut()?
        .retain(|key, _| !["lifecycle", "ports", "readinessProbe", "livenessProbe"].contains(&key.as_str()));
    for variable in front["env"].as_array_mut().into_iter().flatten() {
        // It has no request to finish, and the pod ends with it.
        if variable["name"] == variable::SHUTDOWN_TIMEOUT_MS {
            variable["value"] = "1".into();
        }
    }
    Some(front)
}

impl Session<'_> {
    /// Runs the release command unless it succeeded before, and waits for its end; one that another command began is waited for.
    ///
    /// # Errors
    /// Exit 1 when it fails or its pod cannot start, with its last lines; exit 9 when it still runs at the deadline.
    pub(crate) async fn run_release(&self, release: &Release) -> Result<()> {
        let (job, mut standing) = (&release.job, release.standing);
        if standing == Standing::Done {
            return Ok(());
        }
        (self.say)(&format!("{} as {}", running(&release.command), job.title()));
        if standing == Standing::Failed {
            self.remove_failed(job).await?;
            standing = Standing::Missing;
        }
        if standing == Standing::Missing {
            let api = job.api(&self.cluster);
            let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            let value = serde_json::from_value(job.value.clone())?;
            let made = self
                .cluster
                .call(job.doing("create", &self.cluster), || api.create(&parameters, &value))
                .await;
            match made {
                // Only one command makes it; the others wait for it.
                Err(error) if !is_there_already(&error) => return Err(error),
                _ => {}
            }
        }
        self.wait_for_release(release).await
    }

    /// Removes a Job that failed, unless another command has put a new one in its place.
    async fn remove_failed(&self, job: &Object) -> Result<()> {
        let cluster = &self.cluster;
        let api = job.api(cluster);
        let Some(live) = cluster.find(job.doing("get", cluster), || api.get(&job.name)).await? else {
            return Ok(());
        };
        let live = received(&job.kind, live)?;
        if Standing::of(&live.value) != Standing::Failed {
            return Ok(());
        }
        let uid = live.at("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        let preconditions = Preconditions { uid, ..Preconditions::default() };
        let parameters = DeleteParams::foreground().preconditions(preconditions);
        match cluster.find(job.doing("delete", cluster), || api.delete(&job.name, &parameters)).await {
            // Another object has its name by now.
            Err(error) if is_there_already(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => wait_until_deleted(cluster, &live).await,
        }
    }

    async fn wait_for_release(&self, release: &Release) -> Result<()> {
        let (cluster, job) = (&self.cluster, &release.job);
        let labels = format!("{STACK_LABEL}={},{}={}", self.name(), names::COMPONENT_LABEL, names::RELEASE);
        let config = watcher::Config::default().labels(&labels);
        let mut events = watcher(cluster.api::<Job>(), config).default_backoff().boxed();
        let mut next_look = Instant::now() + LOOK;
        loop {
            match tokio::time::timeout_at(cluster.deadline().min(next_look), events.next()).await {
                Ok(Some(Ok(Event::Apply(live) | Event::InitApply(live))))
                    if live.metadata.name.as_deref() == Some(&job.name) =>
                {
                    match Standing::of(&serde_json::to_value(&live)?) {
                        Standing::Done => return Ok(()),
                        Standing::Failed => {
                            return Err(self.failure(release, ExitStatus::Failed, "failed").await.into());
                        }
                        Standing::Missing | Standing::Open => {}
                    }
                }
                Ok(Some(Ok(Event::Delete(gone)))) if gone.metadata.name.as_deref() == Some(&job.name) => {
                    let message = format!("{} was removed before it finished", job.title());
                    return Err(Failure::new(ExitStatus::Failed, message).hint("appforge up").into());
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => fatal(cluster, error)?,
                Ok(None) | Err(_) if Instant::now() >= cluster.deadline() => {
                    return Err(self.failure(release, ExitStatus::TimedOut, "").await.into());
                }
                Ok(None) => tokio::time::sleep_until(cluster.deadline().min(next_look)).await,
                Err(_) => {}
            }
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK;
                let stuck = |pod: &Pod| pods::trouble(pod).is_some_and(|trouble| trouble.permanent);
                if self.pods_of_job(job).await?.iter().any(stuck) {
                    return Err(self.failure(release, ExitStatus::Failed, "cannot start").await.into());
                }
            }
        }
    }

    async fn pods_of_job(&self, job: &Object) -> Result<Vec<Pod>> {
        let cluster = &self.cluster;
        let api = cluster.api::<Pod>();
        let parameters = ListParams::default().labels(&format!("{JOB}={}", job.name));
        let doing = Doing::all("list", "pods", Some(&cluster.namespace));
        Ok(cluster.call(doing, || api.list(&parameters)).await?.items)
    }

    /// The failure of a release, with the last lines of its pod.
    async fn failure(&self, release: &Release, status: ExitStatus, what: &str) -> Failure {
        let (command, job) = (&release.command, &release.job);
        let late = self.until(self.cluster.deadline().max(Instant::now() + DIAGNOSIS));
        let mut text = format!("({})", job.title());
        // They only illustrate the failure.
        for pod in late.pods_of_job(job).await.unwrap_or_default() {
            text.push_str(&pods::last_lines(&late.cluster, &pod).await);
        }
        match status {
            ExitStatus::TimedOut => still_running(command, &format!(" {text}")),
            _ => failure(command, status, &format!("{what} {text}"), &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Overrides, render};
    use crate::stack::TargetKind;
    use crate::stack::model::Topology;
    use crate::stack::values::CommandLine;

    const DIGEST: &str = "0123456789abcdef";

    fn release(change: impl FnOnce(&mut Stack)) -> Object {
        let mut stack = Stack { target: TargetKind::Kubernetes, ..Stack::default() };
        stack.service.image = "registry.example/shop:1".parse().unwrap();
        stack.service.release = Some(CommandLine::Text("./migrate --to $$latest".into()));
        change(&mut stack);
        let documents = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap();
        let document = documents.iter().find(|document| document.path == "deployment.yaml").unwrap();
        let kind = Kind::find("apps/v1", "Deployment").unwrap();
        let deployment = Object::new(kind, document.value.clone().unwrap()).unwrap();
        Release::of(&stack, &deployment, DIGEST, &[]).unwrap().unwrap().job
    }

    #[test]
    fn job_is_the_app_without_its_front() {
        let job = release(|stack| stack.service.env_file = Some(".env".into()));
        serde_json::from_value::<Job>(job.value.clone()).unwrap();
        let pod = job.at("/spec/template/spec").unwrap();
        assert_eq!((&pod["restartPolicy"], &pod["initContainers"]), (&json!("Never"), &Value::Null));
        let app = &pod["containers"][0];
        assert_eq!(app["args"], json!(["sh", "-c", "exec ./migrate --to $$latest"]));
        for gone in ["lifecycle", "livenessProbe", "ports"] {
            assert_eq!(app[gone], Value::Null);
        }
        assert_eq!(app["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(app["envFrom"][0]["secretRef"]["name"], "appforge-app-env");
        assert_eq!(app["env"][2]["valueFrom"]["secretKeyRef"]["name"], format!("appforge-app-{DIGEST}"));
        let volumes: Vec<&str> = pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|volume| volume["name"].as_str().unwrap())
            .collect();
        assert_eq!(volumes, ["stores", "tmp"], "the key of probes is the front's");
        // The policies select it; the Service, the Deployment and the budget do not.
        let labels = job.at("/spec/template/metadata/labels").unwrap();
        assert_eq!(labels[names::INSTANCE_LABEL], "appforge-app");
        assert_eq!(labels[names::COMPONENT_LABEL], "release");
    }

    #[test]
    fn job_reaches_the_master_of_redis_through_a_front() {
        let job = release(|stack| stack.redis.topology = Topology::Sentinel);
        serde_json::from_value::<Job>(job.value.clone()).unwrap();
        let pod = job.at("/spec/template/spec").unwrap();
        let front = &pod["initContainers"][0];
        assert_eq!((&front["name"], &front["restartPolicy"]), (&json!("front"), &json!("Always")));
        assert!(front["startupProbe"].is_object(), "the command waits for it");
        assert_eq!((&front["lifecycle"], &front["readinessProbe"]), (&Value::Null, &Value::Null));
        assert_eq!(pod["volumes"][0]["name"], "credentials");
        let mut variables = front["env"].as_array().unwrap().iter();
        let drain = variables.find(|variable| variable["name"] == "SHUTDOWN_TIMEOUT_MS").unwrap();
        assert_eq!(drain["value"], "1", "the pod of a finished command waits for nothing");
    }

    #[test]
    fn another_image_or_environment_is_another_job() {
        let name = |change: fn(&mut Stack)| release(change).name;
        let first = name(|_| ());
        assert!(first.len() <= 63 && first.starts_with("appforge-app-release-"), "{first}");
        assert_eq!(first, name(|stack| stack.service.replicas = 3));
        assert_eq!(first, name(|stack| stack.service.resources.cpu = "2".parse().unwrap()));
        assert_ne!(first, name(|stack| stack.service.image = "registry.example/shop:2".parse().unwrap()));
        assert_ne!(first, name(|stack| drop(stack.service.env.insert("A".into(), "1".into()))));
        assert_ne!(first, name(|stack| stack.service.release = Some(CommandLine::Text("./other".into()))));
    }

    #[test]
    fn longest_name_of_a_stack_is_a_label_still() {
        let job = release(|stack| stack.name = "a".repeat(40).parse().unwrap());
        assert!(job.name.len() <= 63, "{}", job.name);
    }

    #[test]
    fn standing_of_a_job_is_read_from_its_conditions() {
        let job = |kind: &str| json!({"status": {"conditions": [{"type": "Suspended", "status": "False"}, {"type": kind, "status": "True"}]}});
        assert_eq!(Standing::of(&job("Complete")), Standing::Done);
        assert_eq!(Standing::of(&job("Failed")), Standing::Failed);
        assert_eq!(Standing::of(&job("FailureTarget")), Standing::Open);
        assert_eq!(Standing::of(&json!({"status": {}})), Standing::Open);
    }
}
