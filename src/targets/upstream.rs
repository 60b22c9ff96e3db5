//! What fronts report of the apps behind them, for `status`: an app that answers its health with an error stays in service, so
//! nothing else shows it.

use std::time::Duration;

use futures_util::future::join_all;

use crate::stack::ComponentKind;
use crate::targets::admin;
use crate::targets::status::{Component, ComponentState, Status};

/// How long a front may take; one that takes longer has nothing to add.
const LIMIT: Duration = Duration::from_secs(2);

/// Adds to each front of `status` what its app answers. A pair of an app and its front is one component, shown by the front.
pub(crate) async fn add_health(status: &mut Status) {
    let apart = status.components.iter().any(|component| component.kind == ComponentKind::Front);
    let kind = if apart { ComponentKind::Front } else { ComponentKind::Service };
    let fronts = status
        .components
        .iter_mut()
        .filter(|component| component.kind == kind && component.state == ComponentState::Ready);
    join_all(fronts.map(add)).await;
}

async fn add(front: &mut Component) {
    let Some(endpoint) = front.endpoint.clone() else { return };
    let asked = tokio::time::timeout(LIMIT, admin::statusz(admin::connect(endpoint))).await;
    let Ok(Ok(answer)) = asked else { return };
    if let Some(error) = answer.upstream.and_then(|upstream| upstream.error) {
        front.detail.push_str(&format!("; {error}"));
    }
}
