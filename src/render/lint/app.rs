//! The rules for an app of the user's own, the same on every target. Pure.

use appforge_service::contract::RedisHosts;

use super::{Finding, Level};
use crate::stack::model::{Eviction, StoreMode};
use crate::stack::uri::for_app;
use crate::stack::{Stack, StoreKind, TargetKind};

/// Queues that keep their jobs in Redis, which must not remove any.
const QUEUES: [&str; 3] = ["bullmq", "celery", "sidekiq"];

pub(super) fn lint(stack: &Stack, target: TargetKind) -> Vec<Finding> {
    if !stack.service.is_own() {
        return Vec::new();
    }
    [queue(stack), pool_options(stack), pool_in_secret(stack), hosts_of_redis(stack, target)]
        .into_iter()
        .flatten()
        .collect()
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

/// A Secret of the user's own is mounted as it is: nothing can be added to the address in it.
fn pool_in_secret(stack: &Stack) -> Option<Finding> {
    let key = stack.external(StoreKind::Mongodb)?.key()?;
    let (mongodb, name) = (&stack.mongodb, stack.name.as_str());
    let uri = for_app("mongodb://h", &mongodb.database, &mongodb.pool, name).uri;
    let options = uri.split_once('?').map_or("", |(_, options)| options);
    let message = format!(
        "the app reads its pool from the URI in the Secret `{}`, so `mongodb.pool` does not apply; the URI must have the options \
         {options}",
        key.secret
    );
    Some(Finding { level: Level::Warning, path: "mongodb.uri", message })
}

/// A front (or on local the supervisor) leads an app to the master that sentinels name, in plain text only. On Compose nothing does.
fn hosts_of_redis(stack: &Stack, target: TargetKind) -> Option<Finding> {
    let url = stack.external(StoreKind::Redis)?.text()?.reveal();
    let hosts = RedisHosts::parse(url).ok()??;
    if target != TargetKind::Compose && hosts.forwarded("localhost", 0).is_some() {
        return None;
    }
    let (scheme, _) = url.split_once("://")?;
    let message = format!(
        "the app gets this URL as it is, and few Redis clients read `{scheme}://`; check that the client of your app does"
    );
    Some(Finding { level: Level::Warning, path: "redis.url", message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::lint::lint;
    use crate::stack::values::{CommandLine, Secret, SecretKey, StoreAddress};

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

    #[test]
    fn pool_of_a_uri_in_a_secret_is_a_finding_with_the_options() {
        let mut stack = stack("node server.js");
        stack.mongodb.mode = StoreMode::External;
        let key = SecretKey { secret: "atlas".to_owned(), key: "uri".to_owned() };
        stack.mongodb.uri = Some(StoreAddress::Key(key));
        let found = texts(&stack);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("mongodb.uri: the app reads its pool from the URI in the Secret `atlas`")
        );
        assert!(found[0].contains("maxPoolSize=50&minPoolSize=10&"), "{found:?}");
        assert!(found[0].ends_with("&appName=appforge"), "{found:?}");
    }

    #[test]
    fn redis_of_several_hosts_is_a_finding_unless_it_is_forwarded() {
        let mut stack = stack("node server.js");
        stack.redis.mode = StoreMode::External;
        stack.redis.eviction = Eviction::Noeviction;
        let mut found = |url: &str, target| {
            stack.redis.url = Some(Secret::new(url).into());
            let found = lint(&stack, target, &[]);
            assert!(
                found.iter().all(|it| it.path == "redis.url" && !it.message.contains("hunter2")),
                "{found:?}"
            );
            found.len()
        };
        let (sentinel, tls) = ("redis+sentinel://u:hunter2@h/main", "rediss+sentinel://u:hunter2@h/main");
        for (url, target, count) in [
            (sentinel, TargetKind::Kubernetes, 0),
            (sentinel, TargetKind::Local, 0),
            (sentinel, TargetKind::Compose, 1),
            (tls, TargetKind::Kubernetes, 1),
            ("redis+cluster://h", TargetKind::Local, 1),
            ("redis://h", TargetKind::Compose, 0),
        ] {
            assert_eq!(found(url, target), count, "{url} {target:?}");
        }
    }
}
