//! What `verify` and `load` need to know of a running stack, reached through tunnels that live as long as the answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Pod, Secret as SecretObject};
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure};
use crate::render::Overrides;
use crate::render::context::compose::{STORE_USER, admin_port};
use crate::render::context::kubernetes::names;
use crate::stack::values::Secret;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::change::LOOK;
use crate::targets::kubernetes::apply::secrets::value_of;
use crate::targets::kubernetes::apply::{mounted, references};
use crate::targets::kubernetes::client::link::Link;
use crate::targets::kubernetes::client::{Cluster, Doing, MANAGER, Object, apply};
use crate::targets::kubernetes::observe::exits::Destination;
use crate::targets::kubernetes::observe::observed::Waiting;
use crate::targets::kubernetes::observe::pods::{self, is_ready};
use crate::targets::kubernetes::observe::status::Snapshot;
use crate::targets::kubernetes::observe::tunnel::{self, Content, Tunnel};
use crate::targets::kubernetes::scale::autoscaler;
use crate::targets::kubernetes::session::{Kubernetes, not_up};
use crate::targets::subject::{Replica, ServiceAddress, Subject, Ways};

/// How long a subject may be looked at; the tunnels' own requests stop after that.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Once Redis takes connections, replicas reach it again within this; they may remember the address of its old pod.
const REDIS_BACK_WITHIN: Duration = Duration::from_secs(10);
/// What a load passes through, as a warning.
const DETOUR: &str =
    "requests go through the API server, which adds latency; `--url` tests the public address";
/// How long Redis may take to go or to come back in a drill.
const DRILL: Duration = Duration::from_secs(60);

impl Kubernetes {
    /// The running stack.
    ///
    /// # Errors
    /// Exit 4 when the cluster cannot be reached or the stack is not up or its Secrets cannot be read.
    pub(crate) async fn running(&self) -> Result<Subject> {
        let cluster = self.connect(LOOK).await?;
        let snapshot = Snapshot::take(&cluster, self.name()).await?;
        let replicas: Vec<String> = ready(&snapshot, ComponentKind::Service);
        if replicas.is_empty() {
            return Err(not_up(self.name(), &cluster).into());
        }
        let cluster = cluster.until(Instant::now() + LONGEST);
        let stack = &self.stack;
        let service = names::service(stack);
        let deployment = snapshot
            .deployments
            .iter()
            .find(|deployment| deployment.metadata.name.as_ref() == Some(&service));
        let desired = deployment.and_then(|deployment| deployment.spec.replicas).unwrap_or(1);
        // What the replicas run with, which after a rollback is not what the file says.
        let template = serde_json::to_value(deployment.map(|deployment| &deployment.spec.template))?;
        let mounted = mounted::Mounted::of(&template, &service).name(&service);
        let secret = self.secret(&cluster, &mounted).await?;
        let probe_secret = self.required(&secret, &mounted, names::PROBE_SECRET)?;
        let mut ways = Vec::new();
        let port = names::container_port(stack);
        if let Some(first) = replicas.first() {
            // That nothing can be reached this way is said before anything is measured.
            Link::open(&cluster, first, port).await?;
        }
        let public = Destination { component: Some(ComponentKind::Service), pods: replicas.clone(), port };
        let url = tunnel::open(&cluster, self.name(), Content::Requests, public).await?;
        let mut admins = Vec::new();
        for name in replicas {
            let admin = Destination { component: None, pods: vec![name.clone()], port: admin_port(stack) };
            let way = tunnel::open(&cluster, self.name(), Content::Bytes, admin).await?;
            admins.push(Replica { name, admin: format!("http://{}", way.address) });
            ways.push(way.task);
        }
        let mongodb_uri = match stack.external(StoreKind::Mongodb) {
            Some(_) => match references::mounted(&template, names::MONGODB_URI) {
                Some(key) => references::value(&cluster, &key).await?,
                None => self.required(&secret, &mounted, names::MONGODB_URI)?,
            },
            None => {
                let name = names::mongodb(stack);
                let password = self.secret(&cluster, &name).await?;
                let password = self.required(&password, &name, names::ROOT_PASSWORD)?;
                let way = self.store(&cluster, &snapshot, StoreKind::Mongodb).await?;
                let uri = format!(
                    "mongodb://{STORE_USER}:{}@{}/?authSource=admin&directConnection=true",
                    password.reveal(),
                    way.address
                );
                ways.push(way.task);
                Secret::new(uri)
            }
        };
        let redis_url = match stack.external(StoreKind::Redis) {
            Some(_) => match references::mounted(&template, names::REDIS_URL) {
                Some(key) => references::value(&cluster, &key).await?,
                None => self.required(&secret, &mounted, names::REDIS_URL)?,
            },
            None => {
                let name = names::redis(stack);
                let password = self.secret(&cluster, &name).await?;
                let password = self.required(&password, &name, names::PASSWORD)?;
                let way = self.store(&cluster, &snapshot, StoreKind::Redis).await?;
                let url = format!("redis://{STORE_USER}:{}@{}", password.reveal(), way.address);
                ways.push(way.task);
                Secret::new(url)
            }
        };
        let address = url.address;
        ways.push(url.task);
        Ok(Subject {
            service: ServiceAddress::of(format!("http://{address}")),
            probe_secret,
            desired: u32::try_from(desired).unwrap_or(0),
            replicas: admins,
            mongodb_uri,
            redis_url,
            autoscaler: snapshot.autoscalers.first().map(autoscaler::read),
            monitoring: None,
            detour: Some(DETOUR),
            redis_back_within: REDIS_BACK_WITHIN,
            ways: Ways(Arc::new(ways)),
        })
    }

    async fn store(&self, cluster: &Cluster, snapshot: &Snapshot, kind: StoreKind) -> Result<Tunnel> {
        let pods = ready(snapshot, kind.into());
        if pods.is_empty() {
            return Err(Failure::new(ExitStatus::Failed, format!("no pod of {} is ready", kind.as_str()))
                .hint("appforge status")
                .into());
        }
        tunnel::open(
            cluster,
            self.name(),
            Content::Bytes,
            Destination { component: Some(kind.into()), pods, port: kind.port() },
        )
        .await
    }

    async fn secret(&self, cluster: &Cluster, name: &str) -> Result<serde_json::Value> {
        let api = cluster.api::<SecretObject>();
        let doing = Doing::one("get", "secrets", name, Some(&cluster.namespace));
        Ok(serde_json::to_value(cluster.call(doing, || api.get(name)).await?)?)
    }

    fn required(&self, secret: &serde_json::Value, name: &str, key: &str) -> Result<Secret> {
        value_of(secret, key)?.ok_or_else(|| {
            Failure::new(ExitStatus::Failed, format!("the Secret `{name}` has no `{key}`"))
                .hint("appforge up   # restores it")
                .into()
        })
    }

    /// Takes Redis away or gives it back, for a drill, and waits until that is done.
    ///
    /// # Errors
    /// When Redis is external, or the cluster does not do it in time.
    pub(crate) async fn scale_redis(&self, on: bool) -> Result<()> {
        if self.stack.external(StoreKind::Redis).is_some() {
            return Err(Failure::new(
                ExitStatus::Failed,
                "appforge does not run this Redis and cannot stop it",
            )
            .hint("run the drill on a stack with `redis: {mode: managed}`")
            .into());
        }
        let session = self.session(self.connect(DRILL).await?, &|_| ());
        let name = names::redis(&self.stack);
        let objects = self.documents(&session.cluster, Overrides::default()).await?;
        let set =
            objects.into_iter().find(|object| object.kind.name() == "StatefulSet" && object.name == name);
        let Some(mut set): Option<Object> = set else {
            return Err(Failure::new(ExitStatus::Failed, "this stack does not run Redis").into());
        };
        if !on {
            set.set(&["spec", "replicas"], 0);
        }
        apply(&session.cluster, &set, MANAGER, true).await?;
        if on {
            session.wait_for_rollout(Waiting::default()).await
        } else {
            session.wait_until_gone(Some(StoreKind::Redis.into())).await
        }
    }
}

fn ready(snapshot: &Snapshot, component: ComponentKind) -> Vec<String> {
    let pods: Vec<&Pod> = snapshot.pods_of(component).filter(|pod| is_ready(pod)).collect();
    pods.into_iter().map(|pod| pods::name(pod).to_owned()).collect()
}
