//! `doctor`.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::open;
use crate::error::ExitStatus;
use crate::output::table;
use crate::targets::finding::{Finding, Verdict};
use crate::targets::interrupt::interruptible;
use crate::targets::progress::Progress;

/// Looks at what the target needs and changes nothing; exit 1 when the stack could not run.
pub(crate) async fn run(context: &Context) -> Result<ExitStatus> {
    let stack = context.stack(&[])?.stack;
    let kind = stack.target;
    let target = open(context, stack, false)?;
    let progress = Progress::new(context.out);
    progress.step("checking");
    let findings = interruptible(target.doctor(), "`appforge doctor` starts over").await?;
    drop(progress);
    let fit = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    let value = json!({"fit": fit, "target": kind, "findings": findings});
    context.out.data(&value, || text(&findings, fit, kind.as_str()))?;
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
    let verdict = if fit {
        format!("the target {target} can run this stack: appforge up")
    } else {
        format!("the target {target} cannot run this stack yet")
    };
    format!("{}\n{verdict}\n", table(&["", "condition", "found"], rows.collect()))
}
