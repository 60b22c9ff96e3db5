//! The addresses of stores that others run, tried from this machine, where the replicas run.

use std::time::Duration;

use anyhow::Result;
use appforge_service::reach::{Addresses, reach};

use super::protocol::Desired;
use super::{Local, stores};
use crate::secrets::Secrets;
use crate::stack::{Stack, StoreKind};
use crate::targets::address::{Address, Tried};
use crate::targets::plan::{Action, Step};

/// Where addresses are tried, for messages.
pub(super) const FROM: &str = "this machine";
/// How long a store may take to answer; nothing on the way to it has to be set up first.
const ANSWER: Duration = Duration::from_secs(3);

impl Local {
    /// The external addresses of the stack, and which of them are new to replicas that run.
    pub(super) async fn addresses(&self, desired: &Desired) -> Result<Vec<Address>> {
        let mut addresses = Address::external(&self.stack);
        if addresses.is_empty() || self.find().await?.is_none() {
            return Ok(addresses);
        }
        let plan = self.plan_of(desired).await?;
        for address in &mut addresses {
            let changes =
                |step: &Step| step.action == Action::Restart && step.component == address.store.as_str();
            address.changed = plan.steps.iter().any(changes);
        }
        Ok(addresses)
    }

    /// Writes the external addresses of the stack to where replicas read them.
    pub(super) fn keep_addresses(&self) -> Result<()> {
        stores::keep_addresses(&self.stack, &Secrets::of(self.layout.root()))
    }

    /// Tries the external addresses of the stack.
    pub(super) async fn try_addresses(&self) -> Tried {
        Tried::Done(reach(&external(&self.stack), ANSWER).await)
    }
}

fn external(stack: &Stack) -> Addresses {
    let of = |kind| stack.external_text(kind).map(|address| address.reveal().to_owned());
    Addresses { mongodb: of(StoreKind::Mongodb), redis: of(StoreKind::Redis) }
}
