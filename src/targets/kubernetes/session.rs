//! A stack on a cluster, and one command's work on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::error::Failure;
use crate::stack::Stack;
use crate::targets::change;
use crate::targets::kubernetes::client::{Choice, Cluster, Once};
use crate::targets::ownership::Claim;
use crate::targets::progress::Say;

/// A stack on a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Kubernetes {
    pub(crate) stack: Stack,
    /// Where the stack file is.
    pub(crate) project: PathBuf,
    /// What this target keeps, within the state folder.
    pub(crate) folder: PathBuf,
    pub(crate) templates: BTreeMap<String, String>,
    pub(crate) claim: Claim,
    /// Set once this command has made the namespace.
    pub(crate) made_namespace: OnceLock<()>,
    context: Option<String>,
    once: Once,
    /// One client for the whole command, so that a program which gives credentials runs once.
    cluster: OnceCell<Cluster>,
}

/// What a change of a stack needs all along.
pub(crate) struct Session<'a> {
    pub(crate) kubernetes: &'a Kubernetes,
    pub(crate) stack: &'a Stack,
    pub(crate) cluster: Cluster,
    pub(crate) say: Say<'a>,
}

impl Kubernetes {
    /// The stack of the project in `folders`, which are its own and that of its state, on the cluster that its file names;
    /// `templates` are those that the project puts in place of ours.
    pub(crate) fn new(
        folders: (&Path, &Path),
        stack: Stack,
        templates: BTreeMap<String, String>,
        claim: Claim,
    ) -> Self {
        let (project, state) = folders;
        Self {
            stack,
            project: project.to_owned(),
            folder: state.join("kubernetes"),
            templates,
            claim,
            made_namespace: OnceLock::new(),
            context: None,
            once: Once::new(|_| ()),
            cluster: OnceCell::new(),
        }
    }

    /// The same stack on the cluster that the command line names. `print` receives once which cluster that is.
    pub(crate) fn on(self, context: Option<String>, print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { context, once: Once::new(print), ..self }
    }

    /// The stack's name, which is the value of the label that all its objects carry.
    pub(crate) fn name(&self) -> &str {
        self.stack.name.as_str()
    }

    /// The cluster, for as long as `patience`, once it is sure that the stack of this name on it is this project's, or has
    /// no owner yet.
    ///
    /// # Errors
    /// See [`Cluster::connect`]; exit 1 when the stack is another project's.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<Cluster> {
        let cluster = self.reach(patience).await?;
        self.check_owner(&cluster).await?;
        Ok(cluster)
    }

    /// The cluster, whoever owns the stack. Prints which cluster it is, unless that was printed before.
    pub(crate) async fn reach(&self, patience: Duration) -> Result<Cluster> {
        let choice = Choice {
            flag: self.context.clone(),
            file: self.stack.kubernetes.context.clone(),
            namespace: self.stack.kubernetes.namespace.as_str().to_owned(),
        };
        let connect = || Cluster::connect(&choice, patience, &self.once);
        let cluster = self.cluster.get_or_try_init(connect).await?.until(Instant::now() + patience);
        self.once.print(&cluster.title());
        Ok(cluster)
    }

    /// Prints a warning, beside the progress.
    pub(crate) fn warn(&self, line: &str) {
        self.once.another().print(&format!("warning: {line}"));
    }

    /// Begins work on `cluster`.
    pub(crate) fn session<'a>(&'a self, cluster: Cluster, say: Say<'a>) -> Session<'a> {
        Session { kubernetes: self, stack: &self.stack, cluster, say }
    }
}

impl Session<'_> {
    /// The stack's name.
    pub(crate) fn name(&self) -> &str {
        self.kubernetes.name()
    }

    /// The same work with more or less time.
    pub(crate) fn until(&self, deadline: Instant) -> Self {
        let (kubernetes, stack, say) = (self.kubernetes, self.stack, self.say);
        Self { kubernetes, stack, cluster: self.cluster.until(deadline), say }
    }
}

/// The failure of a verb that needs a running stack.
pub(crate) fn not_up(stack: &str, cluster: &Cluster) -> Failure {
    let place = format!(" in the namespace `{}` of {}", cluster.namespace, cluster.place.context);
    change::not_up(stack, &place, "appforge up --target kubernetes")
}
