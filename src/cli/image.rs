//! The arguments of `image`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::targets::image::RemoteName;

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
    /// Bring the image to a registry, with the credentials of `docker login`; no Docker engine is needed
    Push {
        /// Where to; without a tag the version's [example: registry.example.com/team/appforge-service]
        #[arg(value_name = "NAME", value_parser = clap::value_parser!(RemoteName))]
        name: RemoteName,
        /// Without TLS, for a registry in a network of your own
        #[arg(long)]
        plain_http: bool,
    },
}
