//! What `verify` and `load` need to know of a running stack: where it answers, where its replicas and stores are.

use std::time::Duration;

use anyhow::Result;
use appforge_service::contract::admin;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::converge::replicas_of;
use super::credentials::{Store, mongodb_uri, redis_url};
use super::engine::Engine;
use super::observe::Container;
use super::{Compose, not_up};
use crate::stack::values::Secret;
use crate::targets::Say;
pub use crate::targets::subject::{Replica, Subject, Ways};

/// How long a replica may take to take a number.
const TELLING: Duration = Duration::from_secs(3);

impl Compose {
    /// The running stack, of which there should be `desired` replicas.
    ///
    /// # Errors
    /// Exit 4 when the engine cannot be reached or the stack is not up.
    pub async fn subject(&self, desired: u32) -> Result<Subject> {
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        let address = |component: &str, port: u16| {
            containers
                .iter()
                .find(|container| container.component == component && container.is_up())
                .and_then(|container| container.address.as_ref())
                .map(|address| format!("{address}:{port}"))
        };
        let replicas = self.replicas(&containers);
        if replicas.is_empty() {
            return Err(not_up(self.project()).into());
        }
        let credentials = self.credentials()?;
        let gone = || not_up(self.project());
        Ok(Subject {
            url: self.url(&engine),
            probe_secret: credentials.probe,
            desired,
            replicas,
            mongodb_uri: match credentials.mongodb {
                Store::Managed(password) => mongodb_uri(
                    &address("mongodb", 27017).ok_or_else(gone)?,
                    &password,
                    "&directConnection=true",
                ),
                Store::External(uri) => from_here(&engine, &uri),
            },
            redis_url: match credentials.redis {
                Store::Managed(password) => redis_url(&address("redis", 6379).ok_or_else(gone)?, &password),
                Store::External(url) => from_here(&engine, &url),
            },
            autoscaler: None,
            ways: Ways::default(),
        })
    }

    /// Stops one store's container, for a drill; [`Compose::start_store`] undoes it.
    ///
    /// # Errors
    /// When the engine cannot be reached or the stack does not run that store.
    pub async fn stop_store(&self, store: &str) -> Result<()> {
        let (engine, id) = self.store(store).await?;
        Ok(engine.docker.stop_container(&id, None).await?)
    }

    /// Starts a store's container again.
    ///
    /// # Errors
    /// As [`Compose::stop_store`].
    pub async fn start_store(&self, store: &str) -> Result<()> {
        let (engine, id) = self.store(store).await?;
        Ok(engine.docker.start_container(&id, None).await?)
    }

    async fn store(&self, store: &str) -> Result<(Engine, String)> {
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        let container = containers.into_iter().find(|container| container.component == store);
        let id = container.map(|container| container.id).ok_or_else(|| not_up(self.project()))?;
        Ok((engine, id))
    }

    fn replicas(&self, containers: &[Container]) -> Vec<Replica> {
        replicas_of(containers)
            .filter(|container| container.is_up())
            .filter_map(|container| {
                Some(Replica {
                    name: container.short_name(),
                    admin: format!("http://{}:{}", container.address.as_ref()?, self.admin_port()),
                })
            })
            .collect()
    }

    /// Tells each replica over how many the budget is shared while Redis is away. One that cannot be told keeps the number
    /// that it has, which is said; the limit in Redis does not depend on it.
    pub(super) async fn tell_replicas(&self, containers: &[Container], count: u32, say: Say<'_>) {
        if !self.stack.service.image.is_bundled() {
            return;
        }
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        for replica in self.replicas(containers) {
            let body = format!("{{\"replicas\":{count}}}");
            let request = http::Request::put(format!("{}{}", replica.admin, admin::REPLICAS))
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body)));
            let Ok(request) = request else { continue };
            let answer = tokio::time::timeout(TELLING, client.request(request)).await;
            if !matches!(&answer, Ok(Ok(answer)) if answer.status().is_success()) {
                say(&format!("{} could not be told the number of replicas", replica.name));
            }
        }
    }
}

/// The URI of an external store as this machine reaches it: what containers call `host.docker.internal` is here.
fn from_here(engine: &Engine, uri: &Secret) -> Secret {
    match engine.is_local() {
        true => Secret::new(uri.reveal().replace("host.docker.internal", "127.0.0.1")),
        false => uri.clone(),
    }
}
