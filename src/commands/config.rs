//! `config show|schema|validate`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::ConfigVerb;
use crate::commands::Context;
use crate::commands::target::{recorded, with_scaled};
use crate::error::ExitStatus;
use crate::output::table;
use crate::stack::{self, Resolved};

/// Runs `config`.
pub(super) async fn run(context: &Context, verb: ConfigVerb) -> Result<ExitStatus> {
    match verb {
        ConfigVerb::Show { origin } => show(context, origin).await,
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

async fn show(context: &Context, origin: bool) -> Result<ExitStatus> {
    let resolved = scaled(context, context.stack(&[])?).await;
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

/// With the number of replicas that `scale` set, if it is one that the verbs use. The rest is shown without the target too.
async fn scaled(context: &Context, resolved: Resolved) -> Resolved {
    match recorded(&context.quietly(), &resolved.stack).await {
        Ok(Some(scaled)) => with_scaled(resolved.clone(), &scaled).unwrap_or(resolved),
        Ok(None) => resolved,
        Err(error) => {
            context
                .out
                .say(format!("cannot check whether `appforge scale` set the number of replicas: {error}"));
            resolved
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
