//! The arguments of `image`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::targets::image::RemoteName;

/// What `image` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum ImageVerb {
    /// Load the image into the Docker engine, as `up` does
    Build,
    /// Write the image to a file for `docker load`
    Save {
        /// Path of the file
        #[arg(long, value_name = "FILE", default_value = "appforge-service.tar")]
        out: PathBuf,
    },
    /// Push the image to a registry, with the credentials of `docker login`
    Push {
        /// Name in the registry, such as
        /// `registry.example.com/team/appforge-service:1.2` [default tag: the version]
        #[arg(value_name = "NAME", value_parser = clap::value_parser!(RemoteName))]
        name: RemoteName,
        /// Use HTTP, for a registry in your own network
        #[arg(long)]
        plain_http: bool,
    },
}
