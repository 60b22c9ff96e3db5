//! The command line: clap types only. `commands/` runs the verbs.

pub mod alerts;
pub mod cost;
pub mod help;
pub mod image;
pub mod init;
pub mod load;
pub mod monitor;
pub mod render;
pub mod serve;
pub mod store;

use std::path::PathBuf;

use appforge_service::contract;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::image::ImageVerb;
use crate::cli::init::InitArgs;
use crate::cli::monitor::MonitorArgs;
use crate::cli::render::RenderArgs;
use crate::cli::serve::ServeArgs;
use crate::cli::store::{StoreArgs, StoreContainerArgs};
use crate::output::Format;
use crate::stack::TargetKind;
use crate::stack::values::Span;
use crate::verify::Drill;

/// Run a MongoDB + Redis backed HTTP service on a laptop, on Docker Compose and on Kubernetes, and prove that it works
#[derive(Debug, Parser)]
#[command(name = "appforge", version, max_term_width = 80)]
#[command(disable_help_subcommand = true, disable_help_flag = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
    /// What help says about this verb.
    #[arg(skip)]
    pub topic: Option<&'static help::Topic>,
}

/// The options that every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Global {
    /// Output format of stdout
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Disable colours; the variable NO_COLOR does the same
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Print errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print details
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Confirm every question, also the one before data is removed
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Stack file [default: appforge.yaml in this folder or the nearest above]
    #[arg(long, global = true, value_name = "FILE", env = "APPFORGE_CONFIG", hide_env_values = true, value_parser = path())]
    pub config: Option<PathBuf>,
    /// Overlay appforge.NAME.yaml on the stack file
    #[arg(long, global = true, value_name = "NAME", env = "APPFORGE_ENV", hide_env_values = true)]
    pub env: Option<String>,
    /// Target that runs the stack [default: `target` of the stack file]
    #[arg(short, long, global = true, value_enum, value_name = "TARGET")]
    pub target: Option<TargetChoice>,
    /// Context of the kubeconfig; a remote cluster must be named here or in the
    /// stack file
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Print help
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
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

/// The verbs; help lists them by task.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write appforge.yaml from answers, flags and defaults
    Init(InitArgs),
    /// Write the documents of a target: compose file, manifests
    Render(RenderArgs),
    /// Make the service image from this program; needs no build and no registry
    #[command(subcommand)]
    Image(ImageVerb),
    /// Run a load test and check its thresholds
    Load(Box<load::LoadArgs>),
    /// Start or update the stack and wait until it is ready
    Up(UpArgs),
    /// List the alerts of the stack, or print the documents made of them
    Alerts(alerts::AlertsArgs),
    /// Set the number of replicas; the next `up` keeps it
    Scale(ScaleArgs),
    /// Show the components of the stack and their state
    #[command(alias = "ps")]
    Status {
        /// Refresh until interrupted
        #[arg(short, long)]
        watch: bool,
    },
    /// Show the logs of components
    Logs(LogsArgs),
    /// Serve a page with problems, charts and history on this machine
    Monitor(MonitorArgs),
    /// Show load, latency and memory of each replica until interrupted
    Top,
    /// Replace every replica in turn, without a failed request
    Restart {
        /// How long a component may take to become ready
        #[arg(long, value_name = "TIME", default_value = "120s")]
        timeout: Span,
    },
    /// List the revisions of the service (kubernetes)
    History,
    /// Roll back to an earlier revision (kubernetes)
    Rollback {
        /// Number of the revision, as `appforge history` lists it; by default the
        /// previous one
        revision: Option<u64>,
        /// How long a component may take to become ready
        #[arg(long, value_name = "TIME", default_value = "120s")]
        timeout: Span,
    },
    /// Show what `up` would change; exit 5 if there are changes
    Diff {
        /// Show what `up --force-conflicts` would change (kubernetes)
        #[arg(long)]
        force_conflicts: bool,
    },
    /// Check that the running stack is what the file says; exit 6 if not
    Verify(VerifyArgs),
    /// Stop the stack and keep its data
    Down {
        /// Also remove the data of the stores, after confirmation
        #[arg(long)]
        volumes: bool,
    },
    /// Estimate the monthly cost for N daily users; name the limiting factor
    Cost(Box<cost::CostArgs>),
    /// Check this machine's prerequisites and suggest fixes; exit 1 if one fails
    Doctor,
    /// Show, describe or validate the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a completion script
    Completions {
        /// Shell that runs the script
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Print help about a verb, or about `options`
    Help {
        /// Verb, such as `up` or `config show`
        topic: Vec<String>,
    },
    /// Print the version
    #[command(hide = true)]
    Version,
    /// Run the bundled service, or the front of an app
    Serve(ServeArgs),
    /// Exit 0 if the replica on this host is ready; images have no curl
    Healthcheck {
        /// Admin port
        #[arg(long, env = contract::variable::ADMIN_PORT, hide_env_values = true, default_value_t = contract::ADMIN_PORT)]
        port: u16,
    },
    /// Connect to the stores at MONGODB_URI and REDIS_URL, or in the files that MONGODB_URI_FILE and REDIS_URL_FILE name
    #[command(hide = true)]
    Reach {
        /// How long a store may take to answer
        #[arg(long, value_name = "TIME", default_value = "10s")]
        timeout: Span,
    },
    /// End the program that this container runs, as Kubernetes does before it ends a pod
    #[command(hide = true)]
    Drain {
        #[arg(long, value_name = "TIME", default_value = "0s")]
        after: Span,
    },
    /// Export metrics of the stores, a request to PROBE_URL and the desired replicas, at ADMIN_PORT
    #[command(hide = true)]
    Exporter,
    /// Run an embedded store
    #[command(hide = true)]
    Store(StoreArgs),
    /// Run a store in a container
    #[command(hide = true)]
    StoreContainer(StoreContainerArgs),
    /// Run the supervisor of a stack
    #[command(hide = true)]
    Supervise {
        /// State folder
        #[arg(long)]
        state: PathBuf,
    },
    /// Become a program that ends with its supervisor
    #[command(hide = true)]
    Supervised {
        /// Process number of the supervisor
        #[arg(long)]
        parent: u32,
        /// Stay as the parent of the program, and give the processes that it leaves behind this many milliseconds to end
        #[arg(long, value_name = "MS")]
        guard: Option<u64>,
        /// Program and its arguments
        #[arg(last = true, required = true)]
        program: Vec<String>,
    },
}

/// Options of `up`.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Number of replicas, as `scale` sets it
    #[arg(long, value_name = "N")]
    pub replicas: Option<u32>,
    /// How long a component may take to become ready
    #[arg(long, value_name = "TIME", default_value = "120s")]
    pub timeout: Span,
    /// Show the changes and make none; `server` (the default) asks the cluster
    /// to validate them, `client` only reads it
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, require_equals = true, default_missing_value = "server")]
    pub dry_run: Option<DryRun>,
    /// Take over fields that another field manager owns (kubernetes)
    #[arg(long)]
    pub force_conflicts: bool,
    /// Reason for the change, shown by `appforge history` (kubernetes)
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Exit 1 if an external store is unreachable, even at an unchanged address
    #[arg(long)]
    pub strict: bool,
    /// Adopt the stack of another project; data and passwords stay as they are
    #[arg(long)]
    pub take_over: bool,
    /// Continue with less embedded data than was acknowledged (local)
    #[arg(long)]
    pub accept_loss: bool,
    /// Watch the project's files and replace the replicas on changes (local)
    #[arg(short, long, conflicts_with = "dry_run")]
    pub watch: bool,
    /// Accepted for users of Docker Compose: `up` always runs in the background.
    #[arg(short, long, hide = true)]
    pub detach: bool,
}

/// Who validates the changes of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    /// This program, from what it can read
    Client,
    /// The API server, with its admission rules and defaults
    Server,
}

/// Options of `scale`.
#[derive(Clone, Copy, Debug, Args)]
pub struct ScaleArgs {
    /// Number of replicas; with autoscaling, the minimum
    #[arg(long, value_name = "N", required_unless_present = "count")]
    pub replicas: Option<u32>,
    /// Accepted in place of `--replicas`.
    #[arg(value_name = "N", hide = true, conflicts_with = "replicas")]
    count: Option<u32>,
    /// Maximum number of replicas with autoscaling (kubernetes)
    #[arg(long, value_name = "M")]
    pub max: Option<u32>,
    /// How long a component may take to become ready
    #[arg(long, value_name = "TIME", default_value = "120s")]
    pub timeout: Span,
}

impl ScaleArgs {
    /// The number of replicas; clap requires one of the two forms.
    pub fn number(&self) -> u32 {
        self.replicas.or(self.count).unwrap_or_default()
    }
}

/// Options of `logs`.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// Components, such as `service-1` or `redis`; `service` is every replica
    /// [default: all]
    pub components: Vec<String>,
    /// Follow the output until interrupted
    #[arg(short, long)]
    pub follow: bool,
    /// Lines since an age such as `10m` or a time such as `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Number of last lines
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<usize>,
    /// Lines that contain TEXT
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// On a terminal: do not remove escape sequences
    #[arg(long)]
    pub raw: bool,
}

/// Options of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Run only this check; may be repeated [possible: service-health,
    /// mongodb-connections, redis-ping, rate-limit, replicas, monitoring,
    /// autoscaler]
    #[arg(long, value_name = "NAME")]
    pub check: Vec<String>,
    /// Also inject a failure and check how the service responds: `redis-down`
    /// stops Redis for a moment
    #[arg(long, value_name = "DRILL", hide_possible_values = true)]
    pub drill: Option<Drill>,
}

/// A path. An empty one, as of `APPFORGE_CONFIG=`, names no file.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// What `config` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print the effective configuration
    Show {
        /// Also print the source of each value
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON schema of appforge.yaml
    Schema,
    /// Validate the configuration; exit 3 if it is invalid
    Validate,
}
