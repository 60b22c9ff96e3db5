//! `replicas`: as many replicas as there should be answer, each for itself.

use anyhow::Result;

use super::client::statusz;
use super::report::Finding;
use crate::document::counted;
use crate::targets::subject::Subject;

pub(super) async fn check(subject: &Subject) -> Result<Finding> {
    let (mut answered, mut troubles) = (Vec::new(), Vec::new());
    for replica in &subject.replicas {
        match statusz(&replica.admin).await {
            Ok(status) if status.draining => troubles.push(format!("{} is shutting down", replica.name)),
            Ok(status) => answered.push(status.replica),
            Err(error) => troubles.push(format!("{}: {error:#}", replica.name)),
        }
    }
    let wanted = usize::try_from(subject.desired)?;
    let mut observed = format!("{} of {wanted} answered", answered.len());
    if !troubles.is_empty() {
        observed.push_str(&format!(" ({})", troubles.join("; ")));
    }
    let good = answered.len() == wanted && troubles.is_empty();
    Ok(Finding::of(good, counted(wanted, "replica"), observed).with("answered", answered))
}
