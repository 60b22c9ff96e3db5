//! Who deployed a revision, when, why and on which port. They are annotations of the Deployment, set whenever its pods change: its
//! controller copies them to the ReplicaSet that remembers the revision. No document has them.

use jiff::Timestamp;
use serde_json::Value;

use crate::targets::kubernetes::client::Object;
use crate::targets::ownership::user_at_host;

const BY: &str = "appforge.dev/deployed-by";
const AT: &str = "appforge.dev/deployed-at";
const PORT: &str = "appforge.dev/port";
/// Where `kubectl rollout history` looks for it.
const MESSAGE: &str = "kubernetes.io/change-cause";

/// Lets a Deployment whose pods stay say what it said.
pub(crate) fn keep(deployment: &mut Object, live: &Object) {
    for name in [BY, AT, PORT, MESSAGE] {
        if let Some(value) = live.annotation(name) {
            deployment.set(&["metadata", "annotations", name], value);
        }
    }
}

/// Says who deploys new pods now. `port` is that of the Service.
pub(crate) fn mark(deployment: &mut Object, port: u16, message: Option<&str>) {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string();
    let port = port.to_string();
    for (name, value) in [(BY, user_at_host().as_str()), (AT, now.as_str()), (PORT, port.as_str())] {
        deployment.set(&["metadata", "annotations", name], value);
    }
    match message {
        Some(message) => deployment.set(&["metadata", "annotations", MESSAGE], message),
        None => deployment.unset(&["metadata", "annotations", MESSAGE]),
    }
}

/// What the annotations of a ReplicaSet say.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Deployed {
    pub(crate) by: Option<String>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) port: Option<u16>,
    pub(crate) message: Option<String>,
}

impl Deployed {
    /// Reads them. An earlier build, and kubectl, set none; and anyone may edit them.
    pub(crate) fn of<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            by: annotation(BY).map(str::to_owned),
            at: annotation(AT).and_then(|at| at.parse().ok()),
            port: annotation(PORT).and_then(|port| port.parse().ok()),
            message: annotation(MESSAGE).map(str::to_owned),
        }
    }
}

/// The port of this name that the pods of a template serve, which is the Service's too unless it is one that needs privileges.
pub(crate) fn port_of(template: &Value, name: &str) -> Option<u16> {
    let containers = ["initContainers", "containers"].into_iter();
    let mut ports = containers
        .filter_map(|kind| template["spec"][kind].as_array())
        .flatten()
        .filter_map(|container| container["ports"].as_array())
        .flatten();
    let port = ports.find(|port| port["name"] == name)?;
    u16::try_from(port["containerPort"].as_u64()?).ok()
}
