//! `config show|schema|validate`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::ConfigVerb;
use crate::commands::Context;
use crate::document::Origin;
use crate::error::ExitStatus;
use crate::output::table;
use crate::stack::{self, Resolved};
use crate::state::{Scaled, State};

/// Runs `config`.
pub(super) fn run(context: &Context, verb: ConfigVerb) -> Result<ExitStatus> {
    match verb {
        ConfigVerb::Show { origin } => show(context, origin),
        ConfigVerb::Schema => {
            let schema = stack::schema();
            let text = serde_json::to_string_pretty(&schema)? + "\n";
            context.out.data(&schema, || text)?;
            Ok(ExitStatus::Done)
        }
        ConfigVerb::Validate => {
            context.stack(&[])?;
            context.out.data(&json!({"valid": true}), || "the configuration is valid\n".to_owned())?;
            Ok(ExitStatus::Done)
        }
    }
}

fn show(context: &Context, origin: bool) -> Result<ExitStatus> {
    let resolved = scaled(context, context.stack(&[])?);
    if !origin {
        let yaml = serde_yaml::to_string(&resolved.stack)?;
        context.out.data(&resolved.stack, || yaml)?;
        return Ok(ExitStatus::Done);
    }
    let values = resolved.values();
    let list: Vec<Value> = values
        .iter()
        .map(|(path, value, origin)| json!({"path": path, "value": value, "origin": origin.to_string()}))
        .collect();
    context.out.data(&list, || {
        let rows =
            values.iter().map(|(path, value, origin)| vec![path.clone(), shown(value), origin.to_string()]);
        table(&["path", "value", "origin"], rows.collect())
    })?;
    Ok(ExitStatus::Done)
}

/// With the number of replicas that `scale` set, if it is one that the verbs use.
fn scaled(context: &Context, resolved: Resolved) -> Resolved {
    let target = resolved.stack.target;
    let folder = context.project.state_folder();
    let state = folder.and_then(|folder| State::load(&folder, |notice| context.out.warn(notice)));
    let scaled = state.and_then(|state| state.recall(target, &resolved.stack)).ok().flatten();
    let with = |scaled: Scaled| resolved.clone().scaled(scaled.replicas, scaled.max, &Origin::Scaled).ok();
    scaled.and_then(with).unwrap_or(resolved)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
