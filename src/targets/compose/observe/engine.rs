//! The Docker engine, asked through its API: the only file that opens a connection to it.

use std::collections::HashMap;
use std::env;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    EventsOptionsBuilder, ImportImageOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptions,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::targets::compose::observe::container::Container;
use crate::targets::image::Image;

/// The oldest engine that has what the documents ask for: API 1.41 is Docker 20.10.
const OLDEST_API: (usize, usize) = (1, 41);
/// How long the engine may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);

/// A connection to the engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    /// The client itself, for `target/compose` only.
    pub(crate) docker: Docker,
    /// Where it listens, as `DOCKER_HOST` says it.
    pub(crate) host: String,
    /// Its version, such as `20.10.24`.
    pub(crate) version: String,
    /// The architecture of its containers, such as `amd64`.
    pub(crate) architecture: String,
}

impl Engine {
    /// Connects to what `DOCKER_HOST`, else the chosen Docker context, else the usual socket names.
    ///
    /// # Errors
    /// Exit 4, with the fix: no engine, no permission on its socket, too old.
    pub(crate) async fn connect() -> Result<Self> {
        let host = host();
        let docker = Docker::connect_with_host(&host).map_err(|error| unreachable(&host, error))?;
        let greet = async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok::<_, bollard::errors::Error>((docker, version))
        };
        let (docker, version) = match tokio::time::timeout(GREETING, greet).await {
            Ok(answer) => answer.map_err(|error| unreachable(&host, error))?,
            Err(_) => {
                return Err(Failure::new(
                    ExitStatus::Unreachable,
                    format!("the Docker engine at `{host}` did not answer within {}s", GREETING.as_secs()),
                )
                .hint("docker info")
                .into());
            }
        };
        let api = docker.client_version();
        let name = version.version.unwrap_or_default();
        if (api.major_version, api.minor_version) < OLDEST_API {
            return Err(Failure::new(
                ExitStatus::Unreachable,
                format!("the Docker engine is too old: version {name}, and 20.10 is needed"),
            )
            .hint("install a later version: https://docs.docker.com/engine/install")
            .into());
        }
        Ok(Self { docker, host, version: name, architecture: version.arch.unwrap_or_default() })
    }

    /// Whether the engine runs on this machine, so that its ports and addresses are ours.
    pub(crate) fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }

    /// All containers of a Compose project but those of `docker compose run`, by component and number.
    pub(crate) async fn containers(&self, project: &str) -> Result<Vec<Container>> {
        let labels = vec![
            format!("com.docker.compose.project={project}"),
            "com.docker.compose.oneoff=False".to_owned(),
        ];
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let mut containers = Vec::new();
        for summary in self.docker.list_containers(Some(options)).await? {
            let Some(id) = summary.id else { continue };
            match self.docker.inspect_container(&id, None).await {
                Ok(container) => containers.extend(Container::read(container, project)),
                // It went away between the two questions.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        containers.sort_by(|a, b| (&a.component, a.number).cmp(&(&b.component, b.number)));
        Ok(containers)
    }

    /// What happens to the containers of a project from now on; ends when the connection does.
    pub(crate) fn events(&self, project: &str) -> impl Stream<Item = ()> + use<> {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("com.docker.compose.project={project}")]),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        // An error ends the stream for good; who waits for it asks again after a while anyway.
        self.docker.clone().events(Some(options)).map(drop).boxed()
    }

    /// The id of an image, if it is there.
    pub(crate) async fn image_id(&self, reference: &str) -> Result<Option<String>> {
        match self.docker.inspect_image(reference).await {
            Ok(image) => Ok(image.id),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Loads an image that we made.
    ///
    /// # Errors
    /// When the engine refuses it, for instance for want of disk space.
    pub(crate) async fn load(&self, image: Image) -> Result<()> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = bollard::body_full(image.archive()?.into());
        let loaded = self.docker.import_image(options, body, None).try_for_each(|_| async { Ok(()) });
        loaded.await.map_err(|error| {
            Failure::new(ExitStatus::Failed, "the Docker engine refused the service image")
                .hint("docker system df")
                .caused_by(error)
                .into()
        })
    }

    /// Gives an image another name.
    pub(crate) async fn tag(&self, id: &str, repository: &str, tag: &str) -> Result<()> {
        let options =
            bollard::query_parameters::TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        Ok(self.docker.tag_image(id, Some(options)).await?)
    }

    /// Stops a container within `grace` and removes it. One that is gone is as good.
    pub(crate) async fn stop_and_remove(&self, id: &str, grace: Duration) -> Result<()> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let stop = StopContainerOptionsBuilder::default().t(seconds).build();
        let stopped = self.docker.stop_container(id, Some(stop)).await;
        if let Err(error) = stopped
            && !is_missing(&error)
        {
            return Err(error.into());
        }
        let remove = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
        match self.docker.remove_container(id, Some(remove)).await {
            Err(error) if !is_missing(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Starts a container that was stopped. One that runs or is gone is as good.
    ///
    /// # Errors
    /// When the engine cannot start it.
    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        match self.docker.start_container(id, None).await {
            Err(error) if !is_missing(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether a command that runs in a container ends with 0.
    ///
    /// # Errors
    /// When the engine cannot run it, or it does not end within [`GREETING`].
    pub(crate) async fn succeeds(&self, id: &str, command: &[&str]) -> Result<bool> {
        let config = ExecConfig {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            attach_stdout: Some(true),
            ..ExecConfig::default()
        };
        let run = async {
            let exec = self.docker.create_exec(id, config).await?;
            if let StartExecResults::Attached { mut output, .. } =
                self.docker.start_exec(&exec.id, None).await?
            {
                while let Some(part) = output.next().await {
                    part?;
                }
            }
            Ok::<_, bollard::errors::Error>(self.docker.inspect_exec(&exec.id).await?.exit_code == Some(0))
        };
        Ok(tokio::time::timeout(GREETING, run).await.context("the container did not answer in time")??)
    }

    /// The names of the volumes of a project.
    pub(crate) async fn volumes(&self, project: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([("label", vec![format!("com.docker.compose.project={project}")])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let answer = self.docker.list_volumes(Some(options)).await?;
        let mut names: Vec<String> =
            answer.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Every network with an address range: its name and the range.
    pub(crate) async fn subnets(&self) -> Result<Vec<(String, String)>> {
        let networks = self.docker.list_networks(None::<ListNetworksOptions>).await?;
        let mut subnets = Vec::new();
        for network in networks {
            let name = network.name.unwrap_or_default();
            for config in network.ipam.and_then(|ipam| ipam.config).unwrap_or_default() {
                subnets.extend(config.subnet.map(|subnet| (name.clone(), subnet)));
            }
        }
        Ok(subnets)
    }
}

/// Whether the engine said that the thing is not there.
pub(crate) fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })
}

fn unreachable(host: &str, error: bollard::errors::Error) -> anyhow::Error {
    use bollard::errors::Error;
    let kind = io_kind(&error);
    let (message, hint) = match (&error, kind) {
        (_, Some(io::ErrorKind::PermissionDenied)) => (
            format!("permission denied for the Docker engine at `{host}`"),
            "sudo usermod -aG docker $USER, then log in again",
        ),
        (Error::SocketNotFoundError(_), _) | (_, Some(io::ErrorKind::NotFound)) => (
            format!("cannot find a Docker engine at `{host}`"),
            "install Docker, or set DOCKER_HOST; `appforge up --target local` needs none",
        ),
        (_, Some(io::ErrorKind::ConnectionRefused)) => {
            (format!("the Docker engine at `{host}` is not running"), "sudo systemctl start docker")
        }
        (Error::UnsupportedURISchemeError { .. }, _) => (
            format!("cannot connect to the Docker engine at `{host}`: only unix:// and tcp:// are supported"),
            "forward its socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`), then set DOCKER_HOST=unix:///tmp/docker.sock",
        ),
        _ => (format!("the server at `{host}` is not a Docker engine"), "docker info"),
    };
    Failure::new(ExitStatus::Unreachable, message).hint(hint).caused_by(error).into()
}

/// The kind of the first IO error below `error`.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        at = error.source();
    }
    None
}

/// The engine that the `docker` command would use.
pub(crate) fn host() -> String {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    set("DOCKER_HOST").or_else(context_host).unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// The endpoint of the chosen Docker context (`docker context use`), from the files where the `docker` command keeps it.
fn context_host() -> Option<String> {
    let folder = env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")))?;
    let read = |path: PathBuf| -> Option<serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    };
    let chosen = env::var("DOCKER_CONTEXT")
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| read(folder.join("config.json"))?.get("currentContext")?.as_str().map(str::to_owned))?;
    let file = hex::encode(Sha256::digest(&chosen));
    let meta = read(folder.join("contexts/meta").join(file).join("meta.json"))?;
    meta.pointer("/Endpoints/docker/Host")?.as_str().map(str::to_owned)
}
