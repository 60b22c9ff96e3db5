//! Tells each replica over how many the rate limit is shared while Redis is away. An autoscaler changes that number
//! without a word; what counts then is what was told last. The limit in Redis does not depend on it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use appforge_service::contract::admin;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::timeout;

use super::Kubernetes;
use super::cluster::Cluster;
use super::pods::{is_ready, name};
use super::status::Snapshot;
use super::world::AT_ONCE;
use crate::render::context::compose::admin_port;
use crate::targets::Say;

/// How long a replica may take to take a number.
const TELLING: Duration = Duration::from_secs(5);

impl Kubernetes {
    /// Tells all ready replicas; one that cannot be told keeps the number that it has, which is said.
    pub(super) async fn tell_replicas(&self, cluster: &Cluster, snapshot: &Snapshot, say: Say<'_>) {
        if !self.stack.service.image.is_bundled() {
            return;
        }
        let ready: Vec<&Pod> = snapshot.pods_of("service").filter(|pod| is_ready(pod)).collect();
        let (count, port) = (ready.len(), admin_port(&self.stack));
        let telling = ready.iter().map(|pod| async move {
            let told = timeout(TELLING, tell(cluster, name(pod), port, count)).await;
            (name(pod), matches!(told, Ok(Ok(()))))
        });
        let told: Vec<(&str, bool)> = stream::iter(telling).buffered(AT_ONCE).collect().await;
        for (pod, _) in told.into_iter().filter(|(_, told)| !told) {
            say(&format!("{pod} could not be told the number of replicas"));
        }
    }
}

async fn tell(cluster: &Cluster, pod: &str, port: u16, count: usize) -> Result<()> {
    let mut way = cluster.api::<Pod>().portforward(pod, &[port]).await?;
    let stream = way.take_stream(port).context("no way to the pod")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors come back through the request.
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::put(admin::REPLICAS)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(format!("{{\"replicas\":{count}}}"))))?;
    let answer = sender.send_request(request).await?;
    drop(connection);
    ensure!(answer.status().is_success(), "it answers {}", answer.status());
    Ok(())
}
