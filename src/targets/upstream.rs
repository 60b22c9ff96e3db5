//! What fronts report of the apps behind them, for `status`: an app that answers its health with an error stays in service, so
//! nothing else shows it.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use appforge_service::status::UpstreamStatus;
use futures_util::future::join_all;

use crate::stack::ComponentKind;
use crate::targets::admin::{self, Link};
use crate::targets::status::{Component, ComponentState, Status};

/// How long a front may take; one that takes longer has nothing to add.
const LIMIT: Duration = Duration::from_secs(2);

/// Adds to each front of `status` what its app answers. A pair of an app and its front is one component, shown by the front.
pub(crate) async fn add_health(status: &mut Status) {
    join_all(fronts(status).map(async |front| {
        let Some(endpoint) = front.endpoint.clone() else { return };
        let Some(upstream) = ask(admin::connect(endpoint)).await else { return };
        add(front, upstream.error);
    }))
    .await;
}

/// The same where each front is in a pod with its app and is reached by the name of that pod, through `open`. Says also when
/// the app listens past its front.
pub(crate) async fn add_health_of_pods<L: Link, F: Future<Output = Result<L>>>(
    status: &mut Status,
    open: impl Fn(String) -> F,
) {
    join_all(fronts(status).map(async |front| {
        let Some(upstream) = ask(open(front.name.clone())).await else { return };
        let beyond = upstream.beyond();
        add(front, upstream.error);
        add(front, beyond);
    }))
    .await;
}

fn fronts(status: &mut Status) -> impl Iterator<Item = &mut Component> {
    let apart = status.components.iter().any(|component| component.kind == ComponentKind::Front);
    let kind = if apart { ComponentKind::Front } else { ComponentKind::Service };
    let ready =
        move |component: &&mut Component| component.kind == kind && component.state == ComponentState::Ready;
    status.components.iter_mut().filter(ready)
}

async fn ask<L: Link>(link: impl Future<Output = Result<L>>) -> Option<UpstreamStatus> {
    let asked = tokio::time::timeout(LIMIT, admin::statusz(link)).await;
    asked.ok()?.ok()?.upstream
}

fn add(front: &mut Component, what: Option<String>) {
    if let Some(what) = what {
        let separator = if front.detail.is_empty() { "" } else { "; " };
        front.detail.push_str(&format!("{separator}{what}"));
    }
}
