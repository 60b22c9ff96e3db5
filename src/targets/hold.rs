//! The right to change a stack that other machines reach too. Where it is kept is the target's affair; here is what a command does
//! with it: work as long as it has the right, and give it back.

use std::future::Future;

use anyhow::Result;
use futures_util::future::BoxFuture;

use crate::error::{ExitStatus, Failure};

/// The right to change a stack, until [`Hold::release`].
pub(crate) struct Hold(Option<Kept>);

struct Kept {
    /// Resolves with the next holder when the right is lost.
    lost: BoxFuture<'static, String>,
    /// Gives it back.
    release: BoxFuture<'static, ()>,
}

impl Hold {
    /// Of a stack that only this machine reaches, or whose target keeps no such right.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// One that `release` gives back; `lost` resolves with the next holder when another machine has it.
    pub(crate) fn new(lost: BoxFuture<'static, String>, release: BoxFuture<'static, ()>) -> Self {
        Self(Some(Kept { lost, release }))
    }

    /// Runs work as long as the right is held.
    ///
    /// # Errors
    /// Those of the work; exit 1 when another machine has taken the right over.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(kept) = &mut self.0 else { return work.await };
        tokio::select! {
            outcome = work => outcome,
            holder = &mut kept.lost => Err(Failure::new(
                ExitStatus::Failed,
                format!("another command ({holder}) has taken over this stack"),
            )
            .hint("appforge status")
            .into()),
        }
    }

    /// Gives the right back.
    pub(crate) async fn release(self) {
        if let Some(kept) = self.0 {
            kept.release.await;
        }
    }
}
