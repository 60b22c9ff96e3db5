//! A store of the target local in a container: one process of ours starts it, prints what it prints, and removes it at the end,
//! so that the supervisor keeps it as it keeps any other process.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, LogsOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt;

use crate::error::{ExitStatus, Failure};
use crate::targets::compose::observe::{Engine, is_missing};
use crate::targets::finding::Finding;

/// How long the store may take to write what it has: a little less than the supervisor waits.
const GRACE: Duration = Duration::from_secs(25);
/// Where the container finds the data of the store.
pub(crate) const DATA: &str = "/data";
/// Where it finds its configuration.
pub(crate) const CONFIGURATION: &str = "/run/appforge.conf";
/// Most processes and threads.
const PIDS: i64 = 2048;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct StoreContainer {
    /// The name of the container: a fixed one, so that one server uses the data, ever.
    pub(crate) name: String,
    pub(crate) image: String,
    /// The program in it and its arguments.
    pub(crate) words: Vec<String>,
    /// The port, the same within: a replica set calls itself by it.
    pub(crate) port: u16,
    /// Absolute paths on this machine.
    pub(crate) data: String,
    pub(crate) configuration: Option<String>,
    /// `UID:GID` of the owner of the data.
    pub(crate) user: String,
    /// In bytes.
    pub(crate) memory: i64,
}

impl StoreContainer {
    /// The engine that such a container runs in.
    ///
    /// # Errors
    /// Exit 4 without an engine of this machine.
    async fn engine() -> Result<Engine> {
        let engine = Engine::connect().await?;
        if engine.is_local() {
            return Ok(engine);
        }
        let message = format!("the Docker engine at `{}` has no access to this machine's files", engine.host);
        Err(Failure::new(ExitStatus::Unreachable, message)
            .hint("run the stack with `--target compose`, or unset DOCKER_HOST")
            .into())
    }

    /// What `doctor` says of that engine.
    pub(crate) async fn condition() -> Finding {
        match Self::engine().await {
            Ok(engine) => {
                Finding::good("docker engine", format!("version {} at {}", engine.version, engine.host))
            }
            Err(error) => Finding::bad("docker engine", &error),
        }
    }

    /// Runs it until it ends or `shutdown` does, and removes it.
    ///
    /// # Errors
    /// Exit 4 without an engine of this machine; exit 1 when the image is missing or the store ends by itself.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) -> Result<ExitStatus> {
        let engine = Self::engine().await?;
        // What a killed process left behind still has the data.
        engine.stop_and_remove(&self.name, GRACE).await?;
        let name = self.name.clone();
        let work = async {
            self.see_to_image(&engine).await?;
            self.start(&engine).await?;
            follow(&engine, &name).await
        };
        let ended = tokio::select! {
            code = work => Some(code),
            () = shutdown => None,
        };
        // Also one that was made and could not be started.
        engine.stop_and_remove(&name, GRACE).await?;
        match ended {
            None => Ok(ExitStatus::Done),
            Some(code) => {
                let code = code?.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
                Err(Failure::new(
                    ExitStatus::Failed,
                    format!("the container `{name}` ended with exit status {code}"),
                )
                .into())
            }
        }
    }

    /// Removes what a killed process left behind; whether there was anything. Without an engine there is nothing.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(crate) async fn remove(name: &str) -> Result<bool> {
        let Ok(engine) = Engine::connect().await else { return Ok(false) };
        match engine.docker.inspect_container(name, None).await {
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => engine.stop_and_remove(name, GRACE).await.map(|()| true),
        }
    }

    async fn see_to_image(&self, engine: &Engine) -> Result<()> {
        if engine.image_id(&self.image).await?.is_some() {
            return Ok(());
        }
        print(format!("pulling {}\n", self.image).as_bytes())?;
        let options = CreateImageOptionsBuilder::default().from_image(&tagged(&self.image)).build();
        let mut pull = engine.docker.create_image(Some(options), None, None);
        while let Some(step) = pull.next().await {
            step.map_err(|error| {
                Failure::new(ExitStatus::Failed, format!("the image `{}` cannot be pulled", self.image))
                    .hint(format!("docker pull {}", self.image))
                    .caused_by(error)
            })?;
        }
        Ok(())
    }

    async fn start(self, engine: &Engine) -> Result<()> {
        let port = format!("{}/tcp", self.port);
        let published =
            PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(self.port.to_string()) };
        let mut binds = vec![format!("{}:{DATA}", self.data)];
        binds.extend(self.configuration.map(|path| format!("{path}:{CONFIGURATION}:ro")));
        let (program, arguments) = self.words.split_first().context("no program to run")?;
        let body = ContainerCreateBody {
            image: Some(self.image),
            entrypoint: Some(vec![program.clone()]),
            cmd: Some(arguments.to_vec()),
            user: Some(self.user),
            exposed_ports: Some(vec![port.clone()]),
            labels: Some(HashMap::from([("appforge.component".to_owned(), "local-store".to_owned())])),
            host_config: Some(HostConfig {
                binds: Some(binds),
                port_bindings: Some(HashMap::from([(port, Some(vec![published]))])),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                memory: Some(self.memory),
                pids_limit: Some(PIDS),
                init: Some(true),
                // Its lines go to the log of the supervisor; this one only has to be there to be read.
                log_config: Some(HostConfigLogConfig {
                    typ: Some("json-file".to_owned()),
                    config: Some(HashMap::from([
                        ("max-size".to_owned(), "10m".to_owned()),
                        ("max-file".to_owned(), "2".to_owned()),
                    ])),
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&self.name).build();
        engine.docker.create_container(Some(options), body).await?;
        Ok(engine.docker.start_container(&self.name, None).await?)
    }
}

/// The engine would pull all tags of an image that names none.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Prints what the container prints until it ends; its exit code.
async fn follow(engine: &Engine, name: &str) -> Result<Option<i64>> {
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut log = engine.docker.logs(name, Some(options));
    while let Some(part) = log.next().await {
        // The end of the stream says nothing of the container, which is asked below.
        let Ok(part) = part else { break };
        print(&part.into_bytes())?;
    }
    // The exit code is read below; an error of the stream carries the same code.
    let _ = engine.docker.wait_container(name, None::<WaitContainerOptions>).next().await;
    Ok(engine.docker.inspect_container(name, None).await?.state.unwrap_or_default().exit_code)
}

/// The log of the supervisor is at the other end.
fn print(bytes: &[u8]) -> Result<()> {
    std::io::stderr().lock().write_all(bytes).context("the log is closed")
}
