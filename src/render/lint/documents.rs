//! Rendered documents as data. What a rule does not find it does not judge: the project's own template may well leave it out.

use serde_json::Value;

use crate::render::Document;
use crate::stack::values::{ByteSize, MilliCpu};

/// The objects of a rendering.
pub(super) struct Objects<'d>(Vec<&'d Value>);

impl<'d> Objects<'d> {
    pub(super) fn of(documents: &'d [Document]) -> Self {
        let yaml = documents.iter().filter(|document| document.path.ends_with(".yaml"));
        Self(yaml.filter_map(|document| document.value.as_ref()).collect())
    }

    pub(super) fn find(&self, kind: &str, name: &str) -> Option<&'d Value> {
        self.0.iter().copied().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }
}

/// The first container of a workload.
pub(super) fn container(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]["containers"][0]
}

/// The container of a workload that has this program: the front before an app of the user's own, else the first one.
pub(super) fn program<'w>(workload: &'w Value, front: &str) -> &'w Value {
    let sidecars = workload["spec"]["template"]["spec"]["initContainers"].as_array();
    let front = sidecars.and_then(|sidecars| sidecars.iter().find(|sidecar| sidecar["name"] == front));
    front.unwrap_or_else(|| container(workload))
}

pub(super) fn bytes(value: &Value) -> Option<u64> {
    text(value)?.parse::<ByteSize>().ok().map(|size| size.0)
}

pub(super) fn cpu(value: &Value) -> Option<MilliCpu> {
    text(value)?.parse().ok()
}

/// Quantities may be written as numbers.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A variable of a container, as a number.
pub(super) fn variable(container: &Value, name: &str) -> Option<u64> {
    let variables = container["env"].as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == name)?;
    variable["value"].as_str()?.parse().ok()
}

/// The word after `option` in a text of words.
pub(super) fn word_after<'a>(text: &'a str, option: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    words.find(|word| *word == option)?;
    words.next()
}
