//! What `verify` and `load` need to know of a running stack: where it answers, where its replicas and stores are.

use anyhow::Result;

use crate::error::{ExitStatus, Failure};
use crate::render::context::compose::{ALERTMANAGER_PORT, FRONTS, PROMETHEUS_PORT, STORE_USER};
use crate::stack::values::Secret;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::admin;
use crate::targets::certificates::Accept;
use crate::targets::compose::apply::converge::of_kind;
use crate::targets::compose::apply::credentials::{Store, mongodb_uri, redis_url};
use crate::targets::compose::observe::container::Container;
use crate::targets::compose::observe::engine::Engine;
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::Session;
use crate::targets::compose::session::not_up;
use crate::targets::subject::{Monitoring, REDIS_BACK_WITHIN, Replica, ServiceAddress, Subject, Ways};

impl Compose {
    /// The running stack.
    ///
    /// # Errors
    /// Exit 4 when the engine cannot be reached or the stack is not up.
    pub(crate) async fn running(&self) -> Result<Subject> {
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        let address = |kind: StoreKind| {
            containers
                .iter()
                .find(|container| container.is(kind.into()) && container.is_up())
                .and_then(|container| container.address.as_ref())
                .map(|address| format!("{address}:{}", kind.port()))
        };
        let replicas = self.counters(&containers);
        if replicas.is_empty() {
            return Err(not_up(self.project()).into());
        }
        let credentials = self.credentials()?;
        let gone = || not_up(self.project());
        Ok(Subject {
            service: ServiceAddress { url: self.url(&engine), accept: self.accept()? },
            probe_secret: credentials.probe,
            desired: self.counter().1,
            replicas,
            mongodb_uri: match credentials.mongodb {
                Store::Managed(password) => mongodb_uri(
                    &address(StoreKind::Mongodb).ok_or_else(gone)?,
                    STORE_USER,
                    &password,
                    "&directConnection=true",
                ),
                Store::External(uri) => from_here(&engine, &uri),
            },
            redis_url: match credentials.redis {
                Store::Managed(password) => {
                    redis_url(&address(StoreKind::Redis).ok_or_else(gone)?, &password)
                }
                Store::External(url) => from_here(&engine, &url),
            },
            autoscaler: None,
            monitoring: self.monitoring(&containers),
            detour: None,
            redis_back_within: REDIS_BACK_WITHIN,
            ways: Ways::default(),
        })
    }

    /// Where monitoring answers, unless the stack has none.
    fn monitoring(&self, containers: &[Container]) -> Option<Monitoring> {
        let at = |kind: ComponentKind, port: u16| {
            let container = of_kind(containers, kind).find(|container| container.is_up())?;
            container.address.as_ref().map(|address| format!("http://{address}:{port}"))
        };
        self.stack.monitoring.enabled.then(|| Monitoring {
            prometheus: at(ComponentKind::Prometheus, PROMETHEUS_PORT),
            alertmanager: at(ComponentKind::Alertmanager, ALERTMANAGER_PORT),
        })
    }

    /// The certificate of the gateway: that of the stack file, whatever names and authorities it has.
    fn accept(&self) -> Result<Accept> {
        let Some(tls) = &self.stack.compose.tls else { return Ok(Accept::Trusted) };
        let (path, name) = ("compose.tls.cert", &tls.cert);
        Accept::first_of(&self.text_of(path, name)?).map_err(|error| {
            Failure::new(ExitStatus::Config, format!("{path}: cannot read `{name}`")).caused_by(error).into()
        })
    }

    /// The container of a store.
    ///
    /// # Errors
    /// When the engine cannot be reached or the stack does not run that store.
    pub(crate) async fn container_of(&self, store: StoreKind) -> Result<(Engine, String)> {
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        let container = containers.into_iter().find(|container| container.is(store.into()));
        let id = container.map(|container| container.id).ok_or_else(|| not_up(self.project()))?;
        Ok((engine, id))
    }

    /// What counts requests, and how many of it there are: the replicas of the bundled service, else the fronts.
    pub(crate) fn counter(&self) -> (ComponentKind, u32) {
        if self.stack.service.is_own() {
            (ComponentKind::Front, FRONTS)
        } else {
            (ComponentKind::Service, self.stack.service.replicas)
        }
    }

    fn counters(&self, containers: &[Container]) -> Vec<Replica> {
        of_kind(containers, self.counter().0)
            .filter(|container| container.is_up())
            .filter_map(|container| {
                Some(Replica {
                    name: container.short_name(),
                    admin: format!("http://{}:{}", container.address.as_ref()?, self.admin_port()),
                })
            })
            .collect()
    }
}

impl Session<'_> {
    /// Sets over how many replicas the limit is shared while Redis is away.
    pub(crate) async fn share_limit(&self, containers: &[Container]) {
        let replicas = self.compose.counters(containers).into_iter();
        let replicas = replicas.map(|replica| (replica.name, admin::connect(replica.admin))).collect();
        let (_, count) = self.compose.counter();
        admin::share_limit(replicas, count).await.iter().for_each(|line| (self.say)(line));
    }
}

/// The URI of an external store as this machine reaches it: what containers call `host.docker.internal` is here.
fn from_here(engine: &Engine, uri: &Secret) -> Secret {
    if engine.is_local() {
        Secret::new(uri.reveal().replace("host.docker.internal", "127.0.0.1"))
    } else {
        uri.clone()
    }
}
