//! The arguments of `render`.

use std::path::PathBuf;

use clap::Args;

/// Options of `render`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  appforge render --target compose --out deploy
  appforge render --target kubernetes --out kubernetes
  appforge render --target all --check
  appforge render --eject compose/haproxy.cfg")]
pub struct RenderArgs {
    /// Output folder; with `--target all` it has a subfolder for each target
    #[arg(long, value_name = "DIR", default_value = "deploy")]
    pub out: PathBuf,
    /// Print the documents to stdout
    #[arg(long, conflicts_with_all = ["check", "eject"])]
    pub stdout: bool,
    /// Write nothing; print a unified diff and exit 5 if the folder differs
    #[arg(long, conflicts_with = "eject")]
    pub check: bool,
    /// Copy the embedded template NAME to `templates/` to customise it
    #[arg(long, value_name = "NAME")]
    pub eject: Option<String>,
    /// Overwrite files that appforge did not render
    #[arg(long)]
    pub force: bool,
}
