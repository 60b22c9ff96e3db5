//! The arguments of `render`.

use std::path::PathBuf;

use clap::Args;

/// What `render` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  appforge render --target compose --out deploy
  appforge render --target kubernetes --out kubernetes
  appforge render --target all --check
  appforge render --eject compose/haproxy.cfg")]
pub struct RenderArgs {
    /// The folder that the documents go to; with `--target all` each target gets a folder in it
    #[arg(long, value_name = "DIR", default_value = "deploy")]
    pub out: PathBuf,
    /// Print the documents instead
    #[arg(long, conflicts_with_all = ["check", "eject"])]
    pub stdout: bool,
    /// Write nothing; print a unified diff and exit 5 when the folder holds anything else
    #[arg(long, conflicts_with = "eject")]
    pub check: bool,
    /// Write the embedded template NAME to `templates/`, to be changed there
    #[arg(long, value_name = "NAME")]
    pub eject: Option<String>,
    /// Replace files that appforge did not render
    #[arg(long)]
    pub force: bool,
}
