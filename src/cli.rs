//! The command line: clap types only. What a verb does stands in `commands/`.

pub mod cost;
pub mod image;
pub mod init;
pub mod load;
pub mod render;

use std::net::SocketAddr;
use std::path::PathBuf;

use appforge_service::contract;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::image::ImageVerb;
use crate::cli::init::InitArgs;
use crate::cli::render::RenderArgs;
use crate::output::Format;
use crate::stack::TargetKind;
use crate::stack::values::Span;

/// Takes a MongoDB + Redis backed HTTP service from a laptop to Kubernetes, and proves each step.
#[derive(Debug, Parser)]
#[command(name = "appforge", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// What stdout carries
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// No colours; the variable NO_COLOR does the same
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Answer every question with its default
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// The stack file [default: appforge.yaml here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE", env = "APPFORGE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Lay appforge.NAME.yaml over the stack file
    #[arg(long, global = true, value_name = "NAME", env = "APPFORGE_ENV")]
    pub env: Option<String>,
    /// Where the stack runs [default: the file's `target`]
    #[arg(long, global = true, value_enum, value_name = "TARGET")]
    pub target: Option<TargetChoice>,
    /// The kubeconfig context; a remote cluster is named here or in the stack file
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
}

/// What `--target` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TargetChoice {
    /// Supervised processes on this machine
    Local,
    /// Docker Compose
    Compose,
    /// A Kubernetes cluster
    Kubernetes,
    /// Every target that has documents (`render` only)
    All,
}

impl TargetChoice {
    /// The one target that is meant, if it is one.
    pub fn one(self) -> Option<TargetKind> {
        match self {
            Self::Local => Some(TargetKind::Local),
            Self::Compose => Some(TargetKind::Compose),
            Self::Kubernetes => Some(TargetKind::Kubernetes),
            Self::All => None,
        }
    }
}

/// The verbs, in the order of a stack's life.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write appforge.yaml from questions, flags and defaults
    Init(InitArgs),
    /// Write the documents of a target: compose file, manifests
    Render(RenderArgs),
    /// Make the service image from this very program: no registry, no build
    #[command(subcommand)]
    Image(ImageVerb),
    /// Load the service, judge it, report
    Load(Box<load::LoadArgs>),
    /// Start the stack, or bring it to what the file says, and wait until it is ready
    Up(UpArgs),
    /// Set the number of replicas; the next `up` keeps it
    Scale(ScaleArgs),
    /// Show what runs
    Status {
        /// Show it again and again until Ctrl-C
        #[arg(short, long)]
        watch: bool,
    },
    /// Print what the components said
    Logs(LogsArgs),
    /// Replace every replica, one after the other, without a failed request
    Restart {
        /// How long a component may take to become ready
        #[arg(long, value_name = "TIME", default_value = "120s")]
        timeout: Span,
    },
    /// List the revisions of the service (kubernetes)
    History,
    /// Go back to an earlier revision and wait for it; without a number, list them (kubernetes)
    Rollback {
        /// The revision
        revision: Option<u64>,
        /// How long it may take
        #[arg(long, value_name = "TIME", default_value = "120s")]
        timeout: Span,
    },
    /// Show what `up` would create, change, restart and remove; exit 5 when there is something
    Diff,
    /// Prove that the running stack is what the file says; exit 6 when it is not
    Verify(VerifyArgs),
    /// Stop the stack; the data stays
    Down {
        /// Also remove the data of the stores, after asking
        #[arg(long)]
        volumes: bool,
    },
    /// What N users a day cost a month, why, and what binds
    Cost(Box<cost::CostArgs>),
    /// Look at what the target needs of this machine, with a fix for what it lacks; exit 1 when it cannot work
    Doctor,
    /// Show, describe or check the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a completion script, for example `appforge completions bash`
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Run the bundled service; replicas and images do this
    Serve(ServeArgs),
    /// Exit 0 when the replica on this host is ready; for images, which have no curl
    Healthcheck {
        /// The admin port
        #[arg(long, env = contract::variable::ADMIN_PORT, default_value_t = contract::ADMIN_PORT)]
        port: u16,
    },
    /// Try the stores at MONGODB_URI and REDIS_URL, or the files that MONGODB_URI_FILE and REDIS_URL_FILE name
    #[command(hide = true)]
    Reach {
        /// How long a store may take to answer
        #[arg(long, value_name = "TIME", default_value = "10s")]
        timeout: Span,
    },
    /// Run an embedded store
    #[command(hide = true)]
    Store(StoreArgs),
    /// Run the supervisor of a stack
    #[command(hide = true)]
    Supervise {
        /// The state folder
        #[arg(long)]
        state: PathBuf,
    },
    /// Become a program that ends with its supervisor
    #[command(hide = true)]
    Supervised {
        /// The supervisor's process
        #[arg(long)]
        parent: u32,
        /// Stay as the parent of the program, and give the processes that it leaves behind this many milliseconds to end
        #[arg(long, value_name = "MS")]
        guard: Option<u64>,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        program: Vec<String>,
    },
}

/// How `up` is done.
#[derive(Clone, Copy, Debug, Args)]
pub struct UpArgs {
    /// How many replicas, as `scale` sets it
    #[arg(long, value_name = "N")]
    pub replicas: Option<u32>,
    /// How long a component may take to become ready
    #[arg(long, value_name = "TIME", default_value = "120s")]
    pub timeout: Span,
    /// Only show what would be done; on Kubernetes judged by the server, or only read from it
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, require_equals = true, default_missing_value = "server")]
    pub dry_run: Option<DryRun>,
    /// Take over fields that somebody else manages (kubernetes)
    #[arg(long)]
    pub force_conflicts: bool,
    /// Exit 1 when an external store does not answer at its address, even if the address is not new
    #[arg(long)]
    pub strict: bool,
    /// Make the stack of another project this project's; data and passwords stay as they are
    #[arg(long)]
    pub take_over: bool,
    /// Continue with embedded data that is less than what was acknowledged (local)
    #[arg(long)]
    pub accept_loss: bool,
}

/// Who judges what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    /// This program, from what it may read
    Client,
    /// The server, with all its rules and defaults
    Server,
}

/// How `scale` is done.
#[derive(Clone, Copy, Debug, Args)]
pub struct ScaleArgs {
    /// How many replicas; with autoscaling, the fewest
    #[arg(long, value_name = "N")]
    pub replicas: u32,
    /// The most that autoscaling may make of it (kubernetes)
    #[arg(long, value_name = "M")]
    pub max: Option<u32>,
    /// How long a component may take to become ready
    #[arg(long, value_name = "TIME", default_value = "120s")]
    pub timeout: Span,
}

/// Which lines `logs` prints.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// The components, such as `service-1` or `redis`; `service` is every replica [default: all]
    pub components: Vec<String>,
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger, such as `10m`, or than a time, such as `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Only lines with this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
}

/// What `verify` looks at.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Only this check; may be given again [possible: service-health, mongodb-connections, redis-ping, rate-limit, replicas, autoscaler]
    #[arg(long, value_name = "NAME")]
    pub check: Vec<String>,
    /// Also take something away and see what the service does: `redis-down` stops Redis for a moment
    #[arg(long, value_name = "DRILL", value_parser = ["redis-down"])]
    pub drill: Option<String>,
}

/// The sockets that a supervisor hands to a replica; without them the service opens its own.
#[derive(Clone, Copy, Debug, Args)]
pub struct ServeArgs {
    /// The address of the public socket
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "admin")]
    pub public: Option<SocketAddr>,
    /// The address of the admin socket
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "public")]
    pub admin: Option<SocketAddr>,
}

/// Which embedded store, and how.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// `mongodb` or `redis`
    #[arg(value_parser = ["mongodb", "redis"])]
    pub name: String,
    /// The address of the socket that the supervisor hands over
    #[arg(long, value_name = "ADDRESS")]
    pub socket: SocketAddr,
    /// The folder of its data
    #[arg(long)]
    pub data: PathBuf,
    /// Bytes for keys (redis)
    #[arg(long, default_value_t = 0)]
    pub maxmemory: u64,
    /// What goes when they are used up (redis)
    #[arg(long, default_value = "allkeys-lru")]
    pub maxmemory_policy: String,
}

/// What `config` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print the stack as it results from all sources
    Show {
        /// Also print where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON schema of appforge.yaml
    Schema,
    /// Check the configuration; exit 3 when it is invalid
    Validate,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
