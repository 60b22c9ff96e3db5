//! Options of `serve`.

use std::net::SocketAddr;

use clap::Args;

/// Options of `serve`. Without the sockets of a supervisor the service opens its own.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Forward what passes the rate limit to the app at URL, instead of running
    /// the bundled service; HTTP/1.1 only [env: UPSTREAM_URL]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// The address of a public socket; may be repeated
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "admin")]
    pub public: Vec<SocketAddr>,
    /// The address of the admin socket
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "public")]
    pub admin: Option<SocketAddr>,
}
