//! `config show|schema|validate`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::ConfigVerb;
use crate::commands::Context;
use crate::error::ExitStatus;
use crate::output::{Format, table};
use crate::stack::Stack;

/// Runs `config`.
pub fn run(context: &Context, verb: ConfigVerb) -> Result<ExitStatus> {
    match verb {
        ConfigVerb::Show { origin } => show(context, origin),
        ConfigVerb::Schema => {
            context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
            let schema = serde_json::to_value(schemars::schema_for!(Stack))?;
            let text = serde_json::to_string_pretty(&schema)? + "\n";
            context.out.data(&schema, || text)?;
            Ok(ExitStatus::Done)
        }
        ConfigVerb::Validate => {
            context.out.supports(&[Format::Table, Format::Json])?;
            context.stack(&[])?;
            context.out.data(&json!({"valid": true}), || "the configuration is valid\n".to_owned())?;
            Ok(ExitStatus::Done)
        }
    }
}

fn show(context: &Context, origin: bool) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let resolved = context.stack(&[])?;
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

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
