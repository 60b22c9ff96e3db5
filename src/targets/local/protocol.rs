//! What the command line and the supervisor say to each other over the control socket: JSON over HTTP, events as lines.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Report;
use crate::stack::StoreKind;
use crate::stack::model::Pool;
use crate::stack::template::Template;
use crate::stack::values::CommandLine;
use crate::targets::ownership::Owner;
use crate::targets::plan::Plan;
use crate::targets::status::Status;

/// What the stack should be. Holds no secret, only where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Desired {
    /// The stack's name.
    pub(crate) name: String,
    /// The published port.
    pub(crate) port: u16,
    /// The address that it is published on; without one, those of the loopback interface.
    #[serde(default)]
    pub(crate) address: Option<IpAddr>,
    /// How many replicas.
    pub(crate) replicas: u32,
    /// The environment of each replica, with the path of the stack file that each value comes from.
    pub(crate) environment: BTreeMap<String, Setting>,
    /// The file of the probe secret, seen from the state folder.
    pub(crate) probe_secret: PathBuf,
    /// The app of the user's own behind each replica; without one the replicas are the bundled service.
    #[serde(default)]
    pub(crate) app: Option<App>,
    /// The document store.
    pub(crate) mongodb: Store,
    /// The counter and cache store.
    pub(crate) redis: Store,
}

impl Desired {
    /// The store of this kind.
    pub(crate) fn store(&self, kind: StoreKind) -> &Store {
        match kind {
            StoreKind::Mongodb => &self.mongodb,
            StoreKind::Redis => &self.redis,
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// The value.
    pub(crate) value: String,
    /// The path in the stack file.
    pub(crate) path: String,
}

/// An app of the user's own. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct App {
    /// What runs.
    pub(crate) command: CommandLine,
    /// What runs once before the first new replica.
    pub(crate) release: Option<CommandLine>,
    /// Where it runs, absolute.
    pub(crate) folder: PathBuf,
    /// Where it listens, when it does not read `PORT`.
    pub(crate) port: Option<u16>,
    /// Its variables.
    pub(crate) variables: Vec<Variable>,
    /// Variables of the shell of which a change counts.
    pub(crate) decisive: BTreeMap<String, Setting>,
    /// Distinguishes contents of the file of variables without showing them.
    pub(crate) file: Option<String>,
    /// The pool that its driver reads from the address of MongoDB.
    pub(crate) pool: Pool,
    /// The database of that address.
    pub(crate) database: String,
}

/// One variable of an app, its references not yet filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: Template,
    /// The path in the stack file.
    pub(crate) path: String,
}

/// What an app sees besides the stack file: it may hold secrets, so it stays in memory and is never compared or shown.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Surroundings {
    /// The environment of the command that started it.
    pub(crate) shell: BTreeMap<String, String>,
    /// The variables of the file.
    pub(crate) file: BTreeMap<String, String>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Who runs a store, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "run_by", rename_all = "lowercase")]
pub(crate) enum Store {
    /// Someone else.
    External {
        /// The file of its URI, seen from the state folder.
        uri: PathBuf,
        /// Distinguishes URIs without showing them.
        fingerprint: String,
    },
    /// The supervisor: a server found on PATH.
    Found {
        /// The program.
        program: PathBuf,
        /// Its settings, by the path of the stack file.
        settings: BTreeMap<String, String>,
        /// Distinguishes passwords of Redis without showing them; the secret is kept where the layout has it.
        #[serde(default)]
        password: Option<String>,
    },
    /// The supervisor: a server in a container.
    Container {
        /// The image.
        image: String,
        /// The name of the container.
        name: String,
        /// The most memory, in bytes.
        memory: u64,
        /// Where the Docker engine listens.
        engine: String,
        /// As above.
        settings: BTreeMap<String, String>,
        /// As above.
        #[serde(default)]
        password: Option<String>,
    },
    /// The supervisor: the store within this program.
    Embedded {
        /// Its settings, by the path of the stack file.
        settings: BTreeMap<String, String>,
    },
}

impl Store {
    /// Whether someone else runs it.
    pub(crate) fn is_external(&self) -> bool {
        matches!(self, Self::External { .. })
    }

    /// Who runs it, for people.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::External { .. } => "external".into(),
            Self::Found { program, .. } => {
                format!("{} (found on PATH)", program.file_name().unwrap_or_default().display())
            }
            Self::Container { image, .. } => format!("{image} (container)"),
            Self::Embedded { .. } => "embedded, for development".into(),
        }
    }
}

/// What the supervisor answers to `GET /status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Which program the supervisor is; a newer one restarts the stack.
    pub(crate) build: String,
    /// The supervisor's process.
    pub(crate) pid: u32,
    /// Whose stack it is; an earlier build does not say.
    #[serde(default)]
    pub(crate) owner: Option<Owner>,
    /// The status for users.
    pub(crate) status: Status,
}

/// A request to bring the stack to `desired`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Apply {
    /// What the stack should be.
    pub(crate) desired: Desired,
    /// Whose stack it is from now on.
    #[serde(default)]
    pub(crate) owner: Option<Owner>,
    /// What an app of the user's own sees besides.
    #[serde(default)]
    pub(crate) surroundings: Surroundings,
    /// How long a component may take to become ready, in milliseconds.
    pub(crate) timeout_ms: u64,
}

/// What the supervisor reports while it works, one JSON document a line. `Done` or `Failed` is the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// What it does now.
    Progress {
        /// For people.
        message: String,
    },
    /// All was done.
    Done {
        /// What was changed.
        plan: Plan,
        /// The status after it.
        status: Status,
    },
    /// It did not work.
    Failed {
        /// Why.
        report: Report,
    },
}

/// The first line on the supervisor's stdout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "handshake", rename_all = "lowercase")]
pub(crate) enum Handshake {
    /// The control socket answers.
    Ready,
    /// There will be no supervisor.
    Failed {
        /// Why.
        report: Report,
    },
}

/// Which program this is: where its file lies, its size and its age.
pub(crate) fn build() -> String {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(crate::targets::local::parent_death::SELF) {
        Ok(meta) => {
            format!("{}-{}-{}-{}", meta.dev(), meta.ino(), meta.size(), meta.mtime_nsec() + meta.mtime())
        }
        Err(_) => env!("CARGO_PKG_VERSION").to_owned(),
    }
}
