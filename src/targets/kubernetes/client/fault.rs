//! What goes wrong between us and an API server, as errors that name the cause and the next command.
//!
//! Faults are distinguished by status codes, reasons and types, never by their text.

use std::error::Error as StdError;

use kube::client::AuthError;
use kube::core::Status;
use kube::error::Error;

use crate::error::{ExitStatus, Failure};

/// The cause that the API server gives when two managers want one field.
const FIELD_CONFLICT: &str = "FieldManagerConflict";
/// The cause of a request into a namespace that is being deleted.
const TERMINATING: &str = "NamespaceTerminating";

/// One request, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Doing {
    /// The verb as RBAC knows it.
    pub(crate) verb: &'static str,
    /// The resource as RBAC knows it, such as `deployments.apps`.
    pub(crate) resource: String,
    /// The object, when there is one.
    pub(crate) name: Option<String>,
    /// Its namespace, when it has one.
    pub(crate) namespace: Option<String>,
}

impl Doing {
    /// A request for one object.
    pub(crate) fn one(verb: &'static str, resource: &str, name: &str, namespace: Option<&str>) -> Self {
        Self {
            verb,
            resource: resource.to_owned(),
            name: Some(name.to_owned()),
            namespace: namespace.map(str::to_owned),
        }
    }

    /// A request for all objects of a kind.
    pub(crate) fn all(verb: &'static str, resource: &str, namespace: Option<&str>) -> Self {
        Self { verb, resource: resource.to_owned(), name: None, namespace: namespace.map(str::to_owned) }
    }

    /// The resource as `kubectl auth can-i` takes it.
    fn right(&self) -> String {
        match self.resource.split_once('/') {
            Some((resource, sub)) => format!("{resource} --subresource={sub}"),
            None => self.resource.clone(),
        }
    }

    fn object(&self) -> String {
        match &self.name {
            Some(name) => format!("{}/{name}", self.resource),
            None => self.resource.clone(),
        }
    }
}

/// Where a request went, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The kubeconfig context.
    pub(crate) context: String,
    /// The API server.
    pub(crate) server: String,
    /// The user of the context.
    pub(crate) user: String,
    /// The hint about the proxy, when there is one.
    pub(crate) proxy: Option<String>,
}

impl Place {
    fn kubectl(&self, arguments: &str) -> String {
        format!("kubectl --context {} {arguments}", self.context)
    }
}

/// Whether another try may succeed. `reached` says whether the server has answered before.
pub(crate) fn is_transient(error: &Error, reached: bool) -> bool {
    match error {
        Error::Api(status) => {
            // A webhook or an etcd that is just coming back answers 500 with the time to wait.
            let retry = status.details.as_ref().is_some_and(|details| details.retry_after_seconds > 0);
            matches!(status.code, 429 | 502..=504) || status.code == 500 && retry
        }
        Error::HyperError(_) | Error::Service(_) => reached && auth(error).is_none(),
        Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Whether the server said that there is no such object.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// Whether the server refuses because the namespace is being deleted.
pub(crate) fn is_terminating(error: &Error) -> bool {
    matches!(error, Error::Api(status) if has_cause(status, TERMINATING))
}

fn has_cause(status: &Status, reason: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
}

/// The fields that other managers own, with these, when that is why the server refuses.
pub(crate) fn conflicts(error: &Error) -> Vec<String> {
    match error {
        Error::Api(status) if status.code == 409 => described_causes(status).collect(),
        _ => Vec::new(),
    }
}

/// The fields that two managers want.
fn described_causes(status: &Status) -> impl Iterator<Item = String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == FIELD_CONFLICT);
    conflicts.map(|cause| format!("{} {}", cause.field, cause.message))
}

/// Whether the server refuses the verb.
pub(crate) fn is_forbidden(error: &anyhow::Error) -> bool {
    code(error) == Some(403)
}

/// Whether the server finds an object not valid.
pub(crate) fn is_invalid(error: &anyhow::Error) -> bool {
    code(error) == Some(422)
}

/// Whether the server has an object of that name already.
pub(crate) fn is_there_already(error: &anyhow::Error) -> bool {
    code(error) == Some(409)
}

/// The status code of the server's answer that an error is about.
fn code(error: &anyhow::Error) -> Option<u16> {
    error.chain().find_map(|cause| cause.downcast_ref::<Refused>()).map(|Refused(status)| status.code)
}

/// The server's answer, kept as the cause of a failure; says its message once.
#[derive(Debug)]
pub(crate) struct Refused(pub Box<Status>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Refused {}

/// The error of a request, with its exit status and the next command.
pub(crate) fn explain(error: Error, doing: &Doing, place: &Place) -> anyhow::Error {
    if let Some(auth) = auth(&error) {
        return credentials(place, described(auth)).into();
    }
    match error {
        Error::Api(status) => refused(status, doing, place).into(),
        Error::HyperError(_) | Error::Service(_) => unreachable(place).caused_by(error).into(),
        other => {
            Failure::new(ExitStatus::Failed, format!("invalid answer to `{} {}`", doing.verb, doing.object()))
                .caused_by(other)
                .into()
        }
    }
}

/// The failure of a request without an answer.
pub(crate) fn unreachable(place: &Place) -> Failure {
    let failure = Failure::new(
        ExitStatus::Unreachable,
        format!("the cluster of the context `{}` cannot be reached at {}", place.context, place.server),
    );
    let failure = place.proxy.iter().fold(failure, Failure::hint);
    failure.hint(place.kubectl("cluster-info"))
}

/// The failure of a request that was tried until the deadline.
pub(crate) fn timed_out(doing: &Doing, place: &Place) -> Failure {
    Failure::new(
        ExitStatus::TimedOut,
        format!(
            "the API server at {} did not answer `{} {}` in time",
            place.server,
            doing.verb,
            doing.object()
        ),
    )
    .hint(place.kubectl("get --raw /readyz"))
    .hint("run the same command to continue; `--timeout` sets the time limit")
}

fn credentials(place: &Place, why: String) -> Failure {
    Failure::new(
        ExitStatus::Unreachable,
        format!(
            "the cluster of the context `{}` does not accept the credentials of `{}`",
            place.context, place.user
        ),
    )
    .hint(format!("log in again, then try: {}", place.kubectl("auth whoami")))
    .caused_by(anyhow::anyhow!(why))
}

fn refused(status: Box<Status>, doing: &Doing, place: &Place) -> Failure {
    let namespace = doing.namespace.clone().unwrap_or_default();
    let within = if namespace.is_empty() { String::new() } else { format!(" -n {namespace}") };
    let object = doing.object();
    match status.code {
        401 => credentials(place, status.message.clone()),
        _ if has_cause(&status, TERMINATING) => {
            Failure::new(ExitStatus::Failed, format!("the namespace `{namespace}` is being deleted"))
                .hint(place.kubectl(&format!("wait --for=delete namespace/{namespace} --timeout=120s")))
                .hint("then run the same command again, or set another `kubernetes.namespace`")
        }
        403 => {
            let failure = Failure::new(
                ExitStatus::Failed,
                format!(
                    "the cluster of the context `{}` forbids `{}` on `{object}`",
                    place.context, doing.verb
                ),
            )
            .hint(place.kubectl(&format!("auth can-i {} {}{within}", doing.verb, doing.right())));
            let failure = match doing.verb {
                "patch" | "create" => failure.hint(format!(
                    "if the answer is yes, a policy or a quota forbids it: {}",
                    place.kubectl(&format!("describe quota{within}"))
                )),
                _ => failure,
            };
            let failure = if doing.resource.starts_with("priorityclasses") {
                failure.hint("or do not create a priority class: `kubernetes: {priority_class: none}`")
            } else {
                failure
            };
            failure.caused_by(Refused(status))
        }
        409 if has_cause(&status, FIELD_CONFLICT) => {
            let lines: Vec<String> = described_causes(&status).map(|cause| format!("\n  {cause}")).collect();
            Failure::new(
                ExitStatus::Failed,
                format!("`{object}` has fields that another field manager owns:{}", lines.concat()),
            )
            .hint(
                "remove the value from the stack file, or take over the field: appforge up --force-conflicts",
            )
        }
        422 => Failure::new(ExitStatus::Failed, format!("the API server does not accept `{object}`"))
            .hint("appforge render --target kubernetes shows the document; nothing of it was applied")
            .caused_by(Refused(status)),
        429 | 500..=599 => timed_out(doing, place).caused_by(Refused(status)),
        _ => Failure::new(ExitStatus::Failed, format!("`{} {object}` failed", doing.verb))
            .hint(place.kubectl(&format!("get {}{within}", doing.resource)))
            .caused_by(Refused(status)),
    }
}

/// What a credential plugin said; its stdout may hold a token and is left out.
fn described(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            format!("`{cmd}` ended with {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim())
        }
        other => other.to_string(),
    }
}

/// The failure to get or refresh credentials, wherever in the chain it is.
fn auth(error: &Error) -> Option<&AuthError> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(auth) = this.downcast_ref::<AuthError>() {
            return Some(auth);
        }
        cause = this.source();
    }
    None
}
