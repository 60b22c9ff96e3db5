//! The rules for an app of the user's own, the same on every target. Pure.

use super::{Finding, Level};
use crate::stack::model::{Eviction, StoreMode};
use crate::stack::uri::for_app;
use crate::stack::{Stack, StoreKind};

/// Queues that keep their jobs in Redis, which must not remove any.
const QUEUES: [&str; 3] = ["bullmq", "celery", "sidekiq"];

pub(super) fn lint(stack: &Stack) -> Vec<Finding> {
    if !stack.service.is_own() {
        return Vec::new();
    }
    [queue(stack), pool_options(stack)].into_iter().flatten().collect()
}

fn queue(stack: &Stack) -> Option<Finding> {
    let ours = stack.redis.mode != StoreMode::External && stack.redis.eviction != Eviction::Noeviction;
    let texts = stack.service.command.as_ref().filter(|_| ours)?.texts().join(" ").to_lowercase();
    let queue = QUEUES.into_iter().find(|queue| texts.contains(queue))?;
    let message = format!(
        "is `{}`, so a full Redis removes jobs of {queue}; set `redis.eviction: noeviction`",
        stack.redis.eviction.as_str()
    );
    Some(Finding { level: Level::Warning, path: "redis.eviction", message })
}

/// An app reads the settings of its pool from the address, where what the user wrote wins.
fn pool_options(stack: &Stack) -> Option<Finding> {
    let (uri, mongodb) = (stack.external(StoreKind::Mongodb)?.text()?, &stack.mongodb);
    let mut kept = for_app(uri.reveal(), &mongodb.database, &mongodb.pool, stack.name.as_str()).kept;
    // The name belongs to no pool.
    kept.retain(|name| *name != "appName");
    let message = format!(
        "sets {} itself, which replaces the value of `mongodb.pool` for the app; remove it from the URI or from the stack file",
        kept.join(", ")
    );
    (!kept.is_empty()).then_some(Finding { level: Level::Warning, path: "mongodb.uri", message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::lint::lint;
    use crate::stack::TargetKind;
    use crate::stack::values::{CommandLine, Secret};

    fn texts(stack: &Stack) -> Vec<String> {
        lint(stack, TargetKind::Local, &[]).iter().map(ToString::to_string).collect()
    }

    fn stack(command: &str) -> Stack {
        let mut stack = Stack::default();
        stack.service.command = Some(CommandLine::Text(command.to_owned()));
        stack
    }

    #[test]
    fn queue_in_a_redis_that_evicts_is_a_finding() {
        for command in ["celery -A app worker", "npx bullmq-board", "bundle exec Sidekiq"] {
            let mut stack = stack(command);
            let found = texts(&stack);
            assert!(found[0].starts_with("redis.eviction: is `allkeys-lru`, so a full Redis"), "{found:?}");
            stack.redis.eviction = Eviction::Noeviction;
            assert_eq!(texts(&stack), Vec::<String>::new(), "{command}");
        }
        assert_eq!(texts(&stack("node server.js")), Vec::<String>::new());
        assert_eq!(texts(&Stack::default()), Vec::<String>::new());
    }

    #[test]
    fn pool_option_in_the_uri_is_a_finding_without_the_uri() {
        let mut stack = stack("node server.js");
        stack.mongodb.mode = StoreMode::External;
        let uri = "mongodb://u:secret@h/?maxPoolSize=7&appName=mine&minPoolSize=10";
        stack.mongodb.uri = Some(Secret::new(uri).into());
        let found = texts(&stack);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("mongodb.uri: sets maxPoolSize itself,"), "{found:?}");
        assert!(!found[0].contains("secret") && !found[0].contains("appName"));
    }
}
