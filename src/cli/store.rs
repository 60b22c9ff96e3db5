//! Options of the verbs that run a store. The supervisor calls them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::stack::StoreKind;

/// Which embedded store, and how.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// `mongodb` or `redis`
    pub name: StoreKind,
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

/// A store in a container, as the supervisor runs it.
#[derive(Clone, Debug, Args)]
pub struct StoreContainerArgs {
    /// The name of the container
    #[arg(long)]
    pub name: String,
    /// Its image
    #[arg(long)]
    pub image: String,
    /// The port, within and on 127.0.0.1
    #[arg(long)]
    pub port: u16,
    /// The most memory, in bytes
    #[arg(long)]
    pub memory: u64,
    /// The configuration that the server reads
    #[arg(long)]
    pub configuration: Option<PathBuf>,
    /// A word of the command in it
    #[arg(long = "word", allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// The folder of its data
    #[arg(long)]
    pub data: PathBuf,
}
