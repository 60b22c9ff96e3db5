//! Each rule names the path that it judges.

use super::*;
use crate::stack::kubernetes::RouteApi;
use crate::stack::model::{Persistence, StoreMode, Topology};
use crate::stack::values::{ByteSize, CommandLine, Health, Secret, SecretKey, StoreAddress};

#[track_caller]
fn complains(path: &str, change: impl FnOnce(&mut Stack)) {
    let mut stack = Stack::default();
    change(&mut stack);
    let problems = validate(&stack);
    assert_eq!(problems.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [path], "{problems:?}");
}

#[test]
fn the_defaults_are_valid() {
    assert_eq!(validate(&Stack::default()), []);
}

fn own(target: TargetKind) -> impl Fn(&mut Stack) {
    move |stack| {
        stack.target = target;
        stack.service.command = Some(CommandLine::Text("node server.js".into()));
        if target != TargetKind::Local {
            stack.service.image = "shop/app:1".parse().unwrap();
        }
    }
}

#[test]
fn app_of_the_users_own_is_valid_on_each_target() {
    for target in [TargetKind::Local, TargetKind::Compose, TargetKind::Kubernetes] {
        let mut stack = Stack::default();
        own(target)(&mut stack);
        stack.service.env.insert("DATABASE_URL".into(), "${mongodb.uri}".into());
        stack.service.env.insert("RATE_LIMIT_REQUESTS".into(), "the app's own".into());
        assert_eq!(validate(&stack), []);
    }
}

#[test]
fn each_rule_of_an_app_names_its_path() {
    let local = own(TargetKind::Local);
    let text = |text: &str| Some(CommandLine::Text(text.into()));
    complains("service.command", |s| s.service.image = "shop/app:1".parse().unwrap());
    complains("service.image", |s| (s.target, s.service.command) = (TargetKind::Compose, text("node a.js")));
    complains("service.image", |s| {
        (s.target, s.service.command) = (TargetKind::Kubernetes, text("node a.js"));
    });
    complains("service.build", |s| {
        own(TargetKind::Compose)(s);
        s.service.build = Some(".".into());
    });
    for command in ["", "  ", "./app ${mongodb.uri}", "./app ${redis.url}/1", "./app ${HOME}", "./app ${port"]
    {
        complains("service.command", |s| s.service.command = text(command));
        complains("service.release", |s| {
            local(s);
            s.service.release = text(command);
        });
    }
    for (name, value) in
        [("PORT", "1"), ("HOST", "x"), ("MONGODB_URI", "x"), ("REDIS_URL_FILE", "x"), ("A", "${b}")]
    {
        complains(&format!("service.env.{name}"), |s| {
            local(s);
            s.service.env.insert(name.into(), value.into());
        });
    }
    complains("service.health", |s| {
        local(s);
        s.service.health = Some(Health { path: "healthz".into(), host: "localhost".into() });
    });
    complains("service.app_port", |s| {
        local(s);
        s.service.app_port = Some(s.service.port);
    });
    complains("service.replicas", |s| {
        local(s);
        (s.service.app_port, s.service.replicas) = (Some(3000), 2);
    });
    complains("service.processes", |s| {
        local(s);
        s.service.processes = 0;
    });
    // They say nothing about the bundled service.
    complains("service.health", |s| {
        s.service.health = Some(Health { path: "/".into(), host: "localhost".into() });
    });
    complains("service.egress", |s| s.service.egress = vec!["internet".parse().unwrap()]);
    complains("service.env_file", |s| s.service.env_file = Some(".env".into()));
    complains("service.release", |s| s.service.release = text("./migrate"));
    for target in [TargetKind::Compose, TargetKind::Kubernetes] {
        complains("redis.mode", |s| (s.target, s.redis.mode) = (target, StoreMode::Container));
    }
    let pod = own(TargetKind::Kubernetes);
    complains("kubernetes.probes.readiness", |s| {
        pod(s);
        s.kubernetes.probes.readiness = Some("/ready".into());
    });
    complains("kubernetes.probes.liveness", |s| {
        pod(s);
        s.kubernetes.probes.liveness = Some("/live".into());
    });
    complains("kubernetes.probes.port", |s| {
        pod(s);
        s.kubernetes.probes.port = Some(8081);
    });
    complains("service.run_as", |s| {
        pod(s);
        s.service.run_as = Some(0);
    });
}

#[test]
fn each_rule_names_its_path() {
    complains("version", |s| s.version = 2);
    complains("service.replicas", |s| s.service.replicas = 10_000);
    complains("service.port", |s| s.service.port = 0);
    complains("service.env.PORT", |s| drop(s.service.env.insert("PORT".into(), "1".into())));
    complains("service.env", |s| drop(s.service.env.insert("1x".into(), "1".into())));
    complains("rate_limit.requests", |s| s.rate_limit.requests = 0);
    complains("rate_limit.window", |s| s.rate_limit.window.0 = std::time::Duration::ZERO);
    complains("rate_limit.ipv6_prefix", |s| s.rate_limit.ipv6_prefix = 16);
    complains("rate_limit.trusted_proxies", |s| s.rate_limit.trusted_proxies.push("10.0.0.0/33".into()));
    complains("mongodb.database", |s| s.mongodb.database = "a b".into());
    complains("mongodb.pool.min", |s| s.mongodb.pool.min = 51);
    complains("redis.url", |s| {
        (s.redis.mode, s.redis.url) =
            (StoreMode::External, Some(Secret::new("redis://:${PASSWORD}@h").into()));
    });
    complains("mongodb.uri", |s| s.mongodb.mode = StoreMode::External);
    complains("mongodb.mode", |s| s.mongodb.mode = StoreMode::Managed);
    for target in [TargetKind::Compose, TargetKind::Kubernetes] {
        complains("mongodb.mode", |s| (s.target, s.mongodb.mode) = (target, StoreMode::Embedded));
        complains("redis.mode", |s| (s.target, s.redis.mode) = (target, StoreMode::Embedded));
    }
    complains("redis.storage", |s| s.redis.storage = Some(ByteSize(0)));
    complains("redis.storage", |s| s.redis.storage = Some(ByteSize((2 << 30) - 1)));
    complains("redis.url", |s| s.redis.url = Some(Secret::new("redis://h").into()));
    complains("redis.memory", |s| s.redis.memory.0 = 1);
    complains("redis.persistence", |s| {
        s.redis.topology = Topology::Sentinel;
        s.redis.persistence = Persistence::None;
    });
    complains("redis.topology", |s| {
        s.target = TargetKind::Compose;
        s.redis.topology = Topology::Sentinel;
    });
    complains("redis.min_replicas", |s| s.redis.min_replicas = 3);
    complains("mongodb.memory", |s| s.mongodb.memory.0 = 1);
    complains("compose.subnet", |s| s.compose.subnet = Some("10.0.0.1/22".into()));
    complains("patches.docker-compose.yml", |s| {
        drop(s.patches.insert("docker-compose.yml".into(), Vec::new()));
    });
    complains("mongodb.max_connections", |s| s.mongodb.max_connections = Some(1));
    complains("kubernetes.autoscaling.min", |s| s.kubernetes.autoscaling.as_mut().unwrap().min = 11);
    complains("kubernetes.autoscaling.cpu", |s| s.kubernetes.autoscaling.as_mut().unwrap().cpu.0 = 0.0);
    complains("kubernetes.cpu_limit", |s| s.kubernetes.cpu_limit = "100m".parse().unwrap());
    complains("kubernetes.ingress", |s| s.kubernetes.ingress = Some("*.example.com".into()));
    complains("kubernetes.storage_class", |s| s.kubernetes.storage_class = Some("Fast SSD".into()));
    complains("kubernetes.pull_secrets", |s| s.kubernetes.pull_secrets.push("My Registry".into()));
    complains("kubernetes.route.class", |s| s.kubernetes.route.class = Some("".into()));
    complains("kubernetes.route.tls_secret", |s| s.kubernetes.route.tls_secret = Some("a/b".into()));
    complains("kubernetes.route.issuer", |s| s.kubernetes.route.issuer = Some("A".into()));
    complains("kubernetes.route.gateway", |s| s.kubernetes.route.gateway = Some("public".into()));
    complains("kubernetes.route.api", |s| {
        s.kubernetes.ingress = Some("shop.example.com".into());
        s.kubernetes.route.api = RouteApi::Gateway;
    });
    complains("kubernetes.probes.liveness", |s| s.kubernetes.probes.liveness = Some("healthz".into()));
    complains("kubernetes.probes.liveness", |s| {
        s.kubernetes.probes.liveness = Some("/healthz".into());
        s.kubernetes.probes.readiness = Some("/healthz".into());
    });
    complains("kubernetes.probes.readiness", |s| s.kubernetes.probes.readiness = Some("/a b".into()));
    complains("kubernetes.probes.port", |s| s.kubernetes.probes.port = Some(0));
    complains("kubernetes.shutdown.pre_stop", |s| {
        s.kubernetes.shutdown.pre_stop = "1500ms".parse().unwrap();
    });
    complains("kubernetes.shutdown.grace", |s| s.kubernetes.shutdown.grace = "2h".parse().unwrap());
    complains("kubernetes.ingress", |s| s.kubernetes.ingress = Some("10.0.0.1".into()));
    complains("mongodb.storage", |s| s.mongodb.storage.0 = 0);
    complains("service.env.LONG", |s| drop(s.service.env.insert("LONG".into(), "x".repeat(128 << 10))));
    complains("service.env.NUL", |s| drop(s.service.env.insert("NUL".into(), "\0".into())));
    complains("service.env", |s| {
        s.service.env.extend((0..9).map(|at| (format!("V{at}"), "x".repeat(127 << 10))));
    });
    complains("compose.bind", |s| {
        (s.service.address, s.compose.bind) = ("127.0.0.1".parse().ok(), "0.0.0.0".parse().ok());
    });
    complains("name", |s| {
        s.target = TargetKind::Kubernetes;
        s.name = "9lives".parse().unwrap();
    });
    complains("cost.peak_factor", |s| s.cost.peak_factor.0 = Decimal::new(5, 1));
}

#[test]
fn a_wrong_uri_is_not_repeated_in_the_message() {
    let mut stack = Stack::default();
    stack.mongodb.mode = StoreMode::External;
    stack.mongodb.uri = Some(Secret::new("postgres://u:hunter2@h").into());
    assert!(!format!("{:?}", validate(&stack)).contains("hunter2"));
}

#[test]
fn address_of_a_store_is_refused_without_a_port_or_a_host() {
    for (mongodb, redis) in [
        ("mongodb://h:0/", "redis://h:0"),
        ("mongodb://a,b:70000/x", "redis://:p@:6379/0"),
        ("mongodb://[::1]:0", "rediss:///0"),
        ("mongodb://", "redis+sentinel://a,/main"),
        ("mongodb://:1", "redis+sentinel://a:0/main"),
        ("mongodb://,a", "redis+sentinel://:p@a"),
        ("mongodb:///x", "rediss+cluster://a:70000"),
        ("mongodb://a,", "redis+cluster://a/1"),
    ] {
        complains("mongodb.uri", |s| {
            (s.mongodb.mode, s.mongodb.uri) = (StoreMode::External, Some(Secret::new(mongodb).into()));
        });
        complains("redis.url", |s| {
            (s.redis.mode, s.redis.url) = (StoreMode::External, Some(Secret::new(redis).into()));
        });
    }
    let mut stack = Stack { name: "9lives".parse().unwrap(), ..Stack::default() };
    stack.mongodb.mode = StoreMode::External;
    for good in
        ["mongodb://u:p%40@a:1,[::1]:27017,b/x?y=1:2", "mongodb+srv://h", "mongodb://%2Ftmp%2Fmongo.sock"]
    {
        stack.mongodb.uri = Some(Secret::new(good).into());
        assert_eq!(validate(&stack), [], "{good}");
    }
}

#[test]
fn address_in_a_secret_requires_kubernetes_and_its_own_secret() {
    let with = |target: TargetKind, secret: &str, key: &str| {
        let mut stack = Stack { target, ..Stack::default() };
        let address = StoreAddress::Key(SecretKey { secret: secret.into(), key: key.into() });
        (stack.mongodb.mode, stack.mongodb.uri) = (StoreMode::External, Some(address.clone()));
        (stack.redis.mode, stack.redis.url) = (StoreMode::External, Some(address));
        validate(&stack).into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(with(TargetKind::Kubernetes, "db.prod", "uri_1.x"), Vec::<String>::new());
    for target in [TargetKind::Local, TargetKind::Compose] {
        assert_eq!(with(target, "db", "uri"), ["mongodb.uri", "redis.url"]);
    }
    for wrong in ["", "DB", "-db", "db-", "a..b", "appforge-app"] {
        assert_eq!(with(TargetKind::Kubernetes, wrong, "uri"), ["mongodb.uri.secret", "redis.url.secret"]);
    }
    for wrong in ["", "a b", "a/b"] {
        assert_eq!(with(TargetKind::Kubernetes, "db", wrong), ["mongodb.uri.key", "redis.url.key"]);
    }
}
