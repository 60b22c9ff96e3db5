//! The service of a stack: the bundled one, or an app of the user's own behind a front. Types and their defaults; what they
//! must mean is in `validate`. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use appforge_service::contract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::values::{ByteSize, CommandLine, Egress, Health, ImageRef, MilliCpu, Writable};

/// The service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `bundled`, or an image of your own.
    pub image: ImageRef,
    /// The command of an app of your own: run as it is on local; elsewhere it replaces the command of the image.
    pub command: Option<CommandLine>,
    /// The folder of a Dockerfile, which the engine builds; excludes an `image` of your own.
    pub build: Option<String>,
    /// What answers while an app of your own works: a path, or `{path, host}`; `null` is a TCP connection.
    pub health: Option<Health>,
    /// Where an app that ignores `PORT` listens.
    pub app_port: Option<u16>,
    /// Processes of one replica that have a connection pool each, such as workers of gunicorn.
    pub processes: u32,
    /// The folder that the command runs in: on local seen from the stack file, elsewhere within the image.
    pub workdir: Option<String>,
    /// Which variables of the shell an app of your own sees on local.
    pub environment: ShellEnvironment,
    /// Further environment variables for each replica. In those of an app of your own `${port}`, `${mongodb.uri}` and
    /// `${redis.url}` are filled in; `$$` is a dollar.
    pub env: BTreeMap<String, String>,
    /// A file of further variables, `NAME=value` a line, that no document contains.
    pub env_file: Option<String>,
    /// A command that runs once for each change of image or environment, before the first new replica.
    pub release: Option<CommandLine>,
    /// What the replicas may reach on Kubernetes besides stores and DNS: `internet`, `HOST:PORT` or a network.
    pub egress: Vec<Egress>,
    /// The user id that an app of your own runs as in a container; `null` is 65532.
    pub run_as: Option<u32>,
    /// Folders that an app of your own may write to in a container, such as `/var/cache:64Mi`; `/` is all of it.
    pub writable: Vec<Writable>,
    /// Most processes and threads of one replica in a container; `null` is 128, or 1024 for an app of your own.
    pub pids: Option<u32>,
    /// Running instances, 1 to 1000 (local: to 64).
    pub replicas: u32,
    /// The published port.
    pub port: u16,
    /// The address of this machine that the service is published on, on local and compose; `null` is 127.0.0.1 and ::1 on local,
    /// 0.0.0.0 on compose.
    pub address: Option<IpAddr>,
    /// What one replica may use.
    pub resources: Resources,
}

/// What one replica may use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// CPU, such as `500m`.
    pub cpu: MilliCpu,
    /// Memory, such as `256Mi`.
    pub memory: ByteSize,
}

/// Which variables of the shell that runs `up` an app sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShellEnvironment {
    /// All but those of appforge and what holds a secret of the stack file.
    Inherit,
    /// Few: `HOME`, `LANG`, `PATH`, `TMPDIR`, `TZ` and the like.
    Clean,
}

/// This program in containers: the front before an app of your own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The image of this program on compose and kubernetes, as `appforge image push` makes it: for fronts and for the bundled service;
    /// `null` is packed from this program and loaded into the engine or a local cluster.
    pub image: Option<ImageRef>,
    /// What one front may use.
    pub resources: Resources,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            image: "bundled".parse().unwrap_or_else(|_| unreachable!("a literal of this file")),
            command: None,
            build: None,
            health: None,
            app_port: None,
            processes: 1,
            workdir: None,
            environment: ShellEnvironment::Inherit,
            env: BTreeMap::new(),
            env_file: None,
            release: None,
            egress: Vec::new(),
            run_as: None,
            writable: Vec::new(),
            pids: None,
            replicas: 1,
            port: contract::PORT,
            address: None,
            resources: Resources { cpu: MilliCpu(500), memory: ByteSize(256 << 20) },
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self { image: None, resources: Resources { cpu: MilliCpu(100), memory: ByteSize(64 << 20) } }
    }
}

impl Service {
    /// Whether the replicas are an app of the user's own, which runs behind a front, and not the bundled service.
    pub fn is_own(&self) -> bool {
        !self.image.is_bundled() || self.command.is_some() || self.build.is_some()
    }

    /// What answers while the service works, as a request of a client has it: the health of an app, or `/` without one.
    pub fn health_path(&self) -> &str {
        match &self.health {
            Some(health) => &health.path,
            None if self.is_own() => "/",
            None => "/health",
        }
    }

    /// Most processes and threads of one replica in a container.
    pub fn most_pids(&self) -> u32 {
        self.pids.unwrap_or(if self.is_own() { 1024 } else { 128 })
    }
}
