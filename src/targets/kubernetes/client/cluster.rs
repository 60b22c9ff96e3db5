//! One cluster for the whole of a command: which context, whether it may be used unasked, and requests with a deadline.

use std::fmt;
use std::future::Future;
use std::io::{ErrorKind, IsTerminal};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use kube::client::AuthError;
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Resource};
use tokio::time::Instant;

use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::targets::kubernetes::client::connection;
use crate::targets::kubernetes::client::fault::{Doing, Place, explain, is_missing, is_transient, timed_out};
use crate::targets::kubernetes::client::once::Once;
use crate::targets::proxy::{Proxies, Proxy};

/// The manager of the fields that we set.
pub(crate) const MANAGER: &str = "appforge";
/// Requests that are under way at once.
pub(crate) const AT_ONCE: usize = 8;
/// How long one request may take before it is tried again.
const REQUEST: Duration = Duration::from_secs(30);
/// The first and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The name of the context inside a pod, where there is no kubeconfig.
/// How long a person may take to log in.
const LOGIN: Duration = Duration::from_secs(300);
const IN_CLUSTER: &str = "in-cluster";

/// A client of one cluster, pinned to one context.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// For what is no plain request: watches, logs, port-forwards.
    pub(crate) client: Client,
    /// Where requests go, for messages.
    pub(crate) place: Place,
    /// The namespace of the stack.
    pub(crate) namespace: String,
    /// Whether the cluster is this machine's own.
    pub(crate) local: bool,
    deadline: Instant,
    reached: Arc<AtomicBool>,
    slow: Once,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (context, namespace) = (&self.place.context, &self.namespace);
        f.debug_struct("Cluster")
            .field("context", context)
            .field("namespace", namespace)
            .finish_non_exhaustive()
    }
}

/// Which cluster is meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// What `--context` named.
    pub(crate) flag: Option<String>,
    /// What the stack file names.
    pub(crate) file: Option<String>,
    /// The namespace of the stack.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Picks the context and makes the client. No request is sent yet; those to come are tried for `patience`, and the
    /// user learns once that the server is slow.
    ///
    /// # Errors
    /// Exit 4 without a kubeconfig or a context, exit 2 for a context that is not there, or for a remote one that nobody named.
    pub(crate) async fn connect(choice: &Choice, patience: Duration, once: &Once) -> Result<Self> {
        let named = choice.flag.clone().or_else(|| choice.file.clone());
        let (config, mut place, proxies) = match read_kubeconfig()? {
            Some(kubeconfig) => pick(kubeconfig, named.as_deref()).await?,
            None => inside(named.as_deref())?,
        };
        let local = is_local(&place, config.cluster_url.host().unwrap_or_default());
        if !local && named.is_none() {
            return Err(Failure::new(
                ExitStatus::Usage,
                format!(
                    "the context `{}` is a remote cluster ({}); confirm it with `--context`",
                    place.context, place.server
                ),
            )
            .hint(format!(
                "add `--context {0}`, or set `kubernetes: {{context: {0}}}` in the stack file",
                place.context
            ))
            .into());
        }
        let proxy = proxies.to(&config.cluster_url)?;
        place.proxy = proxy.as_ref().map(|proxy| proxy.hint(&config.cluster_url));
        let client = client(config, proxies, proxy, &place, patience).await?;
        Ok(Self {
            client,
            place,
            namespace: choice.namespace.clone(),
            local,
            deadline: Instant::now() + patience,
            reached: Arc::new(AtomicBool::new(false)),
            slow: once.another(),
        })
    }

    /// What is printed before anything is done.
    pub(crate) fn title(&self) -> String {
        format!("context {} ({}), namespace {}", self.place.context, self.place.server, self.namespace)
    }

    /// When the command has to be done.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The same cluster with more or less time.
    pub(crate) fn until(&self, deadline: Instant) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// A line to print once, beside the command's progress.
    pub(crate) fn another_line(&self) -> Once {
        self.slow.another()
    }

    /// Objects of a kind in the stack's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Sends a request, again and again while the server is slow, overloaded or restarting, until the deadline.
    pub(crate) async fn call<T, F>(&self, doing: Doing, request: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.attempt(&doing, request).await {
            Ok(outcome) => outcome.map_err(|error| explain(error, &doing, &self.place)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// As [`Cluster::call`], with `None` for what is not there.
    pub(crate) async fn find<T, F>(&self, doing: Doing, request: impl Fn() -> F) -> Result<Option<T>>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.attempt(&doing, request).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(error)) if is_missing(&error) => Ok(None),
            Ok(Err(error)) => Err(explain(error, &doing, &self.place)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The server's own answer, after attempts that lasted until the deadline.
    ///
    /// # Errors
    /// Exit 9 when the deadline passes first.
    pub(crate) async fn attempt<T, F>(
        &self,
        doing: &Doing,
        request: impl Fn() -> F,
    ) -> Result<kube::Result<T>, Failure>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut pause = PAUSES.0;
        loop {
            let until = self.deadline.min(Instant::now() + REQUEST);
            let error = match tokio::time::timeout_at(until, request()).await {
                Ok(Ok(answer)) => {
                    self.reached.store(true, Ordering::Relaxed);
                    return Ok(Ok(answer));
                }
                Ok(Err(error)) => error,
                Err(_) if Instant::now() >= self.deadline => return Err(timed_out(doing, &self.place)),
                Err(_) => continue,
            };
            let reached = self.reached.load(Ordering::Relaxed) || matches!(error, kube::Error::Api(_));
            self.reached.store(reached, Ordering::Relaxed);
            if !is_transient(&error, reached) || Instant::now() + pause >= self.deadline {
                return Ok(Err(error));
            }
            self.slow.print("the API server is slow or restarting; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Makes the client. A program that the kubeconfig names for credentials runs now, for as long as `patience`; a person who has to
/// log in gets more.
async fn client(
    config: Config,
    proxies: Proxies,
    proxy: Option<Proxy>,
    place: &Place,
    patience: Duration,
) -> Result<Client> {
    let plugin = config.auth_info.exec.clone();
    let program = plugin.as_ref().and_then(|plugin| plugin.command.clone()).unwrap_or_default();
    let patience = if std::io::stdin().is_terminal() { patience.max(LOGIN) } else { patience };
    let building = tokio::task::spawn_blocking(move || connection::build(config, proxies, proxy.as_ref()));
    let Ok(built) = tokio::time::timeout(patience, building).await else {
        let message = format!(
            "the credential program `{program}` of the kubeconfig did not finish within {} s",
            patience.as_secs()
        );
        let hint = format!("kubectl --context {} cluster-info, which runs it too", place.context);
        return Err(Failure::new(ExitStatus::Unreachable, message).hint(hint).into());
    };
    built.context("cannot create the client of the cluster")?.map_err(|error| match error {
        kube::Error::Auth(AuthError::AuthExecStart(error)) => {
            let message = format!("cannot run the credential program `{program}` of the kubeconfig");
            let hint = plugin
                .and_then(|plugin| plugin.install_hint)
                .unwrap_or_else(|| format!("install `{program}`"));
            Failure::new(ExitStatus::Unreachable, message).hint(hint.trim()).caused_by(error).into()
        }
        error => explain(error, &Doing::all("connect", "cluster", None), place),
    })
}

/// The files of `KUBECONFIG`, merged, else the one of the home folder. Of several, those that are missing are passed over, as
/// kubectl does.
fn merged() -> Result<Kubeconfig, KubeconfigError> {
    let list = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut paths = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
    let Some(first) = paths.next() else { return Kubeconfig::read() };
    let missing = |error: &KubeconfigError| matches!(error, KubeconfigError::ReadConfig(error, _) if error.kind() == ErrorKind::NotFound);
    paths.fold(Kubeconfig::read_from(first), |before, path| match (before, Kubeconfig::read_from(path)) {
        (Ok(before), Ok(next)) => before.merge(next),
        (Ok(found), Err(error)) | (Err(error), Ok(found)) if missing(&error) => Ok(found),
        (Err(error), Err(other)) if missing(&error) => Err(other),
        (Err(error), _) | (_, Err(error)) => Err(error),
    })
}

/// The kubeconfig of `KUBECONFIG` or the home folder; none inside a pod.
fn read_kubeconfig() -> Result<Option<Kubeconfig>> {
    let missing = |error: &KubeconfigError| match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == ErrorKind::NotFound,
        _ => false,
    };
    match merged() {
        Ok(kubeconfig) => Ok(Some(kubeconfig)),
        Err(error) if missing(&error) && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => Ok(None),
        Err(error) if missing(&error) => {
            Err(Failure::new(ExitStatus::Unreachable, "cannot find a kubeconfig")
                .hint("set KUBECONFIG, or create a cluster on this machine: kind create cluster")
                .hint("without a cluster: appforge up --target local")
                .caused_by(error)
                .into())
        }
        // The error's own text shows the lines of the file, which has tokens.
        Err(KubeconfigError::Parse(error)) => {
            let place = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
            let message = format!("invalid kubeconfig{}", place.unwrap_or_default());
            Err(Failure::new(ExitStatus::Unreachable, message).hint("kubectl config view").into())
        }
        Err(error) => Err(Failure::new(ExitStatus::Unreachable, "the kubeconfig cannot be read")
            .hint("kubectl config view")
            .caused_by(error)
            .into()),
    }
}

async fn pick(mut kubeconfig: Kubeconfig, named: Option<&str>) -> Result<(Config, Place, Proxies)> {
    let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    let Some(context) = named.map(str::to_owned).or(current) else {
        return Err(Failure::new(ExitStatus::Unreachable, "the kubeconfig has no current context")
            .hint("kubectl config get-contexts, then `--context NAME`")
            .into());
    };
    let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let found = kubeconfig.contexts.iter().find(|known| known.name == context);
    let Some(found) = found else {
        let failure = Failure::new(ExitStatus::Usage, format!("the kubeconfig has no context `{context}`"));
        return Err(match nearest(&context, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("kubectl config get-contexts"),
        }
        .into());
    };
    let user = found.context.as_ref().and_then(|context| context.user.clone()).unwrap_or_default();
    let cluster = found.context.as_ref().map(|context| context.cluster.clone()).unwrap_or_default();
    let proxies = connection::proxies(&mut kubeconfig, &cluster);
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
        Failure::new(
            ExitStatus::Unreachable,
            format!("the context `{context}` of the kubeconfig cannot be used"),
        )
        .hint(format!("kubectl config view --minify --context {context}"))
        .caused_by(error)
    })?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    Ok((config, Place { context, server, user, proxy: None }, proxies))
}

fn inside(named: Option<&str>) -> Result<(Config, Place, Proxies)> {
    let config = Config::incluster().map_err(|error| {
        Failure::new(ExitStatus::Unreachable, "cannot find a kubeconfig or a service account of this pod")
            .hint("mount a service account's token, or point KUBECONFIG at a kubeconfig")
            .caused_by(error)
    })?;
    if named.is_some_and(|named| named != IN_CLUSTER) {
        return Err(Failure::new(ExitStatus::Usage, "inside a pod the only context is `in-cluster`")
            .hint("--context in-cluster")
            .into());
    }
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let place = Place { context: IN_CLUSTER.into(), server, user: "service account".into(), proxy: None };
    Ok((config, place, Proxies::from_environment()))
}

/// Whether a cluster is this machine's own: by the name that the makers of such clusters give, or by its address.
fn is_local(place: &Place, host: &str) -> bool {
    let name = place.context.as_str();
    let host = host.trim_matches(['[', ']']);
    name.starts_with("kind-")
        || name.starts_with("k3d-")
        || name == "minikube"
        || name == "docker-desktop"
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_is_local_by_name_or_address() {
        let local = |context: &str, host: &str| {
            let place =
                Place { context: context.into(), server: String::new(), user: String::new(), proxy: None };
            is_local(&place, host)
        };
        assert!(local("kind-dev", "10.0.0.1"));
        assert!(local("anything", "127.0.0.1"));
        assert!(local("anything", "[::1]"));
        assert!(!local("prod", "10.0.0.1"));
        assert!(!local("kindred", "api.example"));
    }
}
