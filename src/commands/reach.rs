//! `reach`: whether the stores answer at the addresses of the environment, from where this runs. `up` runs it in a pod.

use anyhow::{Context as _, Result};
use appforge_service::contract::variable;
use appforge_service::reach::{Addresses, reach};

use crate::commands::Context;
use crate::error::ExitStatus;
use crate::stack::values::Span;

/// Tries the addresses and prints why a store does not answer, as one line of JSON.
pub(super) async fn run(context: &Context, timeout: Span) -> Result<ExitStatus> {
    let addresses =
        Addresses { mongodb: secret(variable::MONGODB_URI)?, redis: secret(variable::REDIS_URL)? };
    let reached = reach(&addresses, timeout.0).await;
    context.out.text(&(serde_json::to_string(&reached)? + "\n"))?;
    Ok(if reached.all() { ExitStatus::Done } else { ExitStatus::Failed })
}

/// A variable, or the file that `NAME_FILE` names; an empty one counts as unset.
fn secret(name: &str) -> Result<Option<String>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable(name), variable(&format!("{name}_FILE"))) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{file}`"))?;
            Ok(Some(text.trim_end().to_owned()).filter(|text| !text.is_empty()))
        }
        (None, None) => Ok(None),
    }
}
