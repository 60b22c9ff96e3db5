//! The command line: clap types only. What a verb does stands in `commands/`.

pub mod image;
pub mod init;
pub mod load;
pub mod render;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::image::ImageVerb;
use crate::cli::init::InitArgs;
use crate::cli::render::RenderArgs;
use crate::output::Format;
use crate::spec::TargetKind;

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
