//! A connection to one MongoDB server of this machine, whatever set it is in. Asks nothing.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use mongodb::Client;
use mongodb::options::{ClientOptions, ServerAddress};

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A client of the server at `address`; whoever takes it shuts it down.
///
/// # Errors
/// When nothing listens there.
pub(super) async fn client(address: SocketAddr) -> Result<Client> {
    // The driver's own search takes half a second when nothing listens yet.
    drop(tokio::net::TcpStream::connect(address).await?);
    let host = ServerAddress::Tcp { host: address.ip().to_string(), port: Some(address.port()) };
    let options = ClientOptions::builder()
        .hosts(vec![host])
        .direct_connection(true)
        .server_selection_timeout(LIMIT)
        .build();
    Ok(Client::with_options(options)?)
}
