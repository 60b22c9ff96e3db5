//! A lease in the cluster: of all machines that reach the stack, one changes it at a time. It is an object of
//! `coordination.k8s.io`, renewed while a command works and deleted at its end; after `kill -9` it expires.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{ExitStatus, Failure};
use crate::render::Overrides;
use crate::targets::change::Verb;
use crate::targets::hold::Hold;
use crate::targets::kubernetes::client::{Cluster, Doing, MANAGER, explain, is_terminating};
use crate::targets::kubernetes::session::Kubernetes;
use crate::targets::ownership::{printable, user_at_host};
use crate::targets::progress::Say;

const RESOURCE: &str = "leases.coordination.k8s.io";
/// A lease that was not renewed for so long is free.
const LASTS: Duration = Duration::from_secs(15);
/// The longest that another program's lease is taken to last.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is renewed.
const RENEWED: Duration = Duration::from_secs(5);
/// How long after a look at another machine's lease the next one follows: the right to get one is not the right to watch it.
const PAUSE: Duration = Duration::from_secs(1);
/// How long giving it back may take; it expires anyway.
const RELEASE: Duration = Duration::from_secs(5);

/// What an attempt to take the lease led to.
enum Attempt {
    Taken,
    /// Another machine is faster, or has it.
    Busy,
    /// The role has no right to use leases.
    Forbidden,
    /// The namespace does not exist yet, or is being deleted.
    Nowhere,
}

#[derive(Clone)]
struct Lease {
    cluster: Cluster,
    name: String,
    holder: String,
}

impl Kubernetes {
    /// Takes the lease for `verb`, waiting for another machine's up to `patience`. For `up` a missing namespace is made first, since
    /// the lease lies in it. Without the right to use leases the command works without one, with a warning.
    ///
    /// # Errors
    /// Exit 9 when another machine still has it, naming that one.
    pub(crate) async fn take_lease(&self, verb: Verb, patience: Duration, say: Say<'_>) -> Result<Hold> {
        if matches!(verb, Verb::Up | Verb::Scale) {
            // What cannot be rendered is said before anything is looked for on the network.
            self.rendered(Overrides::default())?;
        }
        let cluster = self.connect(patience).await?;
        let holder =
            format!("`appforge {}` of {} (pid {})", verb.as_str(), user_at_host(), std::process::id());
        let lease = Lease { name: format!("{}-change", self.name()), cluster, holder };
        let mut attempt = lease.take(say).await?;
        if matches!((&attempt, verb), (Attempt::Nowhere, Verb::Up)) {
            self.begin_namespace(&lease.cluster, say).await?;
            attempt = lease.take(say).await?;
        }
        match attempt {
            Attempt::Taken => Ok(lease.hold()),
            Attempt::Forbidden => {
                self.warn(&format!(
                    "the role of `{}` may not use {RESOURCE} in the namespace `{}`, so another machine could change the stack at the same time",
                    lease.cluster.place.user, lease.cluster.namespace
                ));
                Ok(Hold::none())
            }
            Attempt::Nowhere | Attempt::Busy => Ok(Hold::none()),
        }
    }
}

impl Lease {
    async fn take(&self, say: Say<'_>) -> Result<Attempt> {
        let (mut seen, mut said) = ((String::new(), Instant::now()), false);
        loop {
            match self.create().await? {
                Attempt::Busy => {}
                other => return Ok(other),
            }
            // None: it was given back meanwhile.
            let mut other = "another appforge".to_owned();
            if let Some(found) = self.find().await? {
                let version = found.metadata.resource_version.clone().unwrap_or_default();
                let spec = found.spec.unwrap_or_default();
                let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                let lasts = lasts.map_or(LASTS, Duration::from_secs).min(LONGEST);
                let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
                if seen.0 != version {
                    // Clocks of machines differ: what counts is how long it did not change before our eyes.
                    seen = (version, Instant::now());
                }
                if holder.is_none() || seen.1.elapsed() >= lasts {
                    match self.patch(&seen.0).await? {
                        Attempt::Busy => {}
                        other => return Ok(other),
                    }
                }
                other = holder.map_or(other, |holder| printable(&holder));
                if !said {
                    said = true;
                    say(&format!("waiting for {other}"));
                }
            }
            if Instant::now() + PAUSE >= self.cluster.deadline() {
                let message = format!("another command ({other}) is still running on this stack");
                return Err(Failure::new(ExitStatus::TimedOut, message)
                    .hint("wait for it to finish, or end it")
                    .into());
            }
            sleep(PAUSE).await;
        }
    }

    /// Renews the lease until it is given back.
    fn hold(self) -> Hold {
        let (send, lost) = oneshot::channel();
        let renewed = self.clone();
        let renewing = AbortOnDropHandle::new(tokio::spawn(async move {
            let next = renewed.renew().await;
            // The command may have ended meanwhile.
            let _ = send.send(next);
        }));
        let lost = async move {
            match lost.await {
                Ok(holder) => holder,
                Err(_) => std::future::pending().await,
            }
        };
        let release = async move {
            drop(renewing);
            self.release().await;
        };
        Hold::new(lost.boxed(), release.boxed())
    }

    /// Renews it again and again; returns the next holder when there is one.
    async fn renew(&self) -> String {
        loop {
            sleep(RENEWED).await;
            let lease = self.within(RENEWED);
            // A server that does not answer now may do so before the lease expires.
            let Ok(Some(found)) = lease.find().await else { continue };
            match holder_of(&found) {
                Some(holder) if holder != self.holder => return printable(&holder),
                _ => {
                    let version = found.metadata.resource_version.unwrap_or_default();
                    let _ = lease.patch(&version).await;
                }
            }
        }
    }

    /// Deletes it, unless it is another machine's by now. One that cannot be deleted expires.
    async fn release(&self) {
        let lease = self.within(RELEASE);
        let Ok(Some(found)) = lease.find().await else { return };
        if holder_of(&found).as_ref() != Some(&self.holder) {
            return;
        }
        let preconditions = Preconditions { resource_version: found.metadata.resource_version, uid: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let api = lease.api();
        let _ = lease.cluster.attempt(&lease.doing("delete"), || api.delete(&lease.name, &parameters)).await;
    }

    async fn find(&self) -> Result<Option<LeaseObject>> {
        let api = self.api();
        self.cluster.find(self.doing("get"), || api.get(&self.name)).await
    }

    async fn create(&self) -> Result<Attempt> {
        let (api, parameters) =
            (self.api(), PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() });
        let mut value = self.content();
        value["apiVersion"] = "coordination.k8s.io/v1".into();
        value["kind"] = "Lease".into();
        value["metadata"] = json!({"name": self.name});
        let lease: LeaseObject = serde_json::from_value(value).context("a lease that the API has")?;
        let doing = self.doing("create");
        let answer = self.cluster.attempt(&doing, || api.create(&parameters, &lease)).await?;
        self.judged(answer, &doing)
    }

    /// Makes it ours, or renews it, if it is still at this version.
    async fn patch(&self, version: &str) -> Result<Attempt> {
        let mut value = self.content();
        value["metadata"] = json!({"resourceVersion": version});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let (api, patch, doing) = (self.api(), Patch::Merge(value), self.doing("patch"));
        let answer = self.cluster.attempt(&doing, || api.patch(&self.name, &parameters, &patch)).await?;
        self.judged(answer, &doing)
    }

    fn content(&self) -> Value {
        json!({"spec": {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": LASTS.as_secs(),
            "renewTime": format!("{:.6}", Timestamp::now()),
        }})
    }

    fn judged(&self, answer: kube::Result<LeaseObject>, doing: &Doing) -> Result<Attempt> {
        match answer {
            Ok(_) => Ok(Attempt::Taken),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Busy),
            Err(kube::Error::Api(status)) if status.code == 404 && doing.verb == "create" => {
                Ok(Attempt::Nowhere)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Attempt::Busy),
            Err(error) if is_terminating(&error) => Ok(Attempt::Nowhere),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Attempt::Forbidden),
            Err(error) => Err(explain(error, doing, &self.cluster.place)),
        }
    }

    fn within(&self, limit: Duration) -> Self {
        Self { cluster: self.cluster.until(Instant::now() + limit), ..self.clone() }
    }

    fn api(&self) -> Api<LeaseObject> {
        self.cluster.api()
    }

    fn doing(&self, verb: &'static str) -> Doing {
        Doing::one(verb, RESOURCE, &self.name, Some(&self.cluster.namespace))
    }
}

fn holder_of(lease: &LeaseObject) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone()
}
