//! One connection to a port of a pod, through the API server, and what the server says when it cannot be used.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use tokio::io::DuplexStream;
use tokio::time::timeout;

use crate::error::{ExitStatus, Failure};
use crate::targets::kubernetes::client::cluster::Cluster;
use crate::targets::kubernetes::client::fault::{Doing, explain};

/// How long the API server may take to open a way to a pod.
const OPENING: Duration = Duration::from_secs(10);
/// How long after the end of a connection its reason may arrive.
const REASON: Duration = Duration::from_millis(200);

/// A connection to a port of a pod.
pub(crate) struct Link {
    /// Its bytes.
    pub(crate) stream: DuplexStream,
    fault: BoxFuture<'static, Option<String>>,
}

impl Link {
    /// Opens a connection. That the pod itself refuses it is seen only when the connection is used: see [`Link::fault`].
    ///
    /// # Errors
    /// The API server's refusal, or exit 9 when it does not answer in time.
    pub(crate) async fn open(cluster: &Cluster, pod: &str, port: u16) -> Result<Self> {
        let doing = Doing::one("create", "pods/portforward", pod, Some(&cluster.namespace));
        let ports = [port];
        let api = cluster.api::<Pod>();
        let opening = timeout(OPENING, api.portforward(pod, &ports));
        let Ok(opened) = opening.await else {
            let message =
                format!("the API server opened no connection to `{pod}` within {} s", OPENING.as_secs());
            return Err(Failure::new(ExitStatus::TimedOut, message).into());
        };
        let mut forward = opened.map_err(|error| explain(error, &doing, &cluster.place))?;
        let missing = "the API server opened no connection to the pod";
        let stream = forward.take_stream(port).context(missing)?;
        let fault = forward.take_error(port).context(missing)?.boxed();
        Ok(Self { stream, fault })
    }

    /// Why a connection that has ended could not be used; `None` when the pod closed it.
    pub(crate) async fn fault(self) -> Option<String> {
        drop(self.stream);
        let reason = timeout(REASON, self.fault).await.ok().flatten();
        reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty())
    }
}
