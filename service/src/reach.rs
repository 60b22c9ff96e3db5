//! Whether the stores answer at their addresses: one attempt each, for `up`, which tries an address before it applies it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{mongodb, redis};

/// The addresses to try; each is a secret, for it may carry a password.
#[derive(Clone, Default)]
pub struct Addresses {
    /// The URI of MongoDB.
    pub mongodb: Option<String>,
    /// The URL of Redis.
    pub redis: Option<String>,
}

/// Why stores did not answer, never with credentials; `None` for one that did, or was not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Why MongoDB did not answer.
    pub mongodb: Option<String>,
    /// Why Redis did not answer.
    pub redis: Option<String>,
}

impl Reached {
    /// Whether all that were asked answered.
    pub fn all(&self) -> bool {
        self.mongodb.is_none() && self.redis.is_none()
    }
}

/// Tries all addresses at once, each for at most `limit`.
pub async fn reach(addresses: &Addresses, limit: Duration) -> Reached {
    let mongodb = async {
        let uri = addresses.mongodb.as_deref()?;
        mongodb::reach(uri, limit).await.err()
    };
    let redis = async {
        let url = addresses.redis.as_deref()?;
        redis::reach(url, limit).await.err()
    };
    let (mongodb, redis) = tokio::join!(mongodb, redis);
    Reached { mongodb, redis }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(600);

    #[tokio::test]
    async fn closed_port_is_named_without_credentials() {
        let port = appforge_testing::port::reserve();
        let addresses = Addresses {
            mongodb: Some(format!("mongodb://u:hunter22@127.0.0.1:{port}")),
            redis: Some(format!("redis://u:hunter22@127.0.0.1:{port}")),
        };
        let reached = reach(&addresses, LIMIT).await;
        assert!(reached.mongodb.is_some() && reached.redis.is_some(), "{reached:?}");
        assert!(!format!("{reached:?}").contains("hunter22"), "{reached:?}");
    }

    #[tokio::test]
    async fn silent_server_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let addresses = Addresses {
            mongodb: Some(format!("mongodb://{address}")),
            redis: Some(format!("redis://{address}")),
        };
        let start = Instant::now();
        let reached = reach(&addresses, LIMIT).await;
        assert!(reached.mongodb.is_some() && reached.redis.is_some(), "{reached:?}");
        assert!(start.elapsed() < LIMIT * 5, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn address_that_is_not_given_is_not_asked() {
        assert!(reach(&Addresses::default(), LIMIT).await.all());
    }
}
