//! The image of this program on the nodes of a cluster of this machine: packed, named by its content, loaded once.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::targets::image::{Fingerprint, architecture, fingerprint, is_packed_name, pack};
use crate::targets::kubernetes::client::{Cluster, Doing, is_forbidden};
use crate::targets::kubernetes::session::{Kubernetes, Session};

/// Where a node's containerd listens, when the node is this machine: containerd's own, k3s's, MicroK8s's.
const SOCKETS: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];
/// What names another socket; containerd's own tools read it.
const SOCKET_VARIABLE: &str = "CONTAINERD_ADDRESS";

/// What the last packing gave, so that the next `up` need not read the executable.
#[derive(Serialize, Deserialize)]
struct Memory {
    program: Fingerprint,
    reference: String,
}

impl Kubernetes {
    /// What the packed image is called on the nodes; none when the stack names that of a registry. Loads nothing.
    ///
    /// # Errors
    /// Exit 3 on a remote cluster, whose nodes no program of this machine can reach.
    pub(crate) fn image(&self, cluster: &Cluster) -> Result<Option<String>> {
        if self.stack.runtime.image.is_some() {
            return Ok(None);
        }
        if !cluster.local {
            return Err(Failure::new(
                ExitStatus::Config,
                format!(
                    "the image of appforge cannot be loaded into the nodes of the remote cluster `{}`",
                    cluster.place.context
                ),
            )
            .hint(
                "push it to a registry that the cluster can pull from: appforge image push REGISTRY/NAME:TAG",
            )
            .hint("then set `runtime: {image: REGISTRY/NAME:TAG}` in the stack file")
            .into());
        }
        let program = fingerprint()?;
        if let Some(reference) = recall(&self.memory(), &program) {
            return Ok(Some(reference));
        }
        let reference = pack()?.reference;
        let text = serde_json::to_string(&Memory { program, reference: reference.clone() })?;
        files::make_private_folder(&self.folder)?;
        files::write_private(&self.memory(), text.as_bytes(), 0o600)?;
        Ok(Some(reference))
    }

    fn memory(&self) -> PathBuf {
        self.folder.join("image.json")
    }
}

impl Session<'_> {
    /// Loads the image into the nodes unless they have it.
    ///
    /// # Errors
    /// When the nodes run another architecture, or the program that loads images is not there or fails.
    pub(crate) async fn load_image(&self, reference: &str) -> Result<()> {
        let (cluster, say) = (&self.cluster, self.say);
        let nodes = nodes(cluster).await?;
        refuse_other_machines(&nodes)?;
        if !nodes.is_empty() && nodes.iter().all(|node| has(node, reference)) {
            return Ok(());
        }
        let loader = Loader::of(cluster)?;
        say(&format!("loading the service image {reference} ({})", loader.program));
        let archive = self.kubernetes.folder.join("image.tar");
        files::write_private(&archive, &pack()?.archive()?, 0o600)?;
        let outcome = loader.run(&archive, cluster).await;
        let removed = files::remove_private(&archive);
        outcome?;
        removed
    }
}

/// A memory that cannot be read is none.
fn recall(path: &Path, program: &Fingerprint) -> Option<String> {
    let memory: Memory = serde_json::from_str(&files::read_private(path).ok()??).ok()?;
    (memory.program == *program && is_packed_name(&memory.reference)).then_some(memory.reference)
}

/// The nodes; none when we may not look.
async fn nodes(cluster: &Cluster) -> Result<Vec<Node>> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let all = ListParams::default();
    match cluster.call(Doing::all("list", "nodes", None), || api.list(&all)).await {
        Ok(list) => Ok(list.items),
        Err(error) if is_forbidden(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn refuse_other_machines(nodes: &[Node]) -> Result<()> {
    let other = nodes.iter().find_map(|node| {
        let found = node.status.as_ref()?.node_info.as_ref()?.architecture.clone();
        (!found.is_empty() && found != architecture()).then_some(found)
    });
    match other {
        None => Ok(()),
        Some(other) => Err(Failure::new(
            ExitStatus::Failed,
            format!("the nodes run {other} containers, this program is {}", architecture()),
        )
        .hint("run appforge on a machine like the nodes, or set `runtime.image`")
        .into()),
    }
}

/// Whether a node says that it has an image; it names its largest ones only.
fn has(node: &Node, reference: &str) -> bool {
    let images = node.status.iter().flat_map(|status| status.images.iter().flatten());
    let suffix = format!("/{reference}");
    images
        .flat_map(|image| image.names.iter().flatten())
        .any(|name| name == reference || name.ends_with(&suffix))
}

/// The program that brings an image archive into the nodes.
struct Loader {
    program: &'static str,
    /// What stands before the archive's path.
    arguments: Vec<String>,
}

impl Loader {
    fn of(cluster: &Cluster) -> Result<Self> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let context = cluster.place.context.as_str();
        let (program, arguments) = if let Some(name) = context.strip_prefix("kind-") {
            ("kind", words(&["load", "image-archive", "--name", name]))
        } else if let Some(name) = context.strip_prefix("k3d-") {
            ("k3d", words(&["image", "import", "--cluster", name]))
        } else if context == "minikube" {
            ("minikube", words(&["image", "load"]))
        } else if context == "docker-desktop" {
            ("docker", words(&["load", "--input"]))
        } else {
            let socket = socket().ok_or_else(|| no_loader(cluster))?;
            ("ctr", words(&["--address", &socket, "--namespace", "k8s.io", "images", "import"]))
        };
        Ok(Self { program, arguments })
    }

    async fn run(&self, archive: &Path, cluster: &Cluster) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).arg(archive);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout_at(cluster.deadline(), command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(no_loader(cluster).caused_by(error).into());
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                return Err(Failure::new(
                    ExitStatus::TimedOut,
                    format!("`{}` did not load the service image in time", self.program),
                )
                .hint("run the same command to continue; `--timeout` sets the time limit")
                .into());
            }
        };
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::new(
            ExitStatus::Failed,
            format!("`{}` could not load the service image: it ended with {}", self.program, output.status),
        )
        .hint(format!(
            "{} {} image.tar, after: appforge image save --out image.tar",
            self.program,
            self.arguments.join(" ")
        ))
        .caused_by(anyhow::anyhow!(said))
        .into())
    }
}

fn socket() -> Option<String> {
    let named = std::env::var(SOCKET_VARIABLE).ok().filter(|socket| !socket.is_empty());
    named.or_else(|| SOCKETS.into_iter().find(|socket| Path::new(socket).exists()).map(str::to_owned))
}

fn no_loader(cluster: &Cluster) -> Failure {
    Failure::new(
        ExitStatus::Failed,
        format!("cannot load the service image into the nodes of `{}`", cluster.place.context),
    )
    .hint("name the socket of the node's containerd in CONTAINERD_ADDRESS, and have `ctr`, `kind`, `k3d` or `minikube` on PATH")
    .hint("or push it to a registry, appforge image push REGISTRY/NAME:TAG, and set that as `runtime.image`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_has_image_when_its_registry_precedes_it() {
        let node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {}, "status": {"images": [{"names": ["docker.io/library/appforge-service:0123", "x@sha256:1"]}]}
        }))
        .unwrap();
        assert!(has(&node, "appforge-service:0123"));
        assert!(!has(&node, "appforge-service:012"));
        assert!(!has(&node, "service:0123"));
    }
}
