//! `--drill`: injects a failure and checks how the service responds. `redis-down` stops Redis and starts it again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use appforge_service::status::LimitMode;

use super::client::{Outcome, Question, fresh_client, statusz};
use super::report::{Check, Finding, judged};
use crate::stack::Stack;
use crate::stack::model::OnRedisFailure;
use crate::targets::Target;
use crate::targets::subject::Subject;

/// How long the replicas may take to notice that Redis is gone, or back.
const NOTICE: Duration = Duration::from_secs(10);
/// A pause between two looks at a replica.
const LOOK: Duration = Duration::from_millis(20);
/// A limit above this is not used up by the drill.
const MOST: u32 = 2000;

/// A failure to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Drill {
    /// Redis is stopped for a moment.
    RedisDown,
}

impl Drill {
    /// The name in commands and reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RedisDown => "redis-down",
        }
    }

    /// Does the drill. What it took away is given back whatever happens.
    pub(crate) async fn run(self, stack: &Stack, subject: &Subject, target: &Target) -> Check {
        let finding = async {
            match self {
                Self::RedisDown => redis_down(stack, subject, target).await,
            }
        };
        judged(self.as_str(), finding).await
    }
}

async fn redis_down(stack: &Stack, subject: &Subject, target: &Target) -> Result<Finding> {
    if !stack.rate_limit.enabled {
        return Ok(Finding::skipped("`rate_limit.enabled` is false"));
    }
    let (client, question) = (fresh_client(&subject.probe_secret)?, Question::of(stack));
    let limit = stack.rate_limit.requests.min(MOST);
    let before = limit / 2;
    for _ in 0..before {
        question.ask(&subject.service, &client).await?;
    }
    target.switch_redis(false).await.context("cannot stop Redis")?;
    let outage = outage(stack, subject, (&question, &client), limit).await;
    target.switch_redis(true).await.context("cannot restart Redis")?;
    let started = Instant::now();
    let (mut good, mut observed, passed) = outage?;
    until(subject, |mode| mode == LimitMode::Shared)
        .await
        .context("Redis is back, but the count is not shared")?;
    let back = started.elapsed();
    let within = subject.redis_back_within;
    // What a replica had sent when Redis went away is not sent again and may be counted nowhere: one request each.
    let (uncounted, mut after) = (u32::try_from(subject.replicas.len())?, 0);
    while after <= uncounted && question.ask(&subject.service, &client).await?.0 == Outcome::Passed {
        after += 1;
    }
    let used_up = stack.rate_limit.on_redis_failure == OnRedisFailure::Memory && before + passed >= limit;
    let second_budget = used_up && after > uncounted;
    if second_budget && stack.rate_limit.requests <= MOST {
        good = false;
        observed.push_str("; clients got a second budget after its return");
    }
    observed.push_str(&format!("; shared again {:.1}s after its return", back.as_secs_f64()));
    let expected = format!(
        "no errors, fallback `{}`, shared again within {}s",
        stack.rate_limit.on_redis_failure,
        within.as_secs()
    );
    let back_ms = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
    Ok(Finding::of(good && back <= within, expected, observed).with("back_ms", back_ms))
}

/// What a client meets while Redis is away.
async fn outage(
    stack: &Stack,
    subject: &Subject,
    (question, client): (&Question, &str),
    limit: u32,
) -> Result<(bool, String, u32)> {
    let fallback = match stack.rate_limit.on_redis_failure {
        OnRedisFailure::Memory => LimitMode::Memory,
        OnRedisFailure::Open => LimitMode::Open,
        OnRedisFailure::Closed => LimitMode::Closed,
    };
    let replicas = u32::try_from(subject.replicas.len())?.max(1);
    let (mut passed, mut errors, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..limit + replicas {
        let began = Instant::now();
        match question.ask(&subject.service, client).await?.0 {
            Outcome::Passed => passed += 1,
            Outcome::Limited => {}
            Outcome::Unavailable if fallback == LimitMode::Closed => {}
            Outcome::Unavailable | Outcome::Failed => errors += 1,
        }
        slowest = slowest.max(began.elapsed());
    }
    until(subject, |mode| mode == fallback)
        .await
        .context("Redis is stopped, but the fallback is not active")?;
    let most = most(fallback, stack.rate_limit.requests, replicas);
    let observed =
        format!("{passed} of at most {most} more passed, {errors} errors, slowest {}ms", slowest.as_millis());
    Ok((errors == 0 && passed <= most, observed, passed))
}

/// How many requests of a client may pass while the replicas count in `mode`. The limit is that of the stack, also when it
/// is above what the drill sends.
fn most(mode: LimitMode, limit: u32, replicas: u32) -> u32 {
    match mode {
        // Each replica starts from the total that it knew last and takes its share of the rest, rounded up. One that has
        // not met the client yet knows of none.
        LimitMode::Memory => replicas.saturating_mul(limit.div_ceil(replicas)),
        LimitMode::Closed => 0,
        LimitMode::Open | LimitMode::Shared | LimitMode::Off => limit.saturating_add(replicas),
    }
}

async fn until(subject: &Subject, is: impl Fn(LimitMode) -> bool) -> Result<()> {
    let deadline = Instant::now() + NOTICE;
    for replica in &subject.replicas {
        loop {
            let mode = statusz(&replica.admin).await?.rate_limit.mode;
            if is(mode) {
                break;
            }
            if Instant::now() > deadline {
                bail!("{} still counts in the mode {mode:?}", replica.name);
            }
            // A replica gives no event when its mode changes.
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drill_passes_when_the_limit_is_above_what_it_sends() {
        for (mode, replicas) in [(LimitMode::Memory, 1), (LimitMode::Memory, 3), (LimitMode::Open, 2)] {
            assert!(most(mode, 100_000, replicas) >= MOST + replicas, "{mode:?}, {replicas}");
            assert!(most(mode, u32::MAX, replicas) >= MOST + replicas, "{mode:?}, {replicas}");
        }
        assert_eq!(most(LimitMode::Memory, 100, 3), 102, "a share is rounded up");
        assert_eq!(most(LimitMode::Closed, 100_000, 2), 0);
    }
}
