//! The options of `monitor`.

use std::path::PathBuf;

use clap::Args;

/// Options of `monitor`.
#[derive(Clone, Debug, Args)]
pub struct MonitorArgs {
    /// Port of the page on 127.0.0.1; 0 is any free one [default: 5080, or a free
    /// one if that is taken]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Print what is known now and exit
    #[arg(long, conflicts_with = "port")]
    pub once: bool,
    /// Write the page with its data to FILE and exit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["port", "once"])]
    pub report: Option<PathBuf>,
}
