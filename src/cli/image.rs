//! The arguments of `image`.

use std::path::PathBuf;

use clap::Subcommand;

/// What `image` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum ImageVerb {
    /// Load the image into the Docker engine; `up` does it by itself
    Build,
    /// Write the image to a file, for `docker load` on another host
    Save {
        /// The file
        #[arg(long, value_name = "FILE", default_value = "appforge-service.tar")]
        out: PathBuf,
    },
}
