//! Addresses of stores: a revision keeps its own, a new one is tried first, and what runs stays until what follows works.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use appforge_embedded::{mongodb, redis};
use appforge_testing::wait::{DEADLINE, eventually};
use appforge_testing::{port, tcp};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::api::Seen;
use super::kubelet::{self, Trials};
use super::store::{Key, Pods};
use super::{Place, STACK};

/// External stores: real servers outside the cluster.
pub(super) struct Stores {
    runtime: Option<Runtime>,
    pub mongodb: SocketAddr,
    pub redis: SocketAddr,
    _data: tempfile::TempDir,
}

impl Stores {
    pub(super) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bind = || runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (to_mongodb, to_redis) = (bind(), bind());
        let addresses = (to_mongodb.local_addr().unwrap(), to_redis.local_addr().unwrap());
        let options = mongodb::Options { data: data.path().join("mongodb") };
        runtime.spawn(mongodb::serve(to_mongodb, options, std::future::pending()));
        let options = redis::Options {
            data: data.path().join("redis"),
            max_memory: 0,
            eviction: redis::Eviction::AllkeysLru,
        };
        runtime.spawn(redis::serve(to_redis, options, std::future::pending()));
        Self { runtime: Some(runtime), mongodb: addresses.0, redis: addresses.1, _data: data }
    }

    pub(super) fn file(&self) -> String {
        external(self.mongodb, self.redis)
    }

    /// Stops both; their addresses no longer answer.
    fn stop(&mut self) {
        self.runtime.take().unwrap().shutdown_timeout(DEADLINE);
    }
}

fn external(mongodb: SocketAddr, redis: SocketAddr) -> String {
    format!(
        "{STACK}mongodb: {{mode: external, uri: 'mongodb://{mongodb}/shop'}}\nredis: {{mode: external, url: 'redis://{redis}'}}\n"
    )
}

impl Place {
    pub(super) fn file(&self, stack: &str) {
        self.project.write("appforge.yaml", stack);
    }

    /// The Secret that the pods of the service mount.
    pub(super) fn mounted(&self) -> Value {
        let deployment = self.api.object("deployments", "shop-app").unwrap();
        let name = deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"].clone();
        self.api.object("secrets", name.as_str().unwrap()).unwrap_or_else(|| panic!("no Secret {name}"))
    }

    fn bare(&self) -> std::collections::BTreeMap<String, Value> {
        self.api.store(|store| store.bare())
    }

    pub(super) fn copies(&self) -> Vec<String> {
        let names = self.api.names("secrets").into_iter();
        names.filter(|name| name.strip_prefix("shop-app-").is_some()).collect()
    }

    fn trials(&self) -> usize {
        self.api.names("pods").iter().filter(|name| name.contains("-reach-")).count()
    }
}

fn value(secret: &Value, key: &str) -> String {
    String::from_utf8(BASE64_STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap()
}

pub(super) fn port_of(secret: &Value, key: &str) -> u16 {
    kubelet::port(&value(secret, key)).unwrap()
}

/// Runs the service with what the pods mount, and reads its items.
#[track_caller]
pub(super) fn items_can_be_read(secret: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let (public, admin) = (port::reserve(), port::reserve());
    let mut command = Command::new(env!("CARGO_BIN_EXE_appforge"));
    command.arg("serve").env("PORT", public.to_string()).env("ADMIN_PORT", admin.to_string());
    for key in ["mongodb_uri", "probe_secret", "redis_url"] {
        let path = folder.path().join(key);
        std::fs::write(&path, value(secret, key)).unwrap();
        command.env(format!("{}_FILE", key.to_uppercase()), path);
    }
    let mut service = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let request = b"GET /api/items HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = || tcp::exchange(("127.0.0.1", public), request).unwrap_or_default();
    eventually("the items are read", || answer().starts_with("HTTP/1.1 200"));
    service.kill().unwrap();
    service.wait().unwrap();
}

#[test]
fn rollback_brings_the_old_address_back_and_up_keeps_it() {
    let (one, two) = (Stores::start(), Stores::start());
    let place = Place::new(&one.file());
    place.exits(0, &["up"]);
    place.file(&two.file());
    place.exits(0, &["up"]);
    assert_eq!(port_of(&place.mounted(), "mongodb_uri"), two.mongodb.port());
    place.exits(0, &["rollback", "1"]);
    assert_eq!(port_of(&place.mounted(), "mongodb_uri"), one.mongodb.port());
    items_can_be_read(&place.mounted());
    let history = place.json(&["history"]);
    assert_eq!(history["revisions"].as_array().unwrap().len(), 2, "{history}");
    assert_eq!(place.exits(5, &["diff"]).stdout.matches("~ restart ").count(), 1);
    place.file(&one.file());
    place.exits(0, &["up"]);
    assert_eq!(place.exits(0, &["diff"]).stdout, "nothing to change\n");
    let mounted = place.mounted();
    assert_eq!(mounted["immutable"], true);
    assert_eq!(mounted["data"], place.api.object("secrets", "shop-app").unwrap()["data"]);
    items_can_be_read(&mounted);
    // Wherever pods of two revisions ran at once, both reached their stores.
    let rollouts = place.api.store(|store| store.rollouts.clone());
    let both = [one.mongodb, two.mongodb, one.redis, two.redis].map(|address| address.port());
    assert!(both.iter().all(|port| rollouts[1].contains(port)), "{both:?} {rollouts:?}");
    assert!(rollouts.last().unwrap().contains(&one.redis.port()), "{rollouts:?}");
}

#[test]
fn rollback_over_two_addresses_brings_the_first_back() {
    let stores = [Stores::start(), Stores::start(), Stores::start()];
    let place = Place::new(&stores[0].file());
    for stores in &stores {
        place.file(&stores.file());
        place.exits(0, &["up"]);
    }
    assert_eq!(place.copies().len(), 3, "one a revision");
    place.exits(0, &["rollback", "1"]);
    assert_eq!(port_of(&place.mounted(), "redis_url"), stores[0].redis.port());
    place.exits(0, &["up"]);
    assert_eq!(port_of(&place.mounted(), "redis_url"), stores[2].redis.port());
}

#[test]
fn rollback_to_an_address_that_is_gone_is_refused() {
    let (mut one, two) = (Stores::start(), Stores::start());
    let place = Place::new(&one.file());
    place.exits(0, &["up"]);
    place.file(&two.file());
    place.exits(0, &["up"]);
    one.stop();
    let before = place.bare();
    let refused = place.exits(1, &["rollback", "1"]);
    assert!(
        refused.stderr.contains("error: the new addresses do not answer from the cluster, so nothing was applied:\n  mongodb.uri: "),
        "{}",
        refused.stderr
    );
    assert_eq!(place.bare(), before);
    // The copy is gone as well: the revision cannot come back, and says so.
    let first = place.copies().into_iter().find(|name| {
        port_of(&place.api.object("secrets", name).unwrap(), "mongodb_uri") == one.mongodb.port()
    });
    let key = secret(&first.unwrap());
    place.api.store(|store| store.delete(&key));
    let gone = place.exits(1, &["rollback", "1"]);
    assert!(gone.stderr.contains("error: revision 1 needs the Secret `shop-app-"), "{}", gone.stderr);
}

pub(super) fn secret(name: &str) -> Key {
    Key { api: "v1".into(), namespace: "shop".into(), plural: "secrets".into(), name: name.into() }
}

#[test]
fn dead_address_is_refused_before_anything_is_applied() {
    let stores = Stores::start();
    for (running, wanted, scheme, lines) in [
        (STACK.to_owned(), external(port::closed(), port::closed()), "redis://", 2),
        (stores.file(), external(stores.mongodb, port::closed()), "redis://", 1),
        (stores.file(), external(port::closed(), stores.redis), "mongodb://", 1),
    ] {
        let place = Place::new(&running);
        place.exits(0, &["up"]);
        let before = place.bare();
        place.file(&wanted.replace(scheme, &format!("{scheme}someone:hunter22@")));
        let refused = place.exits(1, &["up"]);
        assert_eq!(refused.stderr.matches("\n  ").count(), lines, "{}", refused.stderr);
        assert!(refused.stderr.contains("so nothing was applied:\n"), "{}", refused.stderr);
        assert!(
            refused.stderr.ends_with("hint: the stack keeps running with the old address\n"),
            "{}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("hunter22"), "{}", refused.stderr);
        assert_eq!(place.bare(), before, "all is as it was");
        place.file(&running);
        place.exits(0, &["diff"]);
    }
}

#[test]
fn managed_store_leaves_after_the_rollout_and_data_is_named() {
    let stores = Stores::start();
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.file(&stores.file());
    let diff = place.exits(5, &["diff"]);
    assert!(
        diff.stdout.contains("- remove statefulset/shop-mongodb\n    no longer in the stack\n    its data stays in persistentvolumeclaim/data-shop-mongodb-0 (10Gi)\n"),
        "{}",
        diff.stdout
    );
    place.api.seen();
    let up = place.exits(0, &["up"]);
    assert!(
        up.stderr.contains("statefulset/shop-mongodb is removed, its data stays in persistentvolumeclaim/data-shop-mongodb-0 (10Gi); `kubectl --context test -n shop delete pvc data-shop-mongodb-0` removes it\n"),
        "{}",
        up.stderr
    );
    let seen = place.api.seen();
    let at = |method: &str, part: &str| {
        let fits = |seen: &Seen| seen.is_change() && seen.method == method && seen.path.contains(part);
        seen.iter().position(fits).unwrap_or_else(|| panic!("no {method} of {part}: {seen:#?}"))
    };
    let (tried, rolled) = (at("POST", "/pods"), at("PATCH", "/deployments/shop-app"));
    assert!(tried < rolled, "the address is tried first");
    for gone in ["/statefulsets/shop-mongodb", "/networkpolicies/shop-mongodb", "/services/shop-redis"] {
        assert!(rolled < at("DELETE", gone), "{gone}");
    }
    assert_eq!((place.api.names("statefulsets").len(), place.trials()), (0, 0));
    assert_eq!(place.api.names("persistentvolumeclaims").len(), 2, "data is kept");
    assert_eq!(place.api.object("networkpolicies", "shop-app-rollout"), None);
    items_can_be_read(&place.mounted());
    place.exits(0, &["diff"]);
}

#[test]
fn managed_store_stays_while_the_rollout_fails() {
    let stores = Stores::start();
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.file(&stores.file());
    place.api.store(|store| store.pods = Pods::CannotPull);
    place.exits(1, &["up", "--timeout", "30s"]);
    assert_eq!(place.api.names("statefulsets"), ["shop-mongodb", "shop-redis"]);
    assert!(
        place.api.object("networkpolicies", "shop-app-rollout").is_some(),
        "the new pods reach their stores"
    );
    let diff = place.exits(5, &["diff"]).stdout;
    assert!(diff.contains("- remove networkpolicy/shop-app-rollout\n"), "{diff}");
    place.api.store(|store| store.pods = Pods::Ready);
    place.exits(0, &["rollback", "1"]);
    place.file(STACK);
    place.exits(0, &["up"]);
    place.exits(0, &["diff"]);
}

#[test]
fn new_managed_store_is_ready_before_replicas_need_it() {
    let stores = Stores::start();
    let place = Place::new(&stores.file());
    place.exits(0, &["up"]);
    place.api.seen();
    place.file(STACK);
    place.exits(0, &["up"]);
    let seen = place.api.seen();
    let changes = |seen: &Seen, plural: &str| seen.is_change() && seen.path.contains(plural);
    let made = seen.iter().rposition(|seen| changes(seen, "/statefulsets/")).unwrap();
    let rolled = seen.iter().position(|seen| changes(seen, "/deployments/")).unwrap();
    let watched = seen[made..rolled].iter().any(|seen| seen.path.ends_with("/statefulsets"));
    assert!(watched, "{:#?}", &seen[made..rolled]);
}

#[test]
fn first_or_unchanged_dead_address_warns_and_strict_fails() {
    let stores = Stores::start();
    let place = Place::new(&external(stores.mongodb, port::closed()));
    let warning = "warning: redis.url does not answer from the cluster: ";
    for round in ["first", "unchanged"] {
        let up = place.exits(0, &["up"]);
        assert_eq!(up.stderr.matches(warning).count(), 1, "{round}: {}", up.stderr);
        assert!(!up.stderr.contains("mongodb.uri does not"), "{round}: {}", up.stderr);
    }
    let strict = place.exits(1, &["up", "--strict"]);
    assert!(
        strict.stderr.contains(
            "error: the stack is up, but external stores do not answer:\n  redis.url does not answer"
        ),
        "{}",
        strict.stderr
    );
    assert_eq!(place.json(&["up"])["unreachable"].as_array().unwrap().len(), 1);
    assert_eq!(place.trials(), 0);
    place.file(&stores.file());
    assert!(!place.exits(0, &["up", "--strict"]).stderr.contains("warning"), "both answer now");
}

#[test]
fn image_without_the_program_warns_and_strict_refuses() {
    let stores = Stores::start();
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.store(|store| store.trials = Trials::NoProgram);
    place.file(&stores.file());
    let before = place.bare();
    let refused = place.exits(1, &["up", "--strict"]);
    assert!(refused.stderr.contains("error: the new address could not be tested from the cluster, so nothing was applied: its image ended with exit code 128 (StartError)\n"), "{}", refused.stderr);
    assert_eq!(place.bare(), before);
    let up = place.exits(0, &["up"]);
    assert!(
        up.stderr.contains("warning: mongodb.uri and redis.url could not be tested from the cluster: "),
        "{}",
        up.stderr
    );
    // The address is not new any more, and nothing is known against it.
    let again = place.exits(0, &["up"]);
    assert!(
        !again.stderr.contains("warning") && again.stderr.contains("could not be tested"),
        "{}",
        again.stderr
    );
}

#[test]
fn trial_of_a_killed_up_is_removed_by_the_next_command() {
    let stores = Stores::start();
    for next in [&["up"][..], &["down"]] {
        let place = Place::new(STACK);
        place.exits(0, &["up"]);
        place.api.store(|store| store.trials = Trials::Pending);
        place.file(&stores.file());
        let mut command = place.project.command(&["up"]);
        command.env("KUBECONFIG", place.project.path().join("kubeconfig"));
        let mut up = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("a pod tries the address", || place.trials() > 0);
        up.kill().unwrap();
        up.wait().unwrap();
        let pod = place.api.names("pods").into_iter().find(|name| name.contains("-reach-")).unwrap();
        let pod = place.api.object("pods", &pod).unwrap();
        assert_eq!(pod["spec"]["activeDeadlineSeconds"], 100, "it ends without us, too");
        let status = place.exits(0, &["status", "-o", "json"]).stdout;
        assert!(!status.contains("-reach-"), "no component of the stack: {status}");
        place.api.store(|store| store.trials = Trials::Run);
        place.exits(0, next);
        assert_eq!(place.trials(), 0, "{next:?}");
    }
}
