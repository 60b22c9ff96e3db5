//! The names that documents and the target share: objects, labels, keys of Secrets, addresses. Pure.

use appforge_service::contract::{self, RedisHosts};

use crate::render::context::compose::{STORE_USER, admin_port};
use crate::stack::model::{SENTINEL_SERVERS, Topology};
use crate::stack::uri::for_app;
use crate::stack::values::{ImageRef, Secret};
use crate::stack::{Stack, StoreKind};

/// The address of what only the containers of one pod reach.
pub const LOOPBACK: &str = "127.0.0.1";
/// The label that says whose an object is; what carries it and is no longer rendered may be pruned.
pub const OWNER_LABEL: &str = "appforge.dev/stack";
/// On objects without a namespace: the namespace of their stack, since two stacks may have one name.
pub const NAMESPACE_LABEL: &str = "appforge.dev/namespace";
/// The value of `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "appforge";
/// Names a workload; its value is the workload's own name. Policies select by this label alone.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// `service`, `mongodb` or `redis`.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The digest of the credentials: an annotation of the service's pods, a label of the immutable Secret that holds them.
pub const CREDENTIALS: &str = "appforge.dev/credentials";
/// On pods: the digest of the user's own Secrets that they see. Changes when those do.
pub const OWN_SECRETS: &str = "appforge.dev/own-secrets";
/// On a pod that tries addresses of stores, and on nothing else.
pub const REACH_LABEL: &str = "appforge.dev/reach";
/// The value of [`REACH_LABEL`].
pub const REACH_STORES: &str = "stores";

/// The container of the service in its pods.
pub const SERVICE_CONTAINER: &str = "app";
/// The container of the front, in the pods of an app of the user's own.
pub const FRONT_CONTAINER: &str = "front";
/// The component of the pod that runs `service.release`: none of the service's, so that it gets no requests.
pub const RELEASE: &str = "release";
/// The ports of the service's pods, by name.
pub const PUBLIC_PORT: &str = "http";
/// Probes and metrics.
pub const ADMIN_PORT: &str = "admin";
/// Where MongoDB listens.
pub const MONGODB_PORT: u16 = StoreKind::Mongodb.port();
/// Where Redis listens.
pub const REDIS_PORT: u16 = StoreKind::Redis.port();
/// Where Sentinel listens.
pub const SENTINEL_PORT: u16 = contract::REDIS_SENTINEL_PORT;
/// The replica set of a managed MongoDB.
pub const REPLICA_SET: &str = "rs0";

/// The key that signs probes, in the Secret of the service.
pub const PROBE_SECRET: &str = "probe_secret";
/// The URI of MongoDB, in the Secret of the service.
pub const MONGODB_URI: &str = "mongodb_uri";
/// The URL of Redis, in the Secret of the service.
pub const REDIS_URL: &str = "redis_url";
/// The URL by which an app of the user's own reaches Redis through its front, in the Secret of the service. Without a forward the
/// app gets [`REDIS_URL`].
pub const APP_REDIS_URL: &str = "app_redis_url";
/// The password of the user [`STORE_USER`], in the Secret of a managed MongoDB.
pub const ROOT_PASSWORD: &str = "root_password";
/// The password of the user [`APP_USER`], in the Secret of a managed MongoDB.
pub const APP_PASSWORD: &str = "app_password";
/// The user of an app of the user's own in a managed MongoDB: it reads and writes the stack's database alone.
pub const APP_USER: &str = "app";
/// What the members of the replica set know each other by, in the Secret of a managed MongoDB: 6 to 1024 base64 characters.
pub const KEYFILE: &str = "keyfile";
/// The password of the users `default` and [`STORE_USER`], in the Secret of a managed Redis.
pub const PASSWORD: &str = "password";

/// The key of a Secret that holds the address of a store, which is also the name of its file.
pub fn address(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Mongodb => MONGODB_URI,
        StoreKind::Redis => REDIS_URL,
    }
}

/// The Deployment of the service, and its Service, ServiceAccount, Secret, HorizontalPodAutoscaler and so on.
pub fn service(stack: &Stack) -> String {
    format!("{}-app", stack.name)
}

/// The StatefulSet of a managed MongoDB, and its headless Service, ServiceAccount, Secret and ConfigMap.
pub fn mongodb(stack: &Stack) -> String {
    format!("{}-mongodb", stack.name)
}

/// The StatefulSet of a managed Redis, and its headless Service, ServiceAccount, Secret and ConfigMap.
pub fn redis(stack: &Stack) -> String {
    format!("{}-redis", stack.name)
}

/// Whether a namespace is the cluster's own, which no stack may label or remove.
pub fn is_of_cluster(namespace: &str) -> bool {
    namespace == "default" || namespace.starts_with("kube-")
}

/// The priority class of the stack's own, which has no namespace.
pub fn priority_class(stack: &Stack) -> String {
    let (namespace, name) = (&stack.kubernetes.namespace, &stack.name);
    if namespace == name { name.to_string() } else { format!("{namespace}-{name}") }
}

/// The Secret with the variables of `service.env_file`.
pub fn env_file(stack: &Stack) -> String {
    format!("{}-env", service(stack))
}

/// The port that the service, or the front of an app, listens on in its pods: a process without privileges may not take one
/// below 1024.
pub fn container_port(stack: &Stack) -> u16 {
    if stack.service.port >= 1024 {
        return stack.service.port;
    }
    let taken = |port: u16| port == admin_port(stack) || (stack.service.is_own() && port == stack.app_port());
    (8080..).find(|port| !taken(*port)).unwrap_or(8080)
}

/// A pod of a StatefulSet, as the pods of the cluster reach it.
fn pod(stack: &Stack, set: &str, ordinal: u32) -> String {
    format!("{set}-{ordinal}.{set}.{}.svc", stack.kubernetes.namespace)
}

/// The URI of the managed MongoDB, as the pods of the cluster reach it. Through a tunnel, add `directConnection=true`.
/// `password` is that of [`APP_USER`] for an app of the user's own, else of [`STORE_USER`].
pub fn mongodb_uri(stack: &Stack, password: &Secret) -> Secret {
    let host = pod(stack, &mongodb(stack), 0);
    let user = if stack.service.is_own() { APP_USER } else { STORE_USER };
    let password = password.reveal();
    let uri = format!(
        "mongodb://{user}:{password}@{host}:{MONGODB_PORT}/?authSource=admin&replicaSet={REPLICA_SET}"
    );
    with_pool(stack, &Secret::new(uri))
}

/// An address of MongoDB as the service gets it: an app of the user's own reads the settings of its pool from there.
pub fn with_pool(stack: &Stack, uri: &Secret) -> Secret {
    if !stack.service.is_own() {
        return uri.clone();
    }
    let mongodb = &stack.mongodb;
    Secret::new(for_app(uri.reveal(), &mongodb.database, &mongodb.pool, stack.name.as_str()).uri)
}

/// The URL of the managed Redis, as the pods of the cluster reach it: its address, or those of its sentinels.
pub fn redis_url(stack: &Stack, password: &Secret) -> Secret {
    let (set, password) = (redis(stack), password.reveal());
    Secret::new(match stack.redis.topology {
        Topology::Single => {
            format!("redis://{STORE_USER}:{password}@{}:{REDIS_PORT}", pod(stack, &set, 0))
        }
        Topology::Sentinel => {
            let sentinel = |ordinal| format!("{}:{SENTINEL_PORT}", pod(stack, &set, ordinal));
            let sentinels: Vec<String> = (0..SENTINEL_SERVERS).map(sentinel).collect();
            format!("redis+sentinel://{STORE_USER}:{password}@{}/{}", sentinels.join(","), stack.name)
        }
    })
}

/// The URL by which an app of the user's own reaches the master of Redis at `url` through its front, which asks the sentinels;
/// `None` when the app gets `url` itself.
pub fn app_redis_url(stack: &Stack, url: &Secret) -> Option<Secret> {
    let hosts = RedisHosts::parse(url.reveal()).ok().flatten()?;
    let forwarded = hosts.forwarded(LOOPBACK, redis_forward_port(stack));
    forwarded.filter(|_| stack.service.is_own()).map(Secret::new)
}

/// Whether the front of an app leads it to the master of Redis.
pub fn forwards_redis(stack: &Stack) -> bool {
    match stack.external(StoreKind::Redis) {
        Some(address) => address.text().is_some_and(|url| app_redis_url(stack, url).is_some()),
        None => stack.service.is_own() && stack.redis.runs_sentinel(),
    }
}

/// Where the front does: the usual port of Redis, or the next one that the pod has free.
pub fn redis_forward_port(stack: &Stack) -> u16 {
    let taken = [container_port(stack), admin_port(stack), stack.app_port()];
    (REDIS_PORT..).find(|port| !taken.contains(port)).unwrap_or(REDIS_PORT)
}

/// The tag of an image as the value of a label; the digest's first digits if it has no tag.
pub fn version(image: &ImageRef) -> String {
    let image = image.to_string();
    let (name, digest) = image.split_once('@').unwrap_or((&image, ""));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let version = tag.unwrap_or_else(|| digest.strip_prefix("sha256:").unwrap_or("latest"));
    let version: String = version.chars().take(40).collect();
    version.trim_matches(['-', '.', '_']).to_owned()
}

/// Whether an image is named by its content.
pub fn is_pinned(image: &str) -> bool {
    image.contains("@sha256:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::model::StoreMode;

    #[test]
    fn a_version_is_a_label() {
        for (image, want) in [
            ("mongo:8.0", "8.0"),
            ("registry:5000/team/app", "latest"),
            ("registry:5000/team/app:1.2.3-", "1.2.3"),
            ("app:1@sha256:0123456789abcdef0123456789abcdef", "1"),
            ("app@sha256:0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ] {
            assert_eq!(version(&image.parse().unwrap()), want, "{image}");
        }
    }

    #[test]
    fn the_names_of_the_brief_hold() {
        let stack = Stack::default();
        assert_eq!(service(&stack), "appforge-app");
        assert_eq!(priority_class(&stack), "appforge");
        let uri = mongodb_uri(&stack, &Secret::new("x"));
        assert_eq!(
            uri.reveal(),
            "mongodb://appforge:x@appforge-mongodb-0.appforge-mongodb.appforge.svc:27017/?authSource=admin&replicaSet=rs0"
        );
        let mut stack = Stack { name: "s".parse().unwrap(), ..stack };
        assert_eq!(
            redis_url(&stack, &Secret::new("x")).reveal(),
            "redis://appforge:x@s-redis-0.s-redis.appforge.svc:6379"
        );
        stack.redis.topology = Topology::Sentinel;
        assert_eq!(
            redis_url(&stack, &Secret::new("x")).reveal(),
            "redis+sentinel://appforge:x@s-redis-0.s-redis.appforge.svc:26379,s-redis-1.s-redis.appforge.svc:26379,\
             s-redis-2.s-redis.appforge.svc:26379/s"
        );
    }

    #[test]
    fn app_is_led_to_the_master_by_its_front() {
        let mut stack = Stack::default();
        stack.redis.topology = Topology::Sentinel;
        assert!(!forwards_redis(&stack), "the bundled service asks the sentinels itself");
        stack.service.image = "shop:1".parse().unwrap();
        assert!(forwards_redis(&stack));
        let url = redis_url(&stack, &Secret::new("x"));
        assert_eq!(app_redis_url(&stack, &url).unwrap().reveal(), "redis://appforge:x@127.0.0.1:6379");
        stack.service.app_port = Some(REDIS_PORT);
        assert_eq!(app_redis_url(&stack, &url).unwrap().reveal(), "redis://appforge:x@127.0.0.1:6380");
        stack.redis.mode = StoreMode::External;
        for (url, forwards) in
            [("redis+sentinel://h/main", true), ("rediss+sentinel://h/main", false), ("redis://h", false)]
        {
            stack.redis.url = Some(Secret::new(url).into());
            assert_eq!(forwards_redis(&stack), forwards, "{url}");
        }
    }
}
