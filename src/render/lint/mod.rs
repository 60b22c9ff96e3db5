//! What is wrong with a rendering, or will be: numbers that do not fit together. Pure.
//!
//! Most rules read the documents, so that a patch or a template of the project's own is judged too.

mod app;
mod compose;
mod documents;
mod kubernetes;

use std::fmt;

use crate::render::Document;
use crate::stack::{Stack, TargetKind};

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where the stack file has it.
    pub path: &'static str,
    /// What is wrong, with the numbers, and what to do.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It works, and may not for long.
    Warning,
    /// It cannot work.
    Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// All findings about the documents of `target`.
pub fn lint(stack: &Stack, target: TargetKind, documents: &[Document]) -> Vec<Finding> {
    let mut findings = match target {
        TargetKind::Kubernetes => kubernetes::lint(stack, documents),
        TargetKind::Compose => compose::lint(stack, documents),
        TargetKind::Local => without_monitoring(stack).into_iter().collect(),
    };
    findings.extend(app::lint(stack, target));
    findings
}

fn without_monitoring(stack: &Stack) -> Option<Finding> {
    stack.monitoring.enabled.then(|| Finding {
        level: Level::Warning,
        path: "monitoring.enabled",
        message: "has no effect on local: Prometheus and Alertmanager run on the target compose only; \
                  `appforge monitor` shows this stack"
            .to_owned(),
    })
}
