//! `doctor`.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::{Progress, interruptible, target};
use crate::error::ExitStatus;
use crate::output::{Format, table};
use crate::targets::Target;
use crate::targets::finding::{Finding, Verdict};

/// Looks at what the target needs and changes nothing; exit 1 when the stack could not run.
pub async fn run(context: &Context) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let stack = context.stack(&[])?.stack;
    let target = target(context, &stack)?;
    let progress = Progress::new(context);
    progress.step("looking");
    let work = async {
        match &target {
            Target::Local(local) => local.doctor(&stack).await,
            Target::Compose(compose) => Ok(compose.doctor().await),
            Target::Kubernetes(kubernetes) => Ok(kubernetes.doctor().await),
        }
    };
    let findings = interruptible(work, "`appforge doctor` begins anew").await?;
    drop(progress);
    let fit = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    let value = json!({"fit": fit, "target": stack.target, "findings": findings});
    context.out.data(&value, || text(&findings, fit, stack.target.as_str()))?;
    Ok(if fit { ExitStatus::Done } else { ExitStatus::Failed })
}

/// For people: a line a finding, its fix below.
fn text(findings: &[Finding], fit: bool, target: &str) -> String {
    let rows = findings.iter().flat_map(|finding| {
        let mark = match finding.verdict {
            Verdict::Good => "good",
            Verdict::Warning => "warn",
            Verdict::Bad => "BAD",
        };
        let row = vec![mark.to_owned(), finding.name.clone(), finding.observed.clone()];
        let fix = finding.fix.iter().map(|fix| vec![String::new(), String::new(), format!("fix: {fix}")]);
        std::iter::once(row).chain(fix).collect::<Vec<_>>()
    });
    let verdict = match fit {
        true => format!("the target {target} can run this stack: appforge up"),
        false => format!("the target {target} cannot run this stack yet"),
    };
    format!("{}\n{verdict}\n", table(&["", "condition", "found"], rows.collect()))
}
